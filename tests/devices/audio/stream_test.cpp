// SPDX-License-Identifier: GPL-3.0-or-later
// Streams: a tone played and one recorded arrive whole and at the right pace, positions are true, a saved machine goes
// on in the midst, and a driver's nonsense stays the guest's affair.
#include "tests/support/hda_driver.hpp"

#include "devices/pci/intx.hpp"

namespace skep::test {
namespace {

using namespace hda;

constexpr unsigned k_output = HdaDriver::k_first_output;
constexpr Nanoseconds k_millisecond = 1'000'000;

// A guest that plays or records with the cyclic buffer's halves, like a sound driver on its interrupts.
class HdaStreamTest : public testing::Test, public HdaMachine {
  protected:
    HdaStreamTest() { driver.start(); }

    static std::vector<std::byte> bytes_of(const StreamFormat& format, std::span<const SoundFrame> frames) {
        std::vector<std::byte> bytes(frames.size() * format.frame_bytes());
        encode_frames(format, 0, frames, bytes);
        return bytes;
    }
    // Fills the fragments that the stream has left behind, for so long; the buffer starts full.
    void play(const HdaDriver::Setup& setup, std::span<const std::byte> sound, Nanoseconds duration) {
        const uint32_t size = setup.fragment * setup.fragments;
        write_sound(setup, sound, 0, size);
        driver.run(setup.stream);
        keep_playing(setup, sound, size, duration);
    }
    void keep_playing(const HdaDriver::Setup& setup, std::span<const std::byte> sound, size_t written, Nanoseconds duration) {
        const uint32_t size = setup.fragment * setup.fragments;
        const Nanoseconds end = clock.now() + duration;
        uint32_t last = driver.sd(setup.stream, k_sd_lpib);
        while (clock.now() < end) {
            clock.advance(k_millisecond);
            const uint32_t position = driver.sd(setup.stream, k_sd_lpib);
            EXPECT_LT(position, size);
            total += (position + size - last) % size;
            last = position;
            while (total + size - written >= setup.fragment) {
                write_sound(setup, sound, written, setup.fragment);
                written += setup.fragment;
            }
        }
    }
    void write_sound(const HdaDriver::Setup& setup, std::span<const std::byte> sound, size_t from, size_t size) {
        const uint32_t ring = setup.fragment * setup.fragments;
        for (size_t at = from; at < from + size; at += setup.fragment) {
            ASSERT_LE(at + setup.fragment, sound.size());
            ASSERT_TRUE(memory->write(setup.buffer + at % ring, &sound[at], setup.fragment));
        }
    }

