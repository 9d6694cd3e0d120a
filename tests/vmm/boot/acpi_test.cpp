// SPDX-License-Identifier: GPL-3.0-or-later
// ACPI tables: structure, pointers, checksums, linker script; and what the reference disassembler and compiler say.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "devices/pci/intx.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/boot/acpi_tables.hpp"
#include "vmm/boot/dsdt.hpp"

namespace skep::acpi {
namespace {

constexpr GuestAddress k_base = 0x7fff'0000;

PlatformDescription platform_with(unsigned cpus) {
    PlatformDescription platform;
    platform.cpu_count = cpus;
    platform.low_ram_bytes = 0x8000'0000;
    platform.high_ram_bytes = 0x8000'0000;
    platform.serial_count = 4;
    return platform;
}

uint8_t sum(const std::vector<std::byte>& bytes, size_t start, size_t length) {
    uint8_t total = 0;
    for (size_t i = 0; i < length; ++i) {
        total = static_cast<uint8_t>(total + std::to_integer<uint8_t>(bytes.at(start + i)));
    }
    return total;
}

// Signature -> bytes of every table reachable from the XSDT, plus DSDT and FACS through the FADT.
std::map<std::string, std::vector<std::byte>> walk(const Tables& tables) {
    std::map<std::string, std::vector<std::byte>> found;
    const auto take = [&](uint64_t address) {
        const size_t start = address - k_base;
        const auto length = load_le<uint32_t>(&tables.tables.at(start + 4));
        std::string signature(reinterpret_cast<const char*>(&tables.tables.at(start)), 4);
        EXPECT_LE(start + length, tables.tables.size()) << signature;
        if (signature != "FACS") {
            EXPECT_EQ(sum(tables.tables, start, length), 0) << signature;
        }
        found[signature].assign(tables.tables.begin() + static_cast<long>(start),
                                tables.tables.begin() + static_cast<long>(start + length));
        return found[signature];
    };
    const auto xsdt = take(load_le<uint64_t>(&tables.rsdp.at(24)));
    const auto rsdt = take(load_le<uint32_t>(&tables.rsdp.at(16)));
    EXPECT_EQ((xsdt.size() - 36) / 8, (rsdt.size() - 36) / 4);
    for (size_t at = 36; at < xsdt.size(); at += 8) {
        EXPECT_EQ(load_le<uint64_t>(&xsdt[at]), load_le<uint32_t>(&rsdt.at(36 + (at - 36) / 2)));
        take(load_le<uint64_t>(&xsdt[at]));
    }
    take(load_le<uint32_t>(&found.at("FACP").at(36)));
    take(load_le<uint64_t>(&found.at("FACP").at(140)));
    return found;
}

TEST(AcpiTables, relocated_every_table_is_reachable_and_sums_to_zero) {
    const Tables tables = relocated(build_tables(platform_with(2)), k_base);
    EXPECT_EQ(sum(tables.rsdp, 0, 20), 0);
    EXPECT_EQ(sum(tables.rsdp, 0, 36), 0);
    const auto found = walk(tables);
    for (const char* signature : {"FACP", "FACS", "DSDT", "APIC", "HPET", "MCFG", "WAET", "RSDT", "XSDT"}) {
        EXPECT_EQ(found.count(signature), 1u) << signature;
    }
    EXPECT_EQ(found.at("FACP").size(), 276u);
    EXPECT_EQ(load_le<uint32_t>(&found.at("FACP").at(36)) % 64, 0u);  // FACS alignment
    EXPECT_EQ(load_le<uint32_t>(&found.at("FACP").at(56)), 0x600u);
    EXPECT_EQ(load_le<uint32_t>(&found.at("FACP").at(76)), 0x608u);
    EXPECT_EQ(load_le<uint64_t>(&found.at("FACP").at(120)), 0xcf9u);  // reset register
    EXPECT_EQ(load_le<uint64_t>(&found.at("MCFG").at(44)), 0xb000'0000u);
}

TEST(AcpiTables, interrupt_routing_is_the_one_of_the_pci_bus) {
    for (unsigned slot = 0; slot < 32; ++slot) {
        for (unsigned pin = 0; pin < 4; ++pin) {
            EXPECT_EQ(PlatformDescription{}.pci_gsi(slot, pin), intx_gsi(slot, pin)) << slot << " " << pin;
        }
    }
}

TEST(AcpiTables, without_hpet_no_hpet_table) {
    PlatformDescription platform = platform_with(1);
    platform.has_hpet = false;
    EXPECT_EQ(walk(relocated(build_tables(platform), k_base)).count("HPET"), 0u);
}

TEST(AcpiTables, madt_counts_processors_and_changes_to_x2apic_entries_above_254) {
    const auto madt = walk(relocated(build_tables(platform_with(300)), k_base)).at("APIC");
    std::map<unsigned, unsigned> entries;
    for (size_t at = 44; at < madt.size();) {
        const auto length = std::to_integer<unsigned>(madt.at(at + 1));
        ASSERT_GE(length, 2u);
        ++entries[std::to_integer<unsigned>(madt[at])];
        at += length;
    }
    EXPECT_EQ(entries[0], 255u);
    EXPECT_EQ(entries[9], 45u);
    EXPECT_EQ(entries[1], 1u);
    EXPECT_EQ(entries[2], 2u);
    EXPECT_EQ(entries[4], 1u);
    EXPECT_EQ(entries[10], 1u);
}

TEST(AcpiTables, loader_script_carried_out_gives_the_relocated_tables) {
    const Tables tables = build_tables(platform_with(3));
    const std::vector<std::byte> script = table_loader_script(tables);
    ASSERT_EQ(script.size() % 128, 0u);
    std::map<std::string, std::vector<std::byte>> files{{"etc/acpi/rsdp", tables.rsdp},
                                                        {"etc/acpi/tables", tables.tables}};
    std::map<std::string, uint64_t> address;
    const auto name_at = [&](size_t at) { return std::string(reinterpret_cast<const char*>(&script[at])); };
    for (size_t at = 0; at < script.size(); at += 128) {
        const auto command = load_le<uint32_t>(&script[at]);
        std::vector<std::byte>& file = files.at(name_at(at + 4));
        if (command == 1) {
            address[name_at(at + 4)] = name_at(at + 4) == "etc/acpi/rsdp" ? 0xf5000 : k_base;
            EXPECT_TRUE(is_power_of_two(load_le<uint32_t>(&script[at + 60])));
        } else if (command == 2) {
            const auto offset = load_le<uint32_t>(&script[at + 116]);
            const auto size = std::to_integer<unsigned>(script[at + 120]);
            uint64_t value = 0;
            std::memcpy(&value, &file.at(offset), size);
            value += address.at(name_at(at + 60));
            std::memcpy(&file.at(offset), &value, size);
        } else {
            ASSERT_EQ(command, 3u);
            const auto offset = load_le<uint32_t>(&script[at + 60]);
            file.at(offset) = static_cast<std::byte>(
                -sum(file, load_le<uint32_t>(&script[at + 64]), load_le<uint32_t>(&script[at + 68])));
        }
    }
    const Tables expected = relocated(tables, k_base);
    EXPECT_EQ(files["etc/acpi/rsdp"], expected.rsdp);
    EXPECT_EQ(files["etc/acpi/tables"], expected.tables);
}

// --- with acpica-tools -------------------------------------------------------------------------------------------

struct Outcome {
    int status = -1;
    std::string text;
};
Outcome run(const std::string& command) {
    Outcome result;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    char buffer[4096];
    while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) {
        result.text += buffer;
    }
    result.status = pipe != nullptr ? pclose(pipe) : -1;
    return result;
}

struct Disassembly : testing::Test {
    std::filesystem::path folder;

