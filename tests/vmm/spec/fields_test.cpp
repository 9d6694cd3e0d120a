// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/spec_fields.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "vmm/spec/spec_yaml.hpp"
#include "vmm/spec/validate.hpp"

namespace skep {
namespace {

TEST(Size, every_unit_is_parsed) {
    EXPECT_EQ(parse_size("512").value(), 512u);
    EXPECT_EQ(parse_size("512", 1024 * 1024).value(), 512u << 20);
    EXPECT_EQ(parse_size("64KiB").value(), 64u << 10);
    EXPECT_EQ(parse_size("512M").value(), 512u << 20);
    EXPECT_EQ(parse_size("20g").value(), uint64_t{20} << 30);
    EXPECT_EQ(parse_size("1.5 GB").value(), uint64_t{3} << 29);
    EXPECT_EQ(parse_size("100b", 1024).value(), 100u);
}

TEST(Size, nonsense_is_refused) {
    for (const char* text : {"", "G", "-1", "1X", "1.G", "1GG", "0x10", "99999999999999999999", "9999999999P", "1 2"}) {
        EXPECT_FALSE(parse_size(text)) << text;
    }
}

TEST(Size, printing_is_shortest_and_reads_back) {
    for (const uint64_t bytes : {uint64_t{0}, uint64_t{1}, uint64_t{1023}, uint64_t{1024}, uint64_t{1536} << 20, uint64_t{20} << 30}) {
        EXPECT_EQ(parse_size(print_size(bytes)).value(), bytes);
    }
    EXPECT_EQ(print_size(uint64_t{20} << 30), "20G");
    EXPECT_EQ(describe_size(uint64_t{3} << 29), "1.5 GiB");
    EXPECT_EQ(describe_size(uint64_t{512} << 20), "512 MiB");
}

TEST(Fields, table_is_complete_and_unique) {
    std::set<std::string_view> paths;
    for (const FieldDescriptor* field : spec_fields()) {
        EXPECT_TRUE(paths.insert(field->path).second) << field->path;
        EXPECT_FALSE(field->label.empty()) << field->path;
        EXPECT_TRUE(field->help.ends_with('.')) << field->path;
        EXPECT_EQ(field->type == FieldType::choice, !field->choices.empty()) << field->path;
        EXPECT_LE(field->minimum, field->maximum) << field->path;
    }
}

TEST(Fields, defaults_of_the_table_are_those_of_the_struct) {
    const VmSpec spec;
    for (const FieldDescriptor* field : spec_fields()) {
        if (field->path.find("[]") == std::string_view::npos) {
            EXPECT_EQ(get_field(spec, field->path).value(), field->default_text) << field->path;
        }
    }
}

TEST(Fields, set_changes_machine_and_item_fields) {
    VmSpec spec;
    spec.disks.push_back({"disk0", "disks/disk0.img", DiskBus::virtio, false, "", {}});
    spec.cds.push_back({"cd0", "", {}});
    ASSERT_TRUE(set_field(spec, "memory", "2G"));
    EXPECT_EQ(spec.memory_mib, 2048u);
    ASSERT_TRUE(set_field(spec, "memory", "300"));
    EXPECT_EQ(spec.memory_mib, 300u);
    ASSERT_TRUE(set_field(spec, "cpu.backend", "kvm"));
    EXPECT_EQ(spec.cpu_backend, CpuBackend::kvm);
    ASSERT_TRUE(set_field(spec, "boot", "cd0, disk0"));
    EXPECT_EQ(spec.boot, (std::vector<std::string>{"cd0", "disk0"}));
    ASSERT_TRUE(set_field(spec, "disks.disk0.bus", "ahci"));
    EXPECT_EQ(spec.disks[0].bus, DiskBus::ahci);
    ASSERT_TRUE(set_field(spec, "disks[0].read_only", "yes"));
    EXPECT_TRUE(spec.disks[0].read_only);
    ASSERT_TRUE(set_field(spec, "cds.cd0.file", "/x.iso"));
    EXPECT_EQ(get_field(spec, "cds.cd0.file").value(), "/x.iso");
}

TEST(Fields, bad_value_is_refused_with_a_sentence_and_changes_nothing) {
    VmSpec spec;
    const VmSpec before = spec;
    const auto message = [&](const char* path, const char* text) {
        const Status status = set_field(spec, path, text);
        return status ? std::string("accepted") : status.error().message;
    };
    EXPECT_EQ(message("memory", "4M"), "Memory must be between 16 MiB and 1 TiB, in whole MiB, not 4 MiB.");
    EXPECT_EQ(message("memory", "much"), "Memory must be a size such as 512M or 2G, not 'much'.");
    EXPECT_EQ(message("cpus", "0"), "Processors must be between 1 and 32, not 0.");
    EXPECT_EQ(message("cpus", "two"), "Processors must be a whole number between 1 and 32, not 'two'.");
    EXPECT_EQ(message("cpu.backend", "qemu"), "Processor back end must be auto, kvm, interp or jit, not 'qemu'.");
    EXPECT_EQ(message("rng", "maybe"), "Entropy device must be true or false, not 'maybe'.");
    EXPECT_EQ(message("name", ""), "Name must not be empty.");
    EXPECT_EQ(message("append", "a\nb"), "Kernel command line must be one line without control characters.");
    EXPECT_EQ(message("id", "x"), "Id cannot be changed.");
    EXPECT_EQ(message("colour", "red"), "There is no setting 'colour'; `skepctl set --help` lists them.");
    EXPECT_EQ(message("disks.disk7.file", "x"), "There is no 'disk7' among the machine's disks.");
    EXPECT_EQ(message("disks[9].file", "x"), "There is no '9' among the machine's disks.");
    EXPECT_EQ(spec, before);
}

TEST(Fields, concrete_path_finds_its_descriptor) {
    EXPECT_EQ(find_field("disks.disk0.file"), find_field("disks[].file"));
    EXPECT_EQ(find_field("disks[3].file"), find_field("disks[].file"));
    EXPECT_NE(find_field("disks[].file"), nullptr);
    EXPECT_EQ(find_field("disks."), nullptr);
    EXPECT_EQ(find_field("disks[0"), nullptr);
    EXPECT_EQ(find_field(""), nullptr);
}

TEST(Uuid, made_ids_are_valid_and_differ) {
    EXPECT_TRUE(is_uuid(make_uuid()));
    EXPECT_NE(make_uuid(), make_uuid());
    EXPECT_FALSE(is_uuid("0B54AA8E-3d5c-4c4e-9d3c-6b8f1c2a7e10"));
    EXPECT_FALSE(is_uuid("../../../../etc/passwd-aaaaaaaaaaaaa"));
}

TEST(Fields, vnc_port_is_off_unless_given_and_wants_a_screen) {
    VmSpec spec;
    spec.name = "Port";
    EXPECT_EQ(spec.vnc_port, 0U);
    EXPECT_EQ(print_spec(spec).find("vnc"), std::string::npos);
    EXPECT_FALSE(set_field(spec, "vnc_port", "65536"));
    ASSERT_TRUE(set_field(spec, "vnc_port", "5901"));
    EXPECT_NE(print_spec(spec).find("vnc_port: 5901"), std::string::npos);
    const auto warned = [&] {
        const std::vector<SpecProblem> problems = validate(spec, {});
        return std::ranges::any_of(problems, [](const SpecProblem& problem) { return problem.path == "vnc_port"; });
    };
    EXPECT_TRUE(warned());
    spec.display = DisplayKind::vga;
    EXPECT_FALSE(warned());
}

TEST(Fields, usb_is_there_for_screens_and_for_what_needs_it) {
    VmSpec spec;
    EXPECT_EQ(spec.effective_usb(), UsbKind::none);
    spec.display = DisplayKind::vga;
    EXPECT_EQ(spec.effective_usb(), UsbKind::xhci);
    ASSERT_TRUE(set_field(spec, "usb.controller", "none"));
    EXPECT_EQ(spec.effective_usb(), UsbKind::none);
    spec = {};
    spec.disks.push_back({"stick", "stick.img", DiskBus::usb, false, "", {}});
    EXPECT_EQ(spec.effective_usb(), UsbKind::xhci);
    spec = {};
    ASSERT_TRUE(set_field(spec, "usb.keyboard", "true"));
    EXPECT_EQ(spec.effective_usb(), UsbKind::xhci);
}

TEST(Fields, machines_with_a_screen_are_heard_unless_told_otherwise) {
    VmSpec spec;
    EXPECT_EQ(spec.effective_sound(), SoundKind::none);
    spec.display = DisplayKind::vga;
    EXPECT_EQ(spec.effective_sound(), SoundKind::sdl);
    ASSERT_TRUE(set_field(spec, "sound", "none"));
    EXPECT_EQ(spec.effective_sound(), SoundKind::none);
    spec.display = DisplayKind::none;
    ASSERT_TRUE(set_field(spec, "sound", "silent"));
    EXPECT_EQ(spec.effective_sound(), SoundKind::silent);
    EXPECT_FALSE(set_field(spec, "sound", "loud"));
}

}  // namespace
}  // namespace skep
