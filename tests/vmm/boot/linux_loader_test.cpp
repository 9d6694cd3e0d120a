// SPDX-License-Identifier: GPL-3.0-or-later
// Direct Linux boot: where things land, what the kernel is told, and every refusal. The kernels are made by hand.
#include "vmm/boot/linux_loader.hpp"

#include <gtest/gtest.h>

#include <map>

#include "tests/vmm/boot/kernel_images.hpp"
#include "tests/vmm/boot/temporary_folder.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/boot/direct_boot.hpp"

namespace skep {
namespace {

using test::bzimage;
using test::k_mib;

struct LinuxLoader : testing::Test {
    test::TemporaryFolder folder;
    std::unique_ptr<GuestMemory> memory = std::move(*GuestMemory::create(32 * k_mib));
    PlatformDescription platform;

    void SetUp() override { platform.low_ram_bytes = memory->low_ram_bytes(); }
    Result<CpuState> load(const std::string& kernel, const std::string& initrd = {},
                          const std::string& line = "quiet") {
        LinuxFiles files{.kernel = folder.write("vmlinuz", kernel), .initrd = {}, .command_line = line};
        if (!initrd.empty()) {
            files.initrd = folder.write("initrd", initrd);
        }
        return load_linux(*memory, platform, files, 0xff000, reset_cpu_state(0x663));
    }
    std::string refusal(const std::string& kernel, const std::string& initrd = {}, const std::string& line = {}) {
        const auto state = load(kernel, initrd, line);
        return state ? "accepted" : state.error().message;
    }
    std::string at(GuestAddress address, size_t size) {
        std::string out(size, '\0');
        EXPECT_TRUE(memory->read(address, out.data(), size));
        return out;
    }
    template <typename T>
    T param(size_t offset, GuestAddress params) {
        return memory->read_value<T>(params + offset).value();
    }
};

TEST_F(LinuxLoader, kernel_with_64_bit_entry_starts_in_long_mode) {
    const auto state = load(bzimage("KERNELCODE"), "INITRD");
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 16 * k_mib + 0x200);
    EXPECT_EQ(at(16 * k_mib, 10), "KERNELCODE");
    EXPECT_EQ(state->rflags & 0x200, 0u);
    EXPECT_EQ(state->msr.efer, 0x500u);
    EXPECT_EQ(state->cr4 & 0x20, 0x20u);
    EXPECT_EQ(state->segment[k_cs].selector, 0x10);
    EXPECT_TRUE(state->segment[k_cs].long_mode());
    EXPECT_EQ(state->segment[k_ds].selector, 0x18);
    // The kernel lies at its own address by the page tables too: walk PML4, PDPT, PD.
    const auto pdpt = memory->read_value<uint64_t>(state->cr3).value() & ~0xfffull;
    const auto directory = memory->read_value<uint64_t>(pdpt).value() & ~0xfffull;
    EXPECT_EQ(memory->read_value<uint64_t>(directory + 8 * 8).value(), 16 * k_mib | 0x83);
    // The descriptor of CS in the GDT agrees with the hidden part.
    EXPECT_EQ(memory->read_value<uint64_t>(state->gdtr.base + 0x10).value(), 0x00af'9b00'0000'ffffu);
}

TEST_F(LinuxLoader, boot_parameters_name_initrd_command_line_map_and_rsdp) {
    const std::string initrd(5000, 'i');
    const auto state = load(bzimage("K"), initrd, "console=ttyS0");
    ASSERT_TRUE(state) << state.error().message;
    const GuestAddress params = state->gpr[k_rsi];
    EXPECT_EQ(at(params + 0x202, 4), "HdrS");
    EXPECT_EQ(param<uint8_t>(0x210, params), 0xff);
    const auto start = param<uint32_t>(0x218, params);
    EXPECT_EQ(param<uint32_t>(0x21c, params), 5000u);
    EXPECT_EQ(start % 4096, 0u);
    EXPECT_LE(start + 5000u, memory->ram_bytes());
    EXPECT_GE(start, 20 * k_mib);
    EXPECT_EQ(at(start, 5000), initrd);
    EXPECT_EQ(at(param<uint32_t>(0x228, params), 14), std::string("console=ttyS0\0", 14));
    EXPECT_EQ(param<uint64_t>(0x70, params), 0xff000u);
    EXPECT_EQ(param<uint8_t>(0x1e8, params), 6);
    EXPECT_EQ(param<uint64_t>(0x2d0, params), 0u);
    EXPECT_EQ(param<uint32_t>(0x2d0 + 16, params), 1u);
    EXPECT_EQ(param<uint8_t>(0x0f, params), 0);  // no VGA
}

TEST_F(LinuxLoader, initrd_stays_below_its_limit) {
    std::string kernel = bzimage("K");
    store_le<uint32_t>(&kernel[0x22c], 24 * k_mib - 1);
    const auto state = load(kernel, std::string(4096, 'i'));
    ASSERT_TRUE(state);
    EXPECT_EQ(param<uint32_t>(0x218, state->gpr[k_rsi]), 24 * k_mib - 4096);
}

TEST_F(LinuxLoader, kernel_without_64_bit_entry_starts_in_protected_mode) {
    std::string kernel = bzimage("K");
    kernel[0x236] = 0;
    const auto state = load(kernel);
    ASSERT_TRUE(state);
    EXPECT_EQ(state->rip, 16 * k_mib);
    EXPECT_EQ(state->cr0 & 0x8000'0001, 1u);
    EXPECT_TRUE(state->segment[k_cs].default_big());
    EXPECT_EQ(state->segment[k_cs].limit, 0xffff'ffffu);
    EXPECT_EQ(at(state->gpr[k_rsi] + 0x202, 4), "HdrS");
}

std::string zstd_payload(const std::string& vmlinux) {
    return test::with_size(test::packed(vmlinux, archive_write_add_filter_zstd), vmlinux.size());
}

TEST_F(LinuxLoader, packed_kernel_starts_unpacked_at_its_own_entry) {
    memory->ram_at(16 * k_mib, 4 * k_mib)[4] = std::byte{'!'};  // of an earlier boot
    const std::string vmlinux = test::elf_image({{16 * k_mib, "CODE", 8}, {18 * k_mib, "DATA", 4}});
    std::string kernel = test::bzimage_with_payload(zstd_payload(vmlinux));
    kernel[0x211] = 3;  // KASLR_FLAG
    const auto state = load(kernel, "INITRD");
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 16 * k_mib);
    EXPECT_EQ(state->msr.efer, 0x500u);
    EXPECT_EQ(at(16 * k_mib, 8), std::string("CODE\0\0\0\0", 8));
    EXPECT_EQ(at(18 * k_mib, 4), "DATA");
    EXPECT_EQ(param<uint8_t>(0x211, state->gpr[k_rsi]), 1);
    EXPECT_GE(param<uint32_t>(0x218, state->gpr[k_rsi]), 20 * k_mib);
}

TEST_F(LinuxLoader, packed_32_bit_kernel_starts_in_protected_mode) {
    std::string kernel =
        test::bzimage_with_payload(zstd_payload(test::elf_image({{16 * k_mib, "CODE", 8}}, false)));
    kernel[0x236] = 0;
    const auto state = load(kernel);
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 16 * k_mib);
    EXPECT_EQ(state->cr0 & 0x8000'0001, 1u);
    EXPECT_EQ(at(16 * k_mib, 4), "CODE");
}

TEST_F(LinuxLoader, kernel_of_unknown_packing_unpacks_itself) {
    const auto state = load(test::bzimage_with_payload("no such packing, but a payload"));
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 16 * k_mib + 0x200);
    EXPECT_EQ(at(16 * k_mib, 36), std::string(32, 'd') + "no s");
}

TEST_F(LinuxLoader, payload_outside_the_file_unpacks_itself) {
    for (const uint32_t offset : {0U, 33U, 0xffff'fff0U}) {
        std::string kernel = test::bzimage_with_payload("payload");
        store_le(&kernel[0x248], offset);
        store_le<uint32_t>(&kernel[0x24c], 0xffff'ffff);
        const auto state = load(kernel);
        ASSERT_TRUE(state) << state.error().message;
        EXPECT_EQ(state->rip, 16 * k_mib + 0x200);
    }
}

TEST_F(LinuxLoader, files_that_are_no_kernel_are_refused) {
    EXPECT_NE(refusal(std::string(4096, 'x')).find("is not a Linux kernel (no HdrS signature at 0x202)"),
              std::string::npos);
    EXPECT_NE(refusal("short").find("not a Linux kernel"), std::string::npos);
    std::string old = bzimage("K");
    store_le<uint16_t>(&old[0x206], 0x203);
    EXPECT_NE(refusal(old).find("boot protocol 2.03"), std::string::npos);
    std::string low = bzimage("K");
    low[0x211] = 0;
    EXPECT_NE(refusal(low).find("zImage"), std::string::npos);
    const std::string whole = bzimage(std::string(8192, 'k'));
    EXPECT_NE(refusal(whole.substr(0, whole.size() - 4096)).find("truncated"), std::string::npos);
    EXPECT_NE(refusal(whole.substr(0, 5 * 512)).find("truncated"), std::string::npos);
    EXPECT_EQ(refusal(whole), "accepted");
}

TEST_F(LinuxLoader, hostile_addresses_are_refused) {
    for (const uint64_t address :
         {uint64_t{0}, uint64_t{0x9000}, uint64_t{0x8000'0000}, ~uint64_t{0}, ~uint64_t{0} - 4096}) {
        std::string kernel = bzimage("K");
        store_le<uint64_t>(&kernel[0x258], address);
        EXPECT_NE(refusal(kernel).find("asks to be loaded"), std::string::npos) << address;
    }
    std::string hungry = bzimage("K");
    store_le<uint32_t>(&hungry[0x260], 0xffff'ffff);
    EXPECT_NE(refusal(hungry).find("give it more memory"), std::string::npos);
    std::string nowhere = bzimage("K");
    store_le<uint32_t>(&nowhere[0x22c], 1024);
    EXPECT_NE(refusal(nowhere, "initrd").find("0 MiB of the VM's memory"), std::string::npos);
}

TEST_F(LinuxLoader, what_does_not_fit_is_refused) {
    EXPECT_NE(refusal(bzimage("K"), std::string(13 * k_mib, 'i')).find("give the VM more memory"), std::string::npos);
    EXPECT_NE(refusal(bzimage("K"), {}, std::string(101, 'a')).find("takes at most 100"), std::string::npos);
    EXPECT_NE(refusal(bzimage("K"), {}, std::string("a\0b", 3)).find("NUL"), std::string::npos);
}

// struct screen_info of Documentation/arch/x86/zero-page.rst; rsi points at boot_params.
TEST_F(LinuxLoader, screen_is_described_to_the_kernel) {
    LinuxFiles files{.kernel = folder.write("k", bzimage("K")), .initrd = {}, .command_line = {}};
    const auto without = load_linux(*memory, platform, files, 0, reset_cpu_state(0x663));
    ASSERT_TRUE(without);
    EXPECT_EQ(param<uint8_t>(0x0f, without->gpr[k_rsi]), 0);
    files.screen = BootScreen{.address = 0xe000'0000, .bytes = 640 * 400 * 4, .width = 640, .height = 400};
    const auto with = load_linux(*memory, platform, files, 0, reset_cpu_state(0x663));
    ASSERT_TRUE(with);
    const GuestAddress params = with->gpr[k_rsi];
    EXPECT_EQ(param<uint8_t>(0x0f, params), 0x23) << "VIDEO_TYPE_VLFB";
    EXPECT_EQ(param<uint16_t>(0x12, params), 640);
    EXPECT_EQ(param<uint16_t>(0x14, params), 400);
    EXPECT_EQ(param<uint16_t>(0x16, params), 32);
    EXPECT_EQ(param<uint32_t>(0x18, params), 0xe000'0000U);
    EXPECT_EQ(param<uint32_t>(0x1c, params), 640U * 400 * 4 >> 16) << "in units of 64 KiB";
    EXPECT_EQ(param<uint16_t>(0x24, params), 640 * 4);
}

TEST_F(LinuxLoader, missing_initrd_is_named) {
    LinuxFiles files{.kernel = folder.write("k", bzimage("K")), .initrd = folder.path("gone"), .command_line = {}};
    const auto state = load_linux(*memory, platform, files, 0, reset_cpu_state(0x663));
    ASSERT_FALSE(state);
    EXPECT_NE(state.error().message.find("gone"), std::string::npos);
}

// --- what firmware would have left behind ------------------------------------------------------------------------

struct DirectBoot : LinuxLoader {
    uint8_t sum(GuestAddress address, size_t size) {
        uint8_t total = 0;
        for (const char value : at(address, size)) {
            total = static_cast<uint8_t>(total + static_cast<uint8_t>(value));
        }
        return total;
    }
    GuestAddress scan(const std::string& signature) {
        for (GuestAddress address = 0xf0000; address < 0x100000; address += 16) {
            if (at(address, signature.size()) == signature) {
                return address;
            }
        }
        return 0;
    }
};

TEST_F(DirectBoot, tables_are_found_by_scanning) {
    const auto rsdp = place_direct_boot_tables(*memory, platform);
    ASSERT_TRUE(rsdp) << rsdp.error().message;
    EXPECT_EQ(scan("RSD PTR "), *rsdp);
    EXPECT_EQ(sum(*rsdp, 36), 0);
    EXPECT_EQ(at(memory->read_value<uint64_t>(*rsdp + 24).value(), 4), "XSDT");
    const GuestAddress smbios = scan("_SM3_");
    ASSERT_NE(smbios, 0u);
    EXPECT_EQ(sum(smbios, 24), 0);
    const auto old_smbios = scan("_SM_");
    ASSERT_NE(old_smbios, 0u);
    EXPECT_EQ(sum(old_smbios, 31), 0);
    const GuestAddress floating = scan("_MP_");
    ASSERT_NE(floating, 0u);
    EXPECT_EQ(sum(floating, 16), 0);
    const auto table = memory->read_value<uint32_t>(floating + 4).value();
    EXPECT_EQ(at(table, 4), "PCMP");
    EXPECT_EQ(sum(table, memory->read_value<uint16_t>(table + 4).value()), 0);
}

TEST_F(DirectBoot, mp_table_entries_fill_the_table_exactly) {
    platform.cpu_count = 2;
    ASSERT_TRUE(place_direct_boot_tables(*memory, platform));
    const auto table = memory->read_value<uint32_t>(scan("_MP_") + 4).value();
    const GuestAddress end = table + memory->read_value<uint16_t>(table + 4).value();
    const auto count = memory->read_value<uint16_t>(table + 34).value();
    GuestAddress entry = table + 44;
    unsigned processors = 0;
    for (unsigned i = 0; i < count; ++i) {
        const auto type = memory->read_value<uint8_t>(entry).value();
        processors += type == 0 ? 1 : 0;
        entry += type == 0 ? 20 : 8;
    }
    EXPECT_EQ(entry, end);
    EXPECT_EQ(processors, 2u);
}

TEST_F(DirectBoot, too_many_processors_are_refused) {
    platform.cpu_count = 4096;
    const auto rsdp = place_direct_boot_tables(*memory, platform);
    ASSERT_FALSE(rsdp);
    EXPECT_NE(rsdp.error().message.find("fewer processors"), std::string::npos);
}

TEST_F(DirectBoot, chipset_setup_opens_ram_and_places_the_acpi_registers) {
    uint32_t address = 0;
    std::map<uint32_t, uint32_t> config;
    for (const PortWrite& write : direct_boot_chipset_setup(platform)) {
        if (write.port == 0xcf8) {
            address = write.value & 0x7fff'ffff;
        } else if (write.port >= 0xcfc && write.port <= 0xcff) {
            config[address + (write.port & 3u)] = write.value;
        }
    }
    EXPECT_EQ(config[0x90], 0x30u);
    EXPECT_EQ(config[0x96], 0x33u);
    EXPECT_EQ(config[0x60], 0xb000'0001u);
    EXPECT_EQ(config[0xf840], 0x601u);
    EXPECT_EQ(config[0xf844], 0x80u);
    EXPECT_EQ(config[0xf86b], 11u);
}

}  // namespace
}  // namespace skep
