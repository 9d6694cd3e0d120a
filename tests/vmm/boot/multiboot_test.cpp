// SPDX-License-Identifier: GPL-3.0-or-later
// Multiboot: both load formats, modules, the boot information, and every refusal. The kernels are made by hand.
#include "vmm/boot/multiboot.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/vmm/boot/temporary_folder.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint64_t k_mib = 1 << 20;

void put_header(std::string& file, size_t at, uint32_t flags) {
    store_le<uint32_t>(&file[at], 0x1bad'b002);
    store_le<uint32_t>(&file[at + 4], flags);
    store_le<uint32_t>(&file[at + 8], 0u - 0x1bad'b002 - flags);
}

// ELF32 with one segment: 16 bytes "KERNELKERNELKERN" at `address`, 4096 bytes in memory.
std::string elf32(uint32_t address, uint32_t flags = 3) {
    std::string file(0x1000, '\0');
    file.replace(0, 7,
                 "\x7f"
                 "ELF\1\1\1");
    store_le<uint32_t>(&file[24], address + 4);
    store_le<uint32_t>(&file[28], 52);
    store_le<uint16_t>(&file[42], 32);
    store_le<uint16_t>(&file[44], 1);
    store_le<uint32_t>(&file[52], 1);
    store_le<uint32_t>(&file[52 + 4], 0x200);
    store_le<uint32_t>(&file[52 + 12], address);
    store_le<uint32_t>(&file[52 + 16], 16);
    store_le<uint32_t>(&file[52 + 20], 4096);
    put_header(file, 0x100, flags);
    return file.replace(0x200, 16, "KERNELKERNELKERN");
}

struct Multiboot : testing::Test {
    test::TemporaryFolder folder;
    std::unique_ptr<GuestMemory> memory = std::move(*GuestMemory::create(8 * k_mib));
    PlatformDescription platform;
    SetMultibootScreen set_screen;

    void SetUp() override { platform.low_ram_bytes = memory->low_ram_bytes(); }
    Result<CpuState> load(const std::string& kernel, std::vector<MultibootModule> modules = {}) {
        const MultibootFiles files{folder.write("kernel", kernel), "arg=1", std::move(modules)};
        return load_multiboot(*memory, platform, files, set_screen, reset_cpu_state(0x663));
    }
    std::string refusal(const std::string& kernel) {
        const auto state = load(kernel);
        return state ? "accepted" : state.error().message;
    }
    uint32_t word(GuestAddress address) { return memory->read_value<uint32_t>(address).value(); }
    std::string at(GuestAddress address, size_t size) {
        std::string out(size, '\0');
        EXPECT_TRUE(memory->read(address, out.data(), size));
        return out;
    }
};

TEST_F(Multiboot, elf_kernel_is_loaded_and_started_in_protected_mode) {
    ASSERT_TRUE(memory->write(k_mib + 16, "dirt", 4));
    const auto state = load(elf32(k_mib));
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(at(k_mib, 20), std::string("KERNELKERNELKERN\0\0\0\0", 20));  // rest of the segment is zeroed
    EXPECT_EQ(state->rip, k_mib + 4);
    EXPECT_EQ(state->gpr[k_rax], 0x2bad'b002u);
    EXPECT_EQ(state->cr0 & 0x8000'0001, 1u);
    EXPECT_EQ(state->rflags & 0x2'0200, 0u);
    EXPECT_TRUE(state->segment[k_cs].default_big());
}

TEST_F(Multiboot, boot_information_describes_memory_modules_and_texts) {
    const std::string path = folder.write("module", "MODULECONTENT");
    const auto state = load(elf32(k_mib), {{path, "first x=1"}, {path, "second"}});
    ASSERT_TRUE(state) << state.error().message;
    const auto info = static_cast<uint32_t>(state->gpr[k_rbx]);
    EXPECT_EQ(word(info), 0x24du);
    EXPECT_EQ(word(info + 4), 639u);
    EXPECT_EQ(word(info + 8), 7 * 1024u);
    EXPECT_EQ(at(word(info + 16), folder.path("kernel").size() + 7), folder.path("kernel") + " arg=1" + '\0');
    ASSERT_EQ(word(info + 20), 2u);
    const uint32_t list = word(info + 24);
    EXPECT_EQ(word(list) % 4096, 0u);
    EXPECT_EQ(word(list + 4) - word(list), 13u);
    EXPECT_EQ(at(word(list), 13), "MODULECONTENT");
    EXPECT_EQ(at(word(list + 8), 10), std::string("first x=1\0", 10));
    EXPECT_EQ(at(word(list + 16), 13), "MODULECONTENT");
    EXPECT_EQ(at(word(list + 24), 7), std::string("second\0", 7));
    uint64_t ram = 0;
    for (uint32_t entry = word(info + 48); entry < word(info + 48) + word(info + 44); entry += word(entry) + 4) {
        ram += word(entry + 20) == 1 ? memory->read_value<uint64_t>(entry + 12).value() : 0;
    }
    EXPECT_EQ(ram, 7 * k_mib + 0x9'fc00);
    EXPECT_EQ(at(word(info + 64), 5), std::string("Skep\0", 5));
}

TEST_F(Multiboot, kernel_that_wishes_nothing_is_told_of_text) {
    std::optional<MultibootVideo> wish = MultibootVideo{};
    set_screen = [&](const std::optional<MultibootVideo>& asked) {
        wish = asked;
        return MultibootScreen{{MultibootVideo::Mode::text, 80, 25, 16}, 0xb'8000};
    };
    const auto state = load(elf32(k_mib));
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_FALSE(wish);
    const auto info = static_cast<uint32_t>(state->gpr[k_rbx]);
    EXPECT_EQ(word(info), 0x1245U);
    EXPECT_EQ(at(info + 88, 22), std::string("\0\x80\x0b\0\0\0\0\0" "\xa0\0\0\0" "\x50\0\0\0" "\x19\0\0\0" "\x10\2", 22));
}

TEST_F(Multiboot, kernel_that_wishes_graphics_is_told_where_they_are) {
    std::optional<MultibootVideo> wish;
    set_screen = [&](const std::optional<MultibootVideo>& asked) {
        wish = asked;
        return MultibootScreen{{MultibootVideo::Mode::graphics, 800, 600, 32}, 0xfd00'0000};
    };
    std::string kernel = elf32(k_mib, 7);
    store_le<uint32_t>(&kernel[0x100 + 36], 800);
    store_le<uint32_t>(&kernel[0x100 + 40], 600);
    store_le<uint32_t>(&kernel[0x100 + 44], 24);
    const auto state = load(kernel);
    ASSERT_TRUE(state) << state.error().message;
    ASSERT_TRUE(wish);
    EXPECT_EQ(wish->mode, MultibootVideo::Mode::graphics);
    EXPECT_EQ(wish->width, 800U);
    EXPECT_EQ(wish->height, 600U);
    EXPECT_EQ(wish->depth, 24U);
    const auto info = static_cast<uint32_t>(state->gpr[k_rbx]);
    EXPECT_EQ(word(info), 0x1245U);
    EXPECT_EQ(at(info + 88, 28), std::string("\0\0\0\xfd\0\0\0\0" "\x80\x0c\0\0" "\x20\3\0\0" "\x58\2\0\0" "\x20\1" "\x10\x08\x08\x08\0\x08", 28));
}

TEST_F(Multiboot, header_addresses_load_any_format) {
    std::string file(0x400, '\0');
    put_header(file, 0x40, 0x1'0003);
    store_le<uint32_t>(&file[0x4c], 2 * k_mib + 0x20);  // header address: the file's load part starts at 0x20
    store_le<uint32_t>(&file[0x50], 2 * k_mib);
    store_le<uint32_t>(&file[0x54], 2 * k_mib + 0x100);
    store_le<uint32_t>(&file[0x58], 2 * k_mib + 0x1000);
    store_le<uint32_t>(&file[0x5c], 2 * k_mib + 0x80);
    file.replace(0x20, 4, "BODY");
    const auto state = load(file);
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 2 * k_mib + 0x80);
    EXPECT_EQ(at(2 * k_mib, 4), "BODY");
    store_le<uint32_t>(&file[0x54], 2 * k_mib + 0x800);
    EXPECT_NE(refusal(file).find("load size exceeds"), std::string::npos);
    store_le<uint32_t>(&file[0x50], 3 * k_mib);
    EXPECT_NE(refusal(file).find("does not fit its header"), std::string::npos);
}

TEST_F(Multiboot, files_that_are_no_kernel_are_refused) {
    EXPECT_NE(refusal(std::string(9000, 'x')).find("is not a multiboot kernel"), std::string::npos);
    std::string late(12000, '\0');
    put_header(late, 8192, 0);
    EXPECT_NE(refusal(late).find("is not a multiboot kernel"), std::string::npos);
    std::string plain(4096, '\0');
    put_header(plain, 0, 0);
    EXPECT_NE(refusal(plain).find("neither ELF"), std::string::npos);
    EXPECT_NE(refusal(elf32(k_mib, 0x8)).find("flags 0x8"), std::string::npos);
}

TEST_F(Multiboot, hostile_segments_are_refused) {
    EXPECT_NE(refusal(elf32(0x9'f000)).find("has no RAM"), std::string::npos);  // runs into the EBDA
    EXPECT_NE(refusal(elf32(0xb'8000)).find("has no RAM"), std::string::npos);
    EXPECT_NE(refusal(elf32(0xffff'f800)).find("above 4 GiB"), std::string::npos);
    EXPECT_NE(refusal(elf32(8 * k_mib)).find("more memory"), std::string::npos);
    std::string file = elf32(k_mib);
    store_le<uint32_t>(&file[52 + 4], 0xffff'fff0);
    EXPECT_NE(refusal(file).find("behind the file's end"), std::string::npos);
    file = elf32(k_mib);
    store_le<uint32_t>(&file[28], 0xffff'fff0);
    EXPECT_NE(refusal(file).find("program headers"), std::string::npos);
    file = elf32(k_mib);
    store_le<uint16_t>(&file[44], 0xffff);
    EXPECT_NE(refusal(file).find("program headers"), std::string::npos);
    EXPECT_EQ(refusal(elf32(0x1'0000)), "accepted");
}

TEST_F(Multiboot, kernel_up_to_the_end_of_memory_leaves_no_room_and_is_refused) {
    EXPECT_NE(refusal(elf32(8 * k_mib - 4096)).find("more memory"), std::string::npos);
}

TEST_F(Multiboot, random_damage_does_no_harm) {
    std::mt19937 random(2);
    for (int round = 0; round < 300; ++round) {
        std::string file = elf32(k_mib);
        for (int i = 0; i < 6; ++i) {
            file[random() % 0x80] = static_cast<char>(random());
        }
        const auto state = load(file);
        if (!state) {
            EXPECT_FALSE(state.error().message.empty());
        }
    }
}

}  // namespace
}  // namespace skep
