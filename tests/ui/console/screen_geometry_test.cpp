// SPDX-License-Identifier: GPL-3.0-or-later
// Where the picture lies, at the ratios that desktops have.
#include "ui/console/screen_geometry.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace skep::ui {
namespace {

constexpr QSize k_guest(640, 480);

class ScreenGeometryTest : public ::testing::TestWithParam<double> {
  protected:
    // A view of this size at a place that is no whole device pixel at 1.25.
    [[nodiscard]] static QRectF area(double width, double height) {
        const double ratio = GetParam();
        return {QPointF(37, 51) * ratio, QSizeF(width, height) * ratio};
    }
};

TEST_P(ScreenGeometryTest, exact_is_one_device_pixel_for_a_guest_pixel) {
    const ScreenGeometry geometry(ScaleMode::exact, k_guest, area(900, 700));
    EXPECT_EQ(geometry.picture().size(), k_guest);
    EXPECT_EQ(geometry.scale(), 1.0);
    EXPECT_TRUE(geometry.pixel_exact());
    EXPECT_EQ(geometry.scroll_range(), QSize(0, 0));
    EXPECT_TRUE(area(900, 700).contains(geometry.picture()));
}

TEST_P(ScreenGeometryTest, every_pixel_of_exact_and_follow_maps_to_itself) {
    for (const ScaleMode mode : {ScaleMode::exact, ScaleMode::follow}) {
        const ScreenGeometry geometry(mode, k_guest, area(900, 700));
        for (const QPoint guest : {QPoint(0, 0), QPoint(1, 1), QPoint(319, 240), QPoint(639, 479)}) {
            const QRect device = geometry.to_device(QRect(guest, QSize(1, 1)));
            EXPECT_EQ(device.size(), QSize(1, 1));
            EXPECT_EQ(geometry.to_guest(QRectF(device).center()), guest);
        }
    }
}

TEST_P(ScreenGeometryTest, fit_fills_the_view_in_one_direction_and_keeps_the_shape) {
    const QRectF view = area(900, 500);
    const ScreenGeometry geometry(ScaleMode::fit, k_guest, view);
    EXPECT_NEAR(geometry.picture().height(), view.height(), 1);
    EXPECT_NEAR(double(geometry.picture().width()) / geometry.picture().height(), 640.0 / 480, 0.01);
    EXPECT_TRUE(view.contains(geometry.picture()));
}

TEST_P(ScreenGeometryTest, corners_of_fit_map_to_the_guests_corners) {
    const ScreenGeometry geometry(ScaleMode::fit, k_guest, area(300, 300));
    const QRectF picture = geometry.picture();
    EXPECT_EQ(geometry.to_guest(picture.topLeft() + QPointF(0.01, 0.01)), QPoint(0, 0));
    EXPECT_EQ(geometry.to_guest(picture.bottomRight() - QPointF(0.01, 0.01)), QPoint(639, 479));
    EXPECT_EQ(geometry.to_guest(picture.topLeft() - QPointF(50, 50)), QPoint(0, 0));
    EXPECT_EQ(geometry.to_guest(picture.bottomRight() + QPointF(50, 50)), QPoint(639, 479));
}

TEST_P(ScreenGeometryTest, damage_of_fit_covers_every_pixel_that_its_guest_pixels_touch) {
    const ScreenGeometry geometry(ScaleMode::fit, k_guest, area(777, 555));
    for (int x = 0; x < k_guest.width() - 8; x += 7) {
        const QRect damage = geometry.to_device(QRect(x, 100, 8, 8));
        for (int at = geometry.picture().left(); at <= geometry.picture().right(); ++at) {
            const int guest = geometry.to_guest(QPointF(at + 0.5, geometry.picture().center().y())).x();
            const bool touched = guest >= x && guest < x + 8;
            EXPECT_TRUE(!touched || (at >= damage.left() && at <= damage.right())) << x << " " << at;
        }
    }
}

TEST_P(ScreenGeometryTest, follow_never_enlarges_and_shrinks_what_does_not_fit) {
    EXPECT_EQ(ScreenGeometry(ScaleMode::follow, k_guest, area(2000, 2000)).picture().size(), k_guest);
    const ScreenGeometry small(ScaleMode::follow, k_guest, area(200, 200));
    EXPECT_LT(small.scale(), 1);
    EXPECT_TRUE(area(200, 200).contains(small.picture()));
}

TEST_P(ScreenGeometryTest, exact_larger_than_the_view_scrolls_to_both_ends) {
    const ScreenGeometry first(ScaleMode::exact, k_guest, area(100, 90));
    const QSize range = first.scroll_range();
    EXPECT_GT(range.width(), 0);
    const QPoint end(range.width(), range.height());
    const ScreenGeometry last(ScaleMode::exact, k_guest, area(100, 90), end);
    EXPECT_EQ(first.picture().topLeft() - last.picture().topLeft(), end);
    EXPECT_LE(area(100, 90).right() - 1, last.picture().right() + 1);
    EXPECT_GE(area(100, 90).right(), last.picture().right());
}

INSTANTIATE_TEST_SUITE_P(Ratios, ScreenGeometryTest, ::testing::Values(1.0, 1.25, 2.0));

TEST(ScreenGeometry, without_a_picture_or_room_is_empty) {
    EXPECT_TRUE(ScreenGeometry(ScaleMode::fit, {0, 0}, {0, 0, 100, 100}).picture().isEmpty());
    EXPECT_TRUE(ScreenGeometry(ScaleMode::fit, k_guest, {0, 0, 0, 0}).picture().isEmpty());
    EXPECT_EQ(ScreenGeometry().to_guest({5, 5}), QPoint(0, 0));
}

}  // namespace
}  // namespace skep::ui
