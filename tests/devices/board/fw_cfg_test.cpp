// SPDX-License-Identifier: GPL-3.0-or-later
// fw_cfg by its document: items, directory, byte port, DMA and its errors, saved state.
#include "devices/board/fw_cfg.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_machine.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint32_t k_error = 1, k_read = 2, k_skip = 4, k_select = 8, k_write = 16;

std::vector<std::byte> text(const std::string& content) {
    const auto* first = reinterpret_cast<const std::byte*>(content.data());
    return {first, first + content.size()};
}

struct FwCfgTest : testing::Test {
    test::FakeMachine machine;
    FwCfg device{machine.context};

    void select(uint16_t key) { machine.ports.write(0x510, 2, key); }
    std::string read_bytes(size_t count) {
        std::string out;
        for (size_t i = 0; i < count; ++i) {
            out.push_back(static_cast<char>(machine.ports.read(0x511, 1)));
        }
        return out;
    }
    // Puts a control structure at 0x1000, starts it, gives back the control word.
    uint32_t dma(uint32_t control, uint32_t length, uint64_t address, uint64_t at = 0x1000) {
        EXPECT_TRUE(machine.memory->write_value(at, byte_swap(control)));
        EXPECT_TRUE(machine.memory->write_value(at + 4, byte_swap(length)));
        EXPECT_TRUE(machine.memory->write_value(at + 8, byte_swap(address)));
        machine.ports.write(0x514, 4, byte_swap(static_cast<uint32_t>(at >> 32)));
        machine.ports.write(0x518, 4, byte_swap(static_cast<uint32_t>(at)));
        return byte_swap(machine.memory->read_value<uint32_t>(at).value_or(0xffffffff));
    }
    std::string guest_text(GuestAddress address, size_t size) {
        std::string out(size, '?');
        EXPECT_TRUE(machine.memory->read(address, out.data(), size));
        return out;
    }
};

TEST_F(FwCfgTest, signature_and_id_announce_dma) {
    select(0);
    EXPECT_EQ(read_bytes(5), std::string("QEMU\0", 5));
    select(1);
    EXPECT_EQ(read_bytes(4), std::string("\3\0\0\0", 4));
    EXPECT_EQ(machine.ports.read(0x514, 4), 0x554d4551u);  // "QEMU" as the bytes lie
    EXPECT_EQ(machine.ports.read(0x518, 4), 0x47464320u);  // " CFG"
}

TEST_F(FwCfgTest, select_eight_bits_wide_selects_low_keys) {
    device.set_item(0x05, text("ab"));
    machine.ports.write(0x510, 1, 0x05);
    EXPECT_EQ(read_bytes(3), std::string("ab\0", 3));
}

TEST_F(FwCfgTest, select_again_starts_over) {
    select(0);
    read_bytes(2);
    select(0);
    EXPECT_EQ(read_bytes(4), "QEMU");
}

TEST_F(FwCfgTest, missing_item_reads_zeros) {
    select(0x1234);
    EXPECT_EQ(read_bytes(3), std::string(3, '\0'));
    select(0x8003);
    EXPECT_EQ(read_bytes(3), std::string(3, '\0'));
}

TEST_F(FwCfgTest, directory_is_sorted_with_keys_from_0x20) {
    ASSERT_TRUE(device.set_file("etc/zebra", text("zz")));
    ASSERT_TRUE(device.set_file("bootorder", text("first")));
    select(0x19);
    std::string directory = read_bytes(4 + 2 * 64);
    EXPECT_EQ(load_be<uint32_t>(directory.data()), 2u);
    EXPECT_EQ(load_be<uint32_t>(&directory[4]), 5u);
    EXPECT_EQ(load_be<uint16_t>(&directory[8]), 0x20);
    EXPECT_STREQ(&directory[12], "bootorder");
    EXPECT_EQ(load_be<uint32_t>(&directory[68]), 2u);
    EXPECT_EQ(load_be<uint16_t>(&directory[72]), 0x21);
    EXPECT_STREQ(&directory[76], "etc/zebra");
    select(0x21);
    EXPECT_EQ(read_bytes(2), "zz");
}