    HdaDriver driver{*this, bus};
    uint64_t total = 0;  // bytes played, by LPIB
};

TEST_F(HdaStreamTest, tone_arrives_whole_and_at_its_frequency) {
    const auto tone = sine(1000, 48000, 96000);
    driver.tune_output(1);
    driver.prepare({});
    play({}, bytes_of({48000, 2, 2}, tone), 1'000'000'000);
    EXPECT_EQ(sound->output_rate, 48000U);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 48000, 48);
    EXPECT_EQ(total, sound->played.size() * 4) << "the link position is what was played";
    EXPECT_NEAR(frequency_of(sound->played, 48000), 1000, 0.1);
    for (size_t index = 0; index < sound->played.size(); ++index) {
        ASSERT_NEAR(sound->played[index].left, tone[index].left, 1.0 / 32768) << "frame " << index;
        ASSERT_NEAR(sound->played[index].right, tone[index].right, 1.0 / 32768) << "frame " << index;
    }
}

TEST_F(HdaStreamTest, every_size_and_rate_plays_at_its_own_pace) {
    struct Case {
        uint16_t fmt;
        uint32_t rate;
        unsigned bytes;
        double precision;
    };
    for (const Case& each : {Case{0x4011, 44100, 2, 4e-5}, Case{0x0821, 96000, 4, 2e-6}, Case{0x0031, 48000, 4, 2e-7},
                             Case{0x0041, 48000, 4, 1e-7}, Case{0x0511, 8000, 2, 4e-5}}) {
        sound->played.clear();
        total = 0;
        driver.tune_output(2, each.fmt);
        const HdaDriver::Setup setup{.tag = 2, .format = each.fmt, .fragment = 0x2000};
        driver.prepare(setup);
        const auto tone = sine(440, each.rate, each.rate + 0x8000);
        play(setup, bytes_of({each.rate, 2, each.bytes}, tone), 300'000'000);
        driver.stop(setup.stream);
        EXPECT_EQ(sound->output_rate, each.rate);
        EXPECT_NEAR(static_cast<double>(sound->played.size()), each.rate * 0.3, each.rate * 0.003);
        EXPECT_NEAR(frequency_of(sound->played, each.rate), 440, 0.1);
        for (size_t index = 0; index < sound->played.size(); ++index) {
            ASSERT_NEAR(sound->played[index].left, tone[index].left, each.precision) << each.rate << ": frame " << index;
        }
    }
}

TEST_F(HdaStreamTest, finished_fragments_interrupt_and_positions_are_told) {
    driver.enable_msi();
    driver.set_reg(k_dplbase, HdaDriver::k_positions | k_dplbase_enable);
    const HdaDriver::Setup setup{.fragment = 0x780};  // 480 frames: 10 ms
    driver.tune_output(1);
    driver.prepare(setup);
    msis.messages.clear();
    driver.run(setup.stream);
    const Nanoseconds start = clock.now();
    for (unsigned fragment = 1; fragment <= 20; ++fragment) {
        clock.advance(start + (10 * fragment - 1) * k_millisecond - clock.now());
        EXPECT_EQ(driver.reg(k_intsts), 0U) << fragment;
        clock.advance(k_millisecond + 50'000);
        ASSERT_EQ(msis.messages.size(), fragment);
        EXPECT_EQ(driver.reg(k_intsts), k_int_gie | 1U << setup.stream);
        EXPECT_EQ(driver.sd(setup.stream, k_sd_sts, 1), k_sd_sts_bcis | k_sd_sts_fifordy);
        const auto told = memory->read_value<uint32_t>(HdaDriver::k_positions + setup.stream * 8);
        EXPECT_GE(*told, fragment % 4 * 0x780U);
        EXPECT_LT(*told, fragment % 4 * 0x780U + 0x100);
        driver.set_sd(setup.stream, k_sd_sts, k_sd_sts_bcis, 1);
        EXPECT_EQ(driver.reg(k_intsts), 0U);
    }
}

TEST_F(HdaStreamTest, stream_nobody_listens_to_runs_in_silence) {
    driver.prepare({});
    driver.run(k_output);
    clock.advance(5 * k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), 240U * 4);
    EXPECT_EQ(sound->outputs_opened, 0U);
    driver.tune_output(1);
    clock.advance(20 * k_millisecond);
    EXPECT_EQ(sound->outputs_opened, 1U);
    EXPECT_GT(sound->played.size(), 400U);
}

TEST_F(HdaStreamTest, muted_stream_is_played_as_silence) {
    driver.tune_output(1);
    driver.ask(HdaDriver::k_dac, k_verb_set_amplifier,
               k_set_amplifier_output | k_set_amplifier_left | k_set_amplifier_right | k_amplifier_mute);
    driver.prepare({});
    play({}, bytes_of({48000, 2, 2}, sine(1000, 48000, 9600)), 100 * k_millisecond);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 4800, 48);
    EXPECT_TRUE(std::all_of(sound->played.begin(), sound->played.end(), [](SoundFrame frame) { return frame == SoundFrame{}; }));
}

TEST_F(HdaStreamTest, stream_waits_while_the_host_has_no_room_and_loses_nothing) {
    const auto tone = sine(1000, 48000, 96000);
    const auto bytes = bytes_of({48000, 2, 2}, tone);
    driver.tune_output(1);
    driver.prepare({});
    sound->room = 1000;
    play({}, bytes, 200 * k_millisecond);
    EXPECT_EQ(sound->played.size(), 1000U);
    EXPECT_EQ(total, 4000U);
    sound->room = k_any_number_of_frames;
    const size_t written = 0x2000 + 4000 / 0x800 * 0x800;
    keep_playing({}, bytes, written, 200 * k_millisecond);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 1000 + 9600, 100) << "nor does it catch up";
    for (size_t index = 0; index < sound->played.size(); ++index) {
        ASSERT_NEAR(sound->played[index].left, tone[index].left, 1.0 / 32768) << "frame " << index;
    }
}

