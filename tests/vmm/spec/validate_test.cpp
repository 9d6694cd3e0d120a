// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/validate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"
#include "vmm/base/files.hpp"

namespace skep {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

VmSpec good_spec() {
    VmSpec spec;
    spec.name = "a";
    spec.disks = {{"disk0", "disks/disk0.img", DiskBus::virtio, false, "", {}}};
    return spec;
}

const HostFacts k_host{8192, 4096, 4};

TEST(Validate, good_spec_has_no_problem) { EXPECT_THAT(validate(good_spec(), k_host), IsEmpty()); }

TEST(Validate, more_memory_than_the_host_has_is_an_error) {
    VmSpec spec = good_spec();
    spec.memory_mib = 9000;
    EXPECT_THAT(validate(spec, k_host),
                ElementsAre(SpecProblem{"memory", "The machine wants 8.8 GiB of memory, but this host has 8 GiB. Give it less.",
                                        Severity::error}));
    spec.memory_mib = 5000;
    const auto problems = validate(spec, k_host);
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(problems[0].severity, Severity::warning);
    EXPECT_FALSE(has_errors(problems));
}

TEST(Validate, out_of_range_numbers_set_by_code_are_found) {
    VmSpec spec = good_spec();
    spec.cpus = 0;
    spec.serial_ports = 5;
    const auto problems = validate(spec, HostFacts{});
    EXPECT_THAT(problems, Contains(Field(&SpecProblem::path, "cpus")));
    EXPECT_THAT(problems, Contains(Field(&SpecProblem::path, "serial.ports")));
}

TEST(Validate, usb_devices_without_a_controller_are_found) {
    VmSpec spec = good_spec();
    spec.disks[0].bus = DiskBus::usb;
    EXPECT_THAT(validate(spec, k_host), IsEmpty());
    spec.usb = UsbKind::none;
    EXPECT_THAT(validate(spec, k_host), Contains(Field(&SpecProblem::path, "usb.controller")));
}

TEST(Validate, network_without_a_good_name_is_found) {
    VmSpec spec = good_spec();
    NetworkSpec card;
    card.id = "net7";
    const auto good = [&](NetworkBackend backend, const std::string& name) {
        card.backend = backend;
        card.network = name;
        spec.networks = {card};
        return !has_errors(validate(spec, k_host));
    };
    EXPECT_TRUE(good(NetworkBackend::user, "") && good(NetworkBackend::socket, "lab-2_b") && good(NetworkBackend::tap, "br-lan.7"));
    EXPECT_FALSE(good(NetworkBackend::socket, ""));
    EXPECT_FALSE(good(NetworkBackend::socket, "../x"));
    EXPECT_FALSE(good(NetworkBackend::tap, ""));
    EXPECT_FALSE(good(NetworkBackend::tap, "a/b"));
    EXPECT_FALSE(good(NetworkBackend::tap, "sixteen-letters!"));
}

TEST(Validate, two_writers_of_one_image_are_found) {
    VmSpec spec = good_spec();
    spec.disks.push_back(spec.disks[0]);
    spec.disks[1].id = "disk1";
    EXPECT_THAT(validate(spec, k_host), Contains(Field(&SpecProblem::path, "disks[1].file")));
}

TEST(Validate, path_out_of_the_bundle_is_found) {
    VmSpec spec = good_spec();
    spec.disks[0].file = "disks/../../other/x.img";
    EXPECT_TRUE(has_errors(validate(spec, k_host)));
    spec.disks[0].file = "/anywhere/x.img";
    EXPECT_FALSE(has_errors(validate(spec, k_host)));
}

TEST(Validate, direct_boot_needs_a_kernel) {
    VmSpec spec = good_spec();
    spec.firmware = Firmware::linux_kernel;
    EXPECT_EQ(first_error(validate(spec, k_host)),
              "The firmware 'linux' starts a kernel file; choose one, or use the firmware 'bios'.");
}

TEST(Validate, boot_order_with_a_network_card_is_refused_with_a_way_out) {
    VmSpec spec = good_spec();
    spec.networks = {NetworkSpec{}};
    spec.networks[0].id = "net0";
    spec.boot = {"net0"};
    EXPECT_THAT(first_error(validate(spec, k_host)), testing::HasSubstr("iPXE"));
}

TEST(Validate, names_follow_the_rules) {
    EXPECT_EQ(name_problem("Debian 12 (test) é"), "");
    for (const char* bad : {"", ".hidden", "a/b", " a", "a ", "a\nb"}) {
        EXPECT_NE(name_problem(bad), "") << bad;
    }
    EXPECT_NE(name_problem(std::string(65, 'a')), "");
}

TEST(ValidateFiles, missing_folder_and_escaping_link_are_found) {
    const TempFolder folder;
    VmSpec spec = good_spec();
    spec.cds = {{"cd0", folder.path().string(), {}}, {"cd1", "link", {}}, {"cd2", "", {}}};
    std::filesystem::create_symlink("/etc/passwd", folder / "link");
    const auto problems = validate_files(spec, folder.path());
    ASSERT_EQ(problems.size(), 3u);
    EXPECT_EQ(problems[0].path, "disks.disk0.file");
    EXPECT_NE(problems[0].message.find("does not exist"), std::string::npos);
    EXPECT_NE(problems[1].message.find("is a folder"), std::string::npos);
    EXPECT_NE(problems[2].message.find("out of the machine's folder"), std::string::npos);
}

TEST(HostFacts, this_host_has_memory_and_processors) {
    const HostFacts facts = read_host_facts();
    EXPECT_GT(facts.memory_mib, 0u);
    EXPECT_GE(facts.memory_mib, facts.available_memory_mib);
    EXPECT_GT(facts.cpus, 0u);
}

}  // namespace
}  // namespace skep
