// SPDX-License-Identifier: GPL-3.0-or-later
// The flash chip by its data sheet: array reads as memory, commands, what programming and erasing do, the buffer, wrong
// sequences, what reaches the store, and OVMF's way to find out that it is a flash.
#include "devices/board/cfi_flash.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_machine.hpp"

namespace skep {
namespace {

constexpr GuestAddress k_at = 0xffc0'0000;
constexpr uint64_t k_size = 4 * CfiFlash::k_block;

struct NotingStore final : FlashStore {
    explicit NotingStore(std::vector<uint8_t>& to, unsigned& count) : copy(to), syncs(count) {}
    void written(uint64_t offset, std::span<const std::byte> bytes) override {
        for (size_t i = 0; i < bytes.size(); ++i) {
            copy.at(offset + i) = static_cast<uint8_t>(bytes[i]);
        }
    }
    void sync() override { ++syncs; }
    std::vector<uint8_t>& copy;
    unsigned& syncs;
};

struct CfiFlashTest : testing::Test {
    CfiFlashTest() : array(machine.memory->add_device_memory(k_size).value()) {
        std::ranges::fill(array, std::byte{0xff});
        chip = std::make_unique<CfiFlash>(machine.context, k_at, array, std::make_unique<NotingStore>(stored, syncs));
    }
    void write(uint64_t offset, std::initializer_list<uint8_t> values) {
        for (const uint8_t value : values) {
            machine.mmio.write(k_at + offset, 1, value);
        }
    }
    uint8_t read(uint64_t offset) {
        const auto direct = machine.memory->read_value<uint8_t>(k_at + offset);
        return direct ? *direct : static_cast<uint8_t>(machine.mmio.read(k_at + offset, 1));
    }
    [[nodiscard]] bool reads_are_memory() const { return machine.memory->find(k_at).has_value(); }
    std::vector<std::byte> saved() {
        StateWriter writer;
        chip->save(writer);
        return writer.bytes();
    }

