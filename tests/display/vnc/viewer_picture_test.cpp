// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/viewer_picture.hpp"

#include <gtest/gtest.h>

namespace skep::test {
namespace {

TEST(ViewerPicture, only_tiles_that_differ_are_reported) {
    auto surface = *Surface::create({200, 40});
    ViewerPicture picture({200, 40});
    Damage all;
    all.add({0, 0, 200, 40});
    EXPECT_TRUE(picture.copy(*surface, all).empty());
    surface->row(20)[70] = 0x112233;
    surface->row(20)[130] = 0x445566;
    surface->row(39)[0] = 1;
    const auto changed = picture.copy(*surface, all);
    ASSERT_EQ(changed.size(), 2U);
    EXPECT_EQ(changed[0], (ScreenRect{64, 16, 192, 32}));  // two neighbours
    EXPECT_EQ(changed[1], (ScreenRect{0, 32, 64, 40}));
    EXPECT_TRUE(picture.copy(*surface, all).empty());
    EXPECT_EQ(std::memcmp(picture.pixels(), surface->pixels(), surface->bytes()), 0);
}

TEST(ViewerPicture, nothing_outside_the_damage_is_touched) {
    auto surface = *Surface::create({200, 40});
    ViewerPicture picture({200, 40});
    surface->row(5)[10] = 7;
    surface->row(5)[100] = 7;
    Damage left;
    left.add({3, 2, 50, 500});
    EXPECT_EQ(picture.copy(*surface, left), (std::vector<ScreenRect>{{3, 2, 50, 16}}));
    EXPECT_EQ(reinterpret_cast<uint32_t*>(picture.pixels())[5 * 200 + 100], 0U);
}

TEST(ViewerPicture, surface_of_another_size_is_left_alone) {
    auto surface = *Surface::create({300, 300});
    surface->row(0)[0] = 1;
    ViewerPicture picture({200, 40});
    Damage all;
    all.add({0, 0, 300, 300});
    EXPECT_TRUE(picture.copy(*surface, all).empty());
}

}  // namespace
}  // namespace skep::test