TEST_F(FwCfgTest, set_file_bad_name_is_refused) {
    EXPECT_FALSE(device.set_file("", text("x")));
    EXPECT_FALSE(device.set_file(std::string(56, 'n'), text("x")));
    EXPECT_TRUE(device.set_file(std::string(55, 'n'), text("x")));
}

TEST_F(FwCfgTest, set_file_again_replaces_content) {
    ASSERT_TRUE(device.set_file("a", text("old")));
    ASSERT_TRUE(device.set_file("a", text("n")));
    select(0x20);
    EXPECT_EQ(read_bytes(2), std::string("n\0", 2));
}

TEST_F(FwCfgTest, dma_select_and_read_copies_and_pads_with_zeros) {
    ASSERT_TRUE(device.set_file("a", text("hello")));
    ASSERT_TRUE(machine.memory->write(0x2000, "XXXXXXXXX", 9));
    EXPECT_EQ(dma((0x20u << 16) | k_select | k_read, 8, 0x2000), 0u);
    EXPECT_EQ(guest_text(0x2000, 9), std::string("hello\0\0\0X", 9));
}

TEST_F(FwCfgTest, dma_skip_then_read_continues_there) {
    ASSERT_TRUE(device.set_file("a", text("0123456789")));
    EXPECT_EQ(dma((0x20u << 16) | k_select | k_skip, 4, 0), 0u);
    EXPECT_EQ(dma(k_read, 3, 0x2000), 0u);
    EXPECT_EQ(guest_text(0x2000, 3), "456");
    EXPECT_EQ(read_bytes(1), "7");
}

TEST_F(FwCfgTest, dma_skip_far_beyond_end_reads_zeros) {
    ASSERT_TRUE(device.set_file("a", text("0123456789")));
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(dma((i == 0 ? (0x20u << 16) | k_select : 0) | k_skip, 0xffffffff, 0), 0u);
    }
    EXPECT_EQ(dma(k_read, 2, 0x2000), 0u);
    EXPECT_EQ(guest_text(0x2000, 2), std::string(2, '\0'));
}

TEST_F(FwCfgTest, dma_write_sets_error) {
    ASSERT_TRUE(device.set_file("a", text("hello")));
    EXPECT_EQ(dma((0x20u << 16) | k_select | k_write, 5, 0x2000), k_error);
}

TEST_F(FwCfgTest, dma_outside_memory_sets_error) {
    ASSERT_TRUE(device.set_file("a", text("hello")));
    EXPECT_EQ(dma((0x20u << 16) | k_select | k_read, 5, machine.memory->ram_bytes() - 2), k_error);
    EXPECT_EQ(dma((0x20u << 16) | k_select | k_read, 0xffffffff, 0x2000), k_error);  // zero fill runs off the end
    EXPECT_EQ(dma(k_read, 16, 0xffff'ffff'ffff'fff8), k_error);
}

TEST_F(FwCfgTest, dma_control_structure_outside_memory_is_ignored) {
    machine.ports.write(0x514, 4, byte_swap(uint32_t{0xffffffff}));
    machine.ports.write(0x518, 4, byte_swap(uint32_t{0xfffffff8}));
    select(0);
    EXPECT_EQ(read_bytes(4), "QEMU");
}

TEST_F(FwCfgTest, reset_selects_signature) {
    ASSERT_TRUE(device.set_file("a", text("hello")));
    select(0x20);
    read_bytes(1);
    device.reset();
    EXPECT_EQ(read_bytes(4), "QEMU");
}

TEST_F(FwCfgTest, save_and_load_continue_in_the_middle_of_an_item) {
    ASSERT_TRUE(device.set_file("a", text("hello")));
    select(0x20);
    read_bytes(2);
    StateWriter writer;
    device.save(writer);
    device.reset();
    StateReader reader(writer.bytes());
    device.load(reader);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(read_bytes(3), "llo");
}

TEST_F(FwCfgTest, odd_accesses_do_no_harm) {
    for (uint64_t port = 0x510; port < 0x51c; ++port) {
        for (const unsigned size : {1u, 2u, 4u, 8u}) {
            machine.ports.write(port, size, 0xfedc'ba98'7654'3210);
            machine.ports.read(port, size);
        }
    }
    device.reset();
    select(0);
    EXPECT_EQ(read_bytes(4), "QEMU");
}

}  // namespace
}  // namespace skep