TEST_F(HdaStreamTest, stream_follows_the_hosts_pace) {
    driver.tune_output(1);
    driver.prepare({});
    sound->pace_ppm = 5000;
    play({}, bytes_of({48000, 2, 2}, sine(1000, 48000, 96000)), 1'000'000'000);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 48240, 48);
}

TEST_F(HdaStreamTest, stopped_stream_gives_the_host_back_and_goes_on_where_it_was) {
    driver.tune_output(1);
    driver.prepare({});
    driver.run(k_output);
    clock.advance(7 * k_millisecond);
    driver.stop(k_output);
    EXPECT_EQ(sound->outputs_open, 0U);
    const uint32_t position = driver.sd(k_output, k_sd_lpib);
    EXPECT_EQ(position, 336U * 4);
    clock.advance(50 * k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), position);
    driver.run(k_output);
    clock.advance(k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), position + 48 * 4);
    driver.set_sd(k_output, k_sd_ctl, k_sd_ctl_srst, 1);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), 0U);
    EXPECT_EQ(sound->outputs_open, 0U);
}

TEST_F(HdaStreamTest, streams_held_together_start_together) {
    driver.set_reg(k_ssync_ich, 3U << k_output);
    driver.prepare({});
    driver.prepare({.stream = k_output + 1, .tag = 2, .list = 0x1'4000});
    driver.run(k_output);
    clock.advance(3 * k_millisecond);
    driver.run(k_output + 1);
    clock.advance(3 * k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), 0U);
    EXPECT_NE(driver.sd(k_output, k_sd_sts, 1) & k_sd_sts_fifordy, 0U);
    EXPECT_EQ(driver.reg(k_ssync), 3U << k_output) << "where the specification has it";
    driver.set_reg(k_ssync, 0);
    clock.advance(2 * k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), 96U * 4);
    EXPECT_EQ(driver.sd(k_output + 1, k_sd_lpib), 96U * 4);
}

TEST_F(HdaStreamTest, microphone_is_recorded_whole) {
    sound->spoken = sine(440, 48000, 48000);
    driver.tune_input(5);
    const HdaDriver::Setup setup{.stream = 0, .tag = 5};
    driver.prepare(setup);
    driver.run(0);
    const uint32_t size = setup.fragment * setup.fragments;
    std::vector<std::byte> recorded;
    uint32_t last = 0;
    while (recorded.size() < size_t{24000} * 4) {
        clock.advance(5 * k_millisecond);
        const uint32_t position = driver.sd(0, k_sd_lpib);
        for (; last != position; last = (last + 4) % size) {
            recorded.resize(recorded.size() + 4);
            ASSERT_TRUE(memory->read(setup.buffer + last, &recorded[recorded.size() - 4], 4));
        }
    }
    EXPECT_EQ(clock.now() / k_millisecond, 500U);
    std::vector<SoundFrame> frames(recorded.size() / 4);
    decode_frames({48000, 2, 2}, 0, recorded, frames);
    EXPECT_NEAR(frequency_of(frames, 48000), 440, 0.1);
    for (size_t index = 0; index < frames.size(); ++index) {
        ASSERT_NEAR(frames[index].left, sound->spoken[index].left, 1.0 / 32768) << "frame " << index;
    }
}

