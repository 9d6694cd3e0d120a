// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/firmware_wrap.hpp"

#include <gtest/gtest.h>

namespace skep {
namespace {

TEST(FirmwareWrap, reset_and_wrap_off_of_the_firmware_is_followed_by_wrap_on) {
    FirmwareWrap wrap;
    EXPECT_EQ(wrap.pass("\033c\033[?7l\033[2JSeaBIOS"), "\033c\033[?7l\033[?7h\033[2JSeaBIOS");
    EXPECT_EQ(wrap.pass("a\033\033c\033c\033[?7lb"), "a\033\033c\033c\033[?7l\033[?7hb");
}

TEST(FirmwareWrap, pair_in_pieces_is_found) {
    FirmwareWrap wrap;
    std::string passed;
    for (const char character : std::string_view("x\033c\033[?7ly")) {
        passed += wrap.pass({&character, 1});
    }
    EXPECT_EQ(passed, "x\033c\033[?7l\033[?7hy");
}

TEST(FirmwareWrap, wrap_off_of_a_program_stays) {
    for (const std::string_view bytes : {"\033[?7l", "\033c \033[?7l", "\033c\033[?25l\033[?7l", "\033c\033[?7h", "\033[?7"}) {
        EXPECT_EQ(FirmwareWrap().pass(bytes), bytes);
    }
}

}  // namespace
}  // namespace skep
