// SPDX-License-Identifier: GPL-3.0-or-later
// UEFI images: which files, what is refused, and a machine's own variables.
#include "vmm/boot/uefi_firmware.hpp"

#include <gtest/gtest.h>

#include "tests/vmm/boot/temporary_folder.hpp"

namespace skep {
namespace {

struct UefiFile : testing::Test {
    test::TemporaryFolder folder;
    static std::string volume(size_t size, char fill) {
        std::string content(size, fill);
        content.replace(0x28, 4, "_FVH");
        return content;
    }
    // Paths that live as long as the test.
    std::string code = folder.write("code.fd", volume(0x37c000, 'c'));
    std::string variables = folder.write("vars.fd", volume(0x84000, 'v'));
    std::string enrolled = folder.write("vars.ms.fd", volume(0x84000, 'e'));
    UefiPlace place{code.c_str(), variables.c_str(), enrolled.c_str()};
};

TEST_F(UefiFile, variables_lie_right_below_the_code_which_ends_at_four_gib) {
    const auto firmware = load_uefi_from(place, SecureBoot::none);
    ASSERT_TRUE(firmware) << firmware.error().message;
    EXPECT_EQ(firmware->code.address(), 0xffc8'4000u);
    EXPECT_EQ(firmware->variables_address(), 0xffc0'0000u);
    EXPECT_EQ(firmware->variables[0], std::byte{'v'});
}

TEST_F(UefiFile, secure_boot_begins_with_enrolled_keys_or_is_refused) {
    EXPECT_EQ(load_uefi_from(place, SecureBoot::enrolled).value().variables[0], std::byte{'e'});
    place.enrolled = "";
    const auto none = load_uefi_from(place, SecureBoot::enrolled);
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find("turn Secure Boot off"), std::string::npos);
}

TEST_F(UefiFile, what_is_no_volume_is_refused_by_name) {
    folder.write("code.fd", std::string(0x37c000, 'c'));
    const auto refused = load_uefi_from(place, SecureBoot::none);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("code.fd' is no UEFI firmware volume"), std::string::npos);
    folder.write("code.fd", volume(0x37c000 - 1, 'c'));
    EXPECT_FALSE(load_uefi_from(place, SecureBoot::none));
    folder.write("code.fd", volume(16 << 20, 'c'));
    EXPECT_NE(load_uefi_from(place, SecureBoot::none).error().message.find("more than 16 MiB"), std::string::npos);
}

TEST_F(UefiFile, machine_gets_its_own_variables_once) {
    const auto firmware = load_uefi_from(place, SecureBoot::none).value();
    const std::string own = folder.path("uefi-variables.fd");
    EXPECT_EQ(load_variables(own, firmware.variables).value(), firmware.variables);
    std::string changed = volume(0x84000, 'v');
    changed[100] = '!';
    folder.write("uefi-variables.fd", changed);
    EXPECT_EQ(load_variables(own, firmware.variables).value()[100], std::byte{'!'});
}

TEST_F(UefiFile, variables_of_another_firmware_are_refused_not_replaced) {
    const auto firmware = load_uefi_from(place, SecureBoot::none).value();
    const std::string own = folder.write("uefi-variables.fd", volume(0x20000, 'x'));
    const auto refused = load_variables(own, firmware.variables);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("do not fit the firmware"), std::string::npos);
    EXPECT_EQ(std::filesystem::file_size(own), 0x20000u);
}

}  // namespace
}  // namespace skep