TEST_F(HdaStreamTest, recording_waits_for_a_host_that_is_late) {
    sound->spoken = sine(440, 48000, 100);
    driver.tune_input(5);
    driver.prepare({.stream = 0, .tag = 5});
    driver.run(0);
    clock.advance(50 * k_millisecond);
    EXPECT_EQ(driver.sd(0, k_sd_lpib), 400U);
    sound->spoken = sine(440, 48000, 4800);
    clock.advance(20 * k_millisecond);
    EXPECT_GT(driver.sd(0, k_sd_lpib), 400U);
}

TEST_F(HdaStreamTest, machine_saved_in_the_midst_plays_on_elsewhere) {
    const auto tone = sine(1000, 48000, 96000);
    const auto bytes = bytes_of({48000, 2, 2}, tone);
    driver.tune_output(1);
    driver.prepare({});
    play({}, bytes, 123 * k_millisecond);
    hda->pause();
    const auto state = saved();
    const size_t before = sound->played.size();

    HdaMachine other;
    other.clock.advance(clock.now());
    std::vector<std::byte> ram(memory->ram_bytes());
    ASSERT_TRUE(memory->read(0, ram.data(), ram.size()));
    ASSERT_TRUE(other.memory->write(0, ram.data(), ram.size()));
    other.hda->pause();
    StateReader reader(state);
    other.hda->load(reader);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(other.saved(), state);
    other.hda->resume();
    other.clock.advance(20 * k_millisecond);
    HdaDriver there(other, other.bus);
    const uint32_t position = there.sd(k_output, k_sd_lpib);
    EXPECT_EQ(position, (before + other.sound->played.size()) * 4 % 0x2000);
    EXPECT_EQ(other.sound->output_rate, 48000U);
    ASSERT_NEAR(static_cast<double>(other.sound->played.size()), 960, 5);
    for (size_t index = 0; index < other.sound->played.size(); ++index) {
        ASSERT_NEAR(other.sound->played[index].left, tone[before + index].left, 1.0 / 32768) << "frame " << index;
    }
    EXPECT_TRUE((there.sd(k_output, k_sd_sts, 1) & k_sd_sts_bcis) != 0);
}

TEST_F(HdaStreamTest, paused_device_touches_nothing) {
    driver.tune_output(1);
    driver.prepare({});
    driver.run(k_output);
    hda->pause();
    clock.advance(50 * k_millisecond);
    EXPECT_TRUE(sound->played.empty());
    hda->resume();
    clock.advance(2 * k_millisecond);
    EXPECT_FALSE(sound->played.empty());
}

// --- nonsense ---------------------------------------------------------------------------------------------

class HdaNonsenseTest : public HdaStreamTest {
  protected:
    void SetUp() override { set_log_level(LogLevel::error); }
    void TearDown() override { set_log_level(LogLevel::info); }
    [[nodiscard]] bool stopped_by_descriptor_error(unsigned stream = k_output) {
        return (driver.sd(stream, k_sd_sts, 1) & k_sd_sts_dese) != 0 && (driver.sd(stream, k_sd_ctl, 1) & k_sd_ctl_run) == 0;
    }
};

TEST_F(HdaNonsenseTest, list_outside_memory_stops_the_stream) {
    driver.tune_output(1);
    driver.prepare({});
    driver.set_sd(k_output, k_sd_bdpu, 0x80);
    driver.run(k_output);
    clock.advance(10 * k_millisecond);
    EXPECT_TRUE(stopped_by_descriptor_error());
    EXPECT_EQ(driver.reg(k_intsts), k_int_gie | 1U << k_output);
    EXPECT_EQ(sound->outputs_open, 0U);
    driver.set_sd(k_output, k_sd_sts, k_sd_sts_dese, 1);
    EXPECT_EQ(driver.reg(k_intsts), 0U);
}

