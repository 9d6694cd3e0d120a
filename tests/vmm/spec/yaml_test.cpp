// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <random>

#include "vmm/spec/spec_yaml.hpp"
#include "vmm/spec/yaml_tree.hpp"

namespace skep {
namespace {

VmSpec full_spec() {
    VmSpec spec;
    spec.id = "0b54aa8e-3d5c-4c4e-9d3c-6b8f1c2a7e10";
    spec.name = "Debian 12: \"test\"";
    spec.os = "debian12";
    spec.notes = "first line\n  indented: yes\n\n# no comment\n";
    spec.memory_mib = 1536;
    spec.cpus = 2;
    spec.cpu_backend = CpuBackend::interp;
    spec.firmware = Firmware::multiboot;
    spec.boot = {"cd0", "disk0"};
    spec.kernel = "/boot/no";
    spec.initrd = "";
    spec.append = "console=ttyS0 a='b' # {x}";
    spec.modules = {{"/m1", "arg: 1", {}}, {"m2", "", {{"later", "[1, 2]"}}}};
    spec.disks = {{"disk0", "disks/disk0.img", DiskBus::ahci, true, "S/N 1", {}}, {"disk1", "/y: z.img", DiskBus::virtio, false, "", {}}};
    spec.cds = {{"cd0", "/home/me/debian 12.iso", {}}, {"cd1", "", {}}};
    spec.serial_ports = 3;
    spec.display = DisplayKind::vga;
    spec.rng = false;
    spec.debug_exit = true;
    spec.sound = SoundKind::silent;
    spec.usb = UsbKind::xhci;
    spec.usb_keyboard = true;
    spec.unknown_usb = {{"hubs", "3"}};
    spec.debug_console = true;
    spec.on_reboot = OnReboot::exit;
    spec.on_power_off = AtEnd::restart;
    spec.install_kernel = "install/vmlinuz";
    spec.install_initrd = "install/initrd.gz";
    spec.install_append = "auto=true --- quiet";
    spec.unknown_install = {{"later", "1"}};
    spec.on_halt = AtEnd::restart;
    spec.on_crash = AtEnd::restart;
    spec.on_panic = OnPanic::pause;
    return spec;
}

std::string message_of(std::string_view text) {
    const auto spec = parse_spec(text);
    return spec ? "accepted" : spec.error().message;
}

TEST(SpecYaml, every_field_survives_printing_and_parsing) {
    const VmSpec spec = full_spec();
    const auto again = parse_spec(print_spec(spec));
    ASSERT_TRUE(again) << again.error().message << print_spec(spec);
    EXPECT_EQ(*again, spec);
    EXPECT_EQ(print_spec(*again), print_spec(spec));
}

TEST(SpecYaml, printed_file_is_stable_and_short) {
    VmSpec spec;
    spec.id = "0b54aa8e-3d5c-4c4e-9d3c-6b8f1c2a7e10";
    spec.name = "Debian 12";
    spec.disks = {{"disk0", "disks/disk0.img", DiskBus::virtio, false, "", {}}};
    EXPECT_EQ(print_spec(spec),
              "# A Skep virtual machine. The window and `skepctl set` change this file; it may also be edited by hand.\n"
              "format: 1\n"
              "id: \"0b54aa8e-3d5c-4c4e-9d3c-6b8f1c2a7e10\"\n"
              "name: Debian 12\n"
              "memory: 1G\n"
              "cpus: 1\n"
              "firmware: bios\n"
              "disks:\n"
              "  - id: disk0\n"
              "    file: disks/disk0.img\n"
              "    bus: virtio\n");
}

TEST(SpecYaml, unknown_keys_survive_a_rewrite) {
    const std::string text =
        "name: a\n"
        "future: {width: 1024, modes: [a, 'b: c', \"1\", 2, null, -1.5, true]}\n"
        "cpu:\n  model: \"host\"\n  backend: kvm\n"
        "disks:\n  - id: d\n    file: x\n    weather: {mode: none}\n"
        "network:\n  - mac: '52:54:00:00:00:01'\n    text: |\n      two\n      lines\n";
    const auto spec = parse_spec(text);
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_EQ(spec->unknown.size(), 2u);
    EXPECT_EQ(spec->unknown[0].second, "{width: 1024, modes: [a, \"b: c\", \"1\", 2, null, -1.5, true]}");
    EXPECT_EQ(spec->unknown[1].second, "[{mac: \"52:54:00:00:00:01\", text: \"two\\nlines\\n\"}]");
    EXPECT_EQ(spec->unknown_cpu, (UnknownKeys{{"model", "\"host\""}}));
    EXPECT_EQ(spec->disks[0].unknown, (UnknownKeys{{"weather", "{mode: none}"}}));
    const auto again = parse_spec(print_spec(*spec));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, *spec);
}

TEST(SpecYaml, any_text_survives_as_a_scalar) {
    std::mt19937 random(1);
    const std::string alphabet = "ab 0:#-{}[],&*!|>'\"%@`?~\\\n\t=/.\xc3\xa9";
    for (int round = 0; round < 3000; ++round) {
        VmSpec spec;
        spec.name = "x";
        for (size_t left = random() % 12; left > 0; --left) {
            spec.notes += alphabet[random() % (alphabet.size() - 2)];
        }
        spec.notes += round % 3 == 0 ? "\xc3\xa9" : "";
        const auto again = parse_spec(print_spec(spec));
        ASSERT_TRUE(again) << again.error().message << print_spec(spec);
        ASSERT_EQ(again->notes, spec.notes) << print_spec(spec);
    }
}

TEST(SpecYaml, syntax_error_names_line_and_column) {
    EXPECT_EQ(message_of("name: a\nmemory: [1\n"),
              "vm.yaml line 2, column 9: the list that begins here with '[' is not closed with ']'.");
    EXPECT_EQ(message_of("name: {a: 1\n"), "vm.yaml line 1, column 7: the group that begins here with '{' is not closed with '}'.");
    EXPECT_EQ(message_of("name: a\n\tcpus: 2\n"), "vm.yaml line 2, column 1: a line is indented with a tab; use spaces.");
    EXPECT_EQ(message_of("name: a\n  cpus: 2\n"),
              "vm.yaml line 2, column 7: a ':' cannot stand here; put the text around it into double quotes.");
    EXPECT_EQ(message_of("cds:\n  - id: x\n  y\n"),
              "vm.yaml line 3, column 3: this line is no 'key: value' line indented like the ones above it.");
    EXPECT_EQ(message_of("name: ]\n"), "vm.yaml line 1, column 7: a ']' or '}' stands here without the bracket that opens it.");
    EXPECT_EQ(message_of("name: @a\n"),
              "vm.yaml line 1, column 7: this character cannot begin a value; put the value into double quotes.");
    EXPECT_EQ(message_of("name: \"\\q\"\n"),
              "vm.yaml line 1, column 10: a '\\' is followed by something unknown; write '\\\\' for the character itself.");
    EXPECT_EQ(message_of("name: - a\n"), "vm.yaml line 1, column 7: a '- ' cannot stand here; begin a new line with it.");
    EXPECT_EQ(message_of("name: |x\n"), "vm.yaml line 1, column 8: a '|' or '>' must be the last thing on its line.");
    const std::string reserved = "'&', '*', '!' and '%' have a meaning of their own here; put the value into double quotes.";
    EXPECT_EQ(message_of("name: & a\n"), "vm.yaml line 1, column 8: " + reserved);
    EXPECT_EQ(message_of("%YAML 1\n---\nname: a\n"), "vm.yaml line 1, column 1: " + reserved);
}

TEST(SpecYaml, wrong_value_names_line_column_and_limit) {
    EXPECT_EQ(message_of("name: a\ncpus: 2\nmemory:  4M\n"),
              "vm.yaml line 3, column 10: Memory must be between 16 MiB and 1 TiB, in whole MiB, not 4 MiB.");
    EXPECT_EQ(message_of("name: a\ncpus: [1]\n"), "vm.yaml line 2, column 7: Processors must be one value, not a list.");
    EXPECT_EQ(message_of("name: {a: b}\n"), "vm.yaml line 1, column 7: Name must be one value, not a group of keys.");
    EXPECT_EQ(message_of("name: a\ndisks: 5\n"), "vm.yaml line 2, column 8: 'disks' must be a list of at most 32 entries.");
    EXPECT_EQ(message_of("name: a\ndisks:\n  - id: x\n"), "vm.yaml line 3, column 5: an entry of 'disks' needs 'file'.");
    EXPECT_EQ(message_of("name: a\ncds:\n  - id: x\n  - id: x\n"),
              "vm.yaml line 4, column 9: Two drives or cards are named 'x'; give each its own name.");
    EXPECT_EQ(message_of("name: a\nboot: [cd7]\n"),
              "vm.yaml line 2, column 7: The boot order names 'cd7', but the machine has no such disk or CD drive.");
    EXPECT_EQ(message_of("name: a\ncpu: fast\n"),
              "vm.yaml line 2, column 6: 'cpu' must hold keys of its own, each on its own indented line.");
    EXPECT_EQ(message_of("name: a\nname: b\n"), "vm.yaml line 2, column 1: the key 'name' is given twice.");
    EXPECT_EQ(message_of("- a\n"), "vm.yaml line 1, column 1: a machine's description is a list of 'key: value' lines.");
    EXPECT_EQ(message_of(""), "vm.yaml is empty.");
    EXPECT_EQ(message_of("cpus: 1\n"), "vm.yaml line 1, column 1: The machine needs a name.");
}

TEST(SpecYaml, newer_format_is_refused_kindly) {
    const auto spec = parse_spec("format: 2\nname: [later, syntax]\n");
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().kind, ErrorKind::unsupported);
    EXPECT_EQ(spec.error().message,
              "vm.yaml line 1, column 9: this machine was made by a newer Skep (format 2, this program knows 1). "
              "Update Skep to use it; nothing was changed.");
    EXPECT_FALSE(parse_spec("format: 0\nname: a\n"));
    EXPECT_FALSE(parse_spec("format: 1x\nname: a\n"));
}

