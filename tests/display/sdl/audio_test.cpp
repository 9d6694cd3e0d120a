// SPDX-License-Identifier: GPL-3.0-or-later
// The host's sound by SDL, with SDL's driver that writes to a file in real time: what a guest's stream hands over is
// all there, and nobody ever waits.
#include "display/sdl/audio_sdl.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/support/recording_sound.hpp"
#include "tests/support/temp_folder.hpp"

namespace skep::test {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr uint32_t k_rate = 48000;

class SdlSoundTest : public testing::Test {
  protected:
    void TearDown() override {
        for (const char* name : {"SDL_AUDIODRIVER", "SDL_DISKAUDIOFILE", "SDL_DISKAUDIOFILEIN", "SDL_DISKAUDIODELAY"}) {
            unsetenv(name);
        }
    }
    static void choose(const char* driver) { setenv("SDL_AUDIODRIVER", driver, 1); }
    void write_to_disk() const {
        choose("disk");
        setenv("SDL_DISKAUDIOFILE", file().c_str(), 1);
        setenv("SDL_DISKAUDIODELAY", "40", 1);  // milliseconds for 512 frames: slower than the busiest host feeds it
    }
    [[nodiscard]] std::filesystem::path file() const { return folder.path() / "sound.raw"; }
    [[nodiscard]] std::vector<SoundFrame> written() const {
        std::ifstream stream(file(), std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
        std::vector<SoundFrame> frames(bytes.size() / sizeof(SoundFrame));
        std::memcpy(frames.data(), bytes.data(), frames.size() * sizeof(SoundFrame));
        return frames;
    }
    // Hands `sound` over as room comes up; the longest that one call took.
    static SteadyClock::duration play(SoundOutput& output, std::span<const SoundFrame> sound) {
        SteadyClock::duration longest{};
        const auto end = SteadyClock::now() + 8s;
        while (!sound.empty() && SteadyClock::now() < end) {
            const auto before = SteadyClock::now();
            const size_t count = std::min({output.room(), sound.size(), size_t{240}});
            output.write(sound.first(count));
            longest = std::max(longest, SteadyClock::now() - before);
            sound = sound.subspan(count);
            std::this_thread::sleep_for(2ms);
        }
        EXPECT_TRUE(sound.empty()) << "the host took no more";
        return longest;
    }

    TempFolder folder;
};

TEST_F(SdlSoundTest, tone_reaches_the_host_whole) {
    write_to_disk();
    const auto tone = sine(1000, k_rate, k_rate / 4);
    {
        SdlSound sound;
        auto output = sound.open_output(k_rate);
        EXPECT_LT(play(*output, tone), 400ms) << "nobody waits for the host";
        output.reset();
        std::this_thread::sleep_for(800ms);  // what is queued is played after the stream has ended
    }
    const auto heard = written();
    const auto begin = std::find_if(heard.begin(), heard.end(), [](SoundFrame frame) { return frame.left != 0; });
    ASSERT_NE(begin, heard.end());
    // The tone's first sample is zero.
    const std::span<const SoundFrame> sounding(begin - 1, heard.end());
    ASSERT_GE(sounding.size(), tone.size());
    for (size_t index = 0; index < tone.size(); ++index) {
        ASSERT_EQ(sounding[index], tone[index]) << "frame " << index;
    }
    EXPECT_NEAR(frequency_of(sounding.first(tone.size()), k_rate), 1000, 0.1);
}

TEST_F(SdlSoundTest, next_sound_finds_the_device_open) {
    write_to_disk();
    SdlSound sound;
    for (unsigned round = 0; round < 3; ++round) {
        auto output = sound.open_output(k_rate);
        play(*output, sine(1000, k_rate, 4800));
    }
    const auto before = SteadyClock::now();
    auto output = sound.open_output(k_rate);
    EXPECT_LE(output->room(), k_rate / 10);
    EXPECT_LT(SteadyClock::now() - before, 400ms);
}

TEST_F(SdlSoundTest, queue_filled_before_the_device_is_open_is_played) {
    write_to_disk();
    SdlSound sound;
    auto output = sound.open_output(k_rate);
    const auto tone = sine(1000, k_rate, k_rate / 10);
    output->write(std::span(tone).first(std::min(output->room(), tone.size())));
    const auto end = SteadyClock::now() + 8s;
    while (output->room() == 0 && SteadyClock::now() < end) {
        std::this_thread::sleep_for(2ms);
    }
    EXPECT_GT(output->room(), 0U) << "nobody has written since, and yet it plays";
}

TEST_F(SdlSoundTest, host_without_sound_is_silent) {
    choose("no-such-driver");
    SdlSound sound;
    auto output = sound.open_output(k_rate);
    auto input = sound.open_input(k_rate);
    const auto end = SteadyClock::now() + 5s;
    while ((output->room() != k_any_number_of_frames || input->available() != k_any_number_of_frames) && SteadyClock::now() < end) {
        std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(output->room(), k_any_number_of_frames);
    output->write(sine(440, k_rate, 480));
    std::vector<SoundFrame> heard(100, SoundFrame{1, 1});
    input->read(heard);
    EXPECT_EQ(heard, std::vector<SoundFrame>(100));
}

TEST_F(SdlSoundTest, microphone_is_heard_whole) {
    const auto tone = sine(440, k_rate, k_rate / 2);
    {
        std::ofstream stream(file(), std::ios::binary);
        stream.write(reinterpret_cast<const char*>(tone.data()), static_cast<std::streamsize>(tone.size() * sizeof(SoundFrame)));
    }
    choose("disk");
    setenv("SDL_DISKAUDIOFILEIN", file().c_str(), 1);
    SdlSound sound;
    auto input = sound.open_input(k_rate);
    std::vector<SoundFrame> heard;
    const auto end = SteadyClock::now() + 8s;
    while (heard.size() < tone.size() && SteadyClock::now() < end) {
        std::vector<SoundFrame> part(std::min<size_t>(input->available(), tone.size() - heard.size()));
        input->read(part);
        heard.insert(heard.end(), part.begin(), part.end());
        std::this_thread::sleep_for(2ms);
    }
    EXPECT_EQ(heard, tone);
}

TEST_F(SdlSoundTest, rates_change_from_stream_to_stream) {
    write_to_disk();
    SdlSound sound;
    for (const uint32_t rate : {44100U, 8000U, 192000U}) {
        auto output = sound.open_output(rate);
        play(*output, sine(440, rate, rate / 8));
    }
}

}  // namespace
}  // namespace skep::test