    test::FakeMachine machine;
    std::vector<uint8_t> stored = std::vector<uint8_t>(k_size, 0xff);
    unsigned syncs = 0;
    std::span<std::byte> array;
    std::unique_ptr<CfiFlash> chip;
};

TEST_F(CfiFlashTest, array_reads_are_plain_memory_which_the_guest_cannot_write) {
    EXPECT_TRUE(reads_are_memory());
    EXPECT_FALSE(machine.memory->write_value<uint8_t>(k_at, 1));
    array[5] = std::byte{0x5a};
    EXPECT_EQ(read(5), 0x5a);
}

// edk2, OvmfPkg/QemuFlashFvbServicesRuntimeDxe: neither RAM, which gives back what was written, nor ROM, which does not change.
TEST_F(CfiFlashTest, ovmf_takes_it_for_a_flash) {
    const uint8_t original = read(0x100);
    write(0x100, {0x50});
    EXPECT_NE(read(0x100), 0x50);
    write(0x100, {0x70});
    EXPECT_NE(read(0x100), original);
    EXPECT_EQ(read(0x100), 0x00);
    write(0x100, {0xff});
    EXPECT_EQ(read(0x100), original);
    EXPECT_TRUE(reads_are_memory());
}

TEST_F(CfiFlashTest, programming_turns_ones_into_zeros_only_and_reaches_the_store) {
    write(7, {0x10, 0xf0});
    EXPECT_FALSE(reads_are_memory()) << "the status is shown";
    EXPECT_EQ(read(7), 0x80);
    write(7, {0x40, 0x3f, 0xff});
    EXPECT_EQ(read(7), 0x30);
    EXPECT_EQ(stored[7], 0x30);
    EXPECT_EQ(stored[6], 0xff);
}

TEST_F(CfiFlashTest, erasing_makes_a_block_of_ones) {
    std::ranges::fill(array, std::byte{0});
    write(CfiFlash::k_block + 12, {0x20, 0xd0, 0xff});
    EXPECT_EQ(read(CfiFlash::k_block - 1), 0);
    EXPECT_EQ(read(CfiFlash::k_block), 0xff);
    EXPECT_EQ(read(2 * CfiFlash::k_block - 1), 0xff);
    EXPECT_EQ(read(2 * CfiFlash::k_block), 0);
    EXPECT_EQ(stored[CfiFlash::k_block], 0xff);
}

TEST_F(CfiFlashTest, erase_without_its_confirmation_is_a_sequence_error_until_cleared) {
    array[0] = std::byte{0};
    write(0, {0x20, 0xff});
    EXPECT_EQ(read(0), 0x80 | 0x30);
    write(0, {0x50});
    EXPECT_EQ(read(0), 0);
    write(0, {0xff});
    EXPECT_EQ(read(0), 0);
}

TEST_F(CfiFlashTest, buffer_is_written_at_once_when_confirmed) {
    write(0x40, {0xe8});
    EXPECT_EQ(read(0x40), 0x80) << "the buffer is free";
    write(0x40, {2});  // three bytes
    write(0x42, {0x11});
    write(0x43, {0x22});
    write(0x45, {0x33});
    EXPECT_EQ(stored[0x42], 0xff);
    write(0x40, {0xd0, 0xff});
    EXPECT_EQ(read(0x42), 0x11);
    EXPECT_EQ(read(0x43), 0x22);
    EXPECT_EQ(read(0x44), 0xff);
    EXPECT_EQ(read(0x45), 0x33);
    EXPECT_EQ(stored[0x45], 0x33);
}

TEST_F(CfiFlashTest, buffer_refuses_too_many_bytes_strange_places_and_no_confirmation) {
    write(0, {0xe8, 32});
    EXPECT_EQ(read(0) & 0x30, 0x30);
    write(0, {0x50, 0xe8, 1});
    write(0x1f, {0});
    write(0x20, {0});  // the next run of 32 bytes
    EXPECT_EQ(read(0) & 0x30, 0x30);
    write(0, {0x50, 0xe8, 0, 0, 0xff});
    EXPECT_EQ(read(0) & 0x30, 0x30);
    EXPECT_EQ(stored, std::vector<uint8_t>(k_size, 0xff));
}

TEST_F(CfiFlashTest, identifier_and_query_tell_what_chip_it_is) {
    write(0, {0x90});
    EXPECT_EQ(read(0), 0x89);
    EXPECT_EQ(read(2), 0) << "not locked";
    write(0x55, {0x98});
    EXPECT_EQ(read(0x10), 'Q');
    EXPECT_EQ(read(0x12), 'Y');
    EXPECT_EQ(uint64_t{1} << read(0x27), k_size);
    EXPECT_EQ(read(0x2d) + 1, 4);
    EXPECT_EQ((read(0x2f) | read(0x30) << 8) * 256, 4096);
    EXPECT_EQ(read(0x200), 0);
}

TEST_F(CfiFlashTest, wide_access_goes_byte_by_byte) {
    machine.mmio.write(k_at, 2, 0x5a10);  // program, then the byte
    EXPECT_EQ(stored[1], 0x5a);
}

TEST_F(CfiFlashTest, reset_shows_the_array_and_forgets_half_a_command) {
    write(0, {0x10});
    chip->reset();
    EXPECT_TRUE(reads_are_memory());
    write(0, {0xff});
    EXPECT_EQ(read(0), 0xff);
}

TEST_F(CfiFlashTest, saved_in_the_middle_of_a_buffer_it_goes_on) {
    write(0, {0x10, 0x77});
    write(0x20, {0xe8, 1});
    write(0x20, {0x12});
    const std::vector<std::byte> state = saved();
    chip->reset();
    write(0, {0x20, 0xd0});
    StateReader reader(state);
    chip->load(reader);
    EXPECT_TRUE(reader.ok() && reader.at_end());
    EXPECT_EQ(stored[0], 0x77) << "the file has what the state has";
    write(0x21, {0x34});
    write(0x20, {0xd0, 0xff});
    EXPECT_EQ(read(0x20), 0x12);
    EXPECT_EQ(read(0x21), 0x34);
}

TEST_F(CfiFlashTest, foreign_state_is_refused) {
    std::vector<std::byte> state = saved();
    state[state.size() - 1] = std::byte{200};  // more bytes used than announced
    StateReader reader(state);
    chip->load(reader);
    EXPECT_FALSE(reader.ok());
}

TEST_F(CfiFlashTest, pause_makes_the_store_durable) {
    chip->pause();
    EXPECT_EQ(syncs, 1u);
}

}  // namespace
}  // namespace skep