TEST(SpecYaml, hostile_text_is_refused_quickly) {
    EXPECT_NE(message_of("a: &a [x,x]\nb: [*a,*a]\nname: a\n").find("anchors"), std::string::npos);
    EXPECT_NE(message_of("name: *a\n").find("line 1"), std::string::npos);
    EXPECT_NE(message_of("name: !!python/object:x a\n").find("tags"), std::string::npos);
    EXPECT_NE(message_of("name: a\nx: " + std::string(5000, '[')).find("deeper than 16"), std::string::npos);
    EXPECT_NE(message_of("name: a\nx: " + std::string(5000, '{')).find("vm.yaml"), std::string::npos);
    std::string nested;
    for (int depth = 0; depth < 60; ++depth) {
        nested += std::string(static_cast<size_t>(depth), ' ') + "k:\n";
    }
    EXPECT_NE(message_of(nested).find("deeper than 16"), std::string::npos);
    std::string wide = "x: [";
    for (int count = 0; count < 20'000; ++count) {
        wide += "1,";
    }
    EXPECT_NE(message_of(wide + "]").find("more than 10000"), std::string::npos);
    EXPECT_NE(message_of(std::string(65 * 1024, ' ')).find("too large"), std::string::npos);
    EXPECT_NE(message_of(std::string("name: a\0b", 9)).find("not a text file"), std::string::npos);
    EXPECT_NE(message_of("name: a\n---\nname: b\n").find("one document"), std::string::npos);
}

TEST(SpecYaml, random_bytes_never_crash) {
    std::mt19937 random(7);
    const std::string good = print_spec(full_spec());
    int accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string text = good;
        for (int change = 0; change < 1 + round % 4; ++change) {
            text[random() % text.size()] = static_cast<char>(random());
        }
        accepted += parse_spec(text) ? 1 : 0;
    }
    EXPECT_GT(accepted, 0);
    EXPECT_LT(accepted, 3000);
}

TEST(SpecYaml, fields_are_located) {
    const std::string text = "name: a\ncpu:\n  backend: kvm\ndisks:\n  - id: d0\n    file: x\n";
    EXPECT_EQ(locate_field(text, "cpu.backend").line, 3);
    EXPECT_EQ(locate_field(text, "disks.d0.file").line, 6);
    EXPECT_EQ(locate_field(text, "disks[0].file").column, 11);
    EXPECT_EQ(locate_field(text, "memory").line, 0);
    EXPECT_EQ(locate_field("{{{", "memory").line, 0);
}

}  // namespace
}  // namespace skep