    void SetUp() override {
        if (run("command -v iasl").status != 0) {
            GTEST_SKIP() << "no iasl (package acpica-tools)";
        }
        std::string pattern = (std::filesystem::temp_directory_path() / "acpi-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }
    void TearDown() override {
        if (!folder.empty()) {
            std::filesystem::remove_all(folder);
        }
    }
    std::string check(const std::vector<std::byte>& table, const std::string& name) {
        const std::string base = (folder / name).string();
        std::ofstream(base + ".dat", std::ios::binary)
            .write(reinterpret_cast<const char*>(table.data()), static_cast<std::streamsize>(table.size()));
        const Outcome disassembled = run("iasl -d -p " + base + " " + base + ".dat");
        EXPECT_EQ(disassembled.status, 0) << disassembled.text;
        EXPECT_EQ(disassembled.text.find("arning"), std::string::npos) << disassembled.text;
        EXPECT_EQ(disassembled.text.find("rror"), std::string::npos) << disassembled.text;
        std::stringstream source;
        source << std::ifstream(base + ".dsl").rdbuf();
        const Outcome compiled = run("iasl -oa -p " + base + "-again " + base + ".dsl");
        EXPECT_EQ(compiled.status, 0) << compiled.text;
        if (name == "dsdt") {
            EXPECT_NE(compiled.text.find("0 Errors, 0 Warnings"), std::string::npos) << compiled.text;
        }
        return source.str();
    }
};

TEST_F(Disassembly, dsdt_disassembles_and_compiles_back_to_the_same_bytes) {
    for (const unsigned cpus : {1u, 255u}) {
        const auto dsdt = walk(relocated(build_tables(platform_with(cpus)), k_base)).at("DSDT");
        const std::string source = check(dsdt, "dsdt");
        for (const char* wanted :
             {"PNP0A08", "Device (COM4)", "ACPI0007", "PNP0103", "\\_S5", "_PRT", "Device (LNKH)"}) {
            EXPECT_NE(source.find(wanted), std::string::npos) << wanted;
        }
        std::ifstream again(folder / "dsdt-again.aml", std::ios::binary);
        const std::string compiled((std::istreambuf_iterator<char>(again)), {});
        ASSERT_EQ(compiled.size(), dsdt.size());
        EXPECT_EQ(std::memcmp(compiled.data() + 36, dsdt.data() + 36, dsdt.size() - 36), 0);
    }
}

TEST_F(Disassembly, data_tables_disassemble_without_complaint) {
    for (const auto& [signature, bytes] : walk(relocated(build_tables(platform_with(300)), k_base))) {
        if (signature != "DSDT") {
            check(bytes, signature);
        }
    }
}

}  // namespace
}  // namespace skep::acpi