TEST_F(HdaNonsenseTest, buffer_in_registers_stops_the_stream) {
    for (const unsigned stream : {0U, k_output}) {
        const HdaDriver::Setup setup{.stream = stream, .tag = 3, .buffer = HdaDriver::k_registers};
        driver.prepare(setup);
        driver.run(stream);
        clock.advance(10 * k_millisecond);
        EXPECT_TRUE(stopped_by_descriptor_error(stream)) << stream;
    }
}

TEST_F(HdaNonsenseTest, buffer_beyond_the_end_of_addresses_stops_the_stream) {
    driver.prepare({.buffer = ~GuestAddress{0} - 0x7f});
    driver.run(k_output);
    clock.advance(10 * k_millisecond);
    EXPECT_TRUE(stopped_by_descriptor_error());
}

TEST_F(HdaNonsenseTest, empty_buffers_take_no_time) {
    driver.tune_output(1);
    driver.prepare({.fragment = 0, .fragments = 256});
    driver.run(k_output);
    clock.advance(1'000 * k_millisecond);
    EXPECT_TRUE(sound->played.empty());
    EXPECT_NE(driver.sd(k_output, k_sd_sts, 1) & k_sd_sts_bcis, 0U);
}

TEST_F(HdaNonsenseTest, tiny_buffers_are_played_as_far_as_the_budget_goes) {
    driver.tune_output(1);
    driver.prepare({.fragment = 1, .fragments = 256});
    driver.run(k_output);
    clock.advance(1'000 * k_millisecond);
    EXPECT_GT(sound->played.size(), 500U);
    EXPECT_LE(sound->played.size(), 48'100U);
}

TEST_F(HdaNonsenseTest, cyclic_length_shorter_than_the_list_only_turns_the_position_round) {
    driver.tune_output(1);
    driver.prepare({});
    driver.set_sd(k_output, k_sd_cbl, 0x100);
    driver.run(k_output);
    clock.advance(20 * k_millisecond);
    EXPECT_LT(driver.sd(k_output, k_sd_lpib), 0x100U);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 960, 5);
    driver.set_sd(k_output, k_sd_cbl, 0);
    clock.advance(20 * k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), 0U);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 1920, 5);
}

TEST_F(HdaNonsenseTest, format_that_is_none_stands_still) {
    driver.tune_output(1);
    driver.prepare({.format = 0x7f7f});
    driver.run(k_output);
    clock.advance(100 * k_millisecond);
    EXPECT_EQ(driver.sd(k_output, k_sd_lpib), 0U);
}

TEST_F(HdaNonsenseTest, second_stream_with_the_same_tag_is_not_heard) {
    driver.tune_output(1);
    driver.prepare({});
    driver.prepare({.stream = k_output + 1, .format = 0x4011, .list = 0x1'4000, .buffer = 0x3'0000});
    driver.run(k_output);
    driver.run(k_output + 1);
    clock.advance(100 * k_millisecond);
    EXPECT_GT(driver.sd(k_output + 1, k_sd_lpib), 0U) << "but it runs";
    EXPECT_EQ(sound->outputs_opened, 1U);
    EXPECT_NEAR(static_cast<double>(sound->played.size()), 4800, 48);
}

TEST_F(HdaNonsenseTest, link_reset_in_the_midst_silences_everything) {
    driver.tune_output(1);
    driver.prepare({});
    driver.run(k_output);
    clock.advance(10 * k_millisecond);
    const size_t played = sound->played.size();
    driver.reset_link();
    clock.advance(100 * k_millisecond);
    EXPECT_EQ(sound->played.size(), played);
    EXPECT_EQ(sound->outputs_open, 0U);
    EXPECT_FALSE(intx());
}

TEST_F(HdaNonsenseTest, position_buffer_outside_memory_is_no_harm) {
    driver.set_reg(k_dplbase, k_dplbase_enable);
    driver.set_reg(k_dpubase, 0x8000'0000);
    driver.prepare({});
    driver.run(k_output);
    clock.advance(10 * k_millisecond);
    EXPECT_GT(driver.sd(k_output, k_sd_lpib), 0U);
}

}  // namespace
}  // namespace skep::test
