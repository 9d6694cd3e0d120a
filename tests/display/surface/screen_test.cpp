// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/surface/screen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace skep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A device that shows one colour and draws what the test tells it.
class FakeSource final : public ScreenSource {
  public:
    void refresh(Canvas& canvas) override {
        ++refreshes;
        Surface* const surface = canvas.surface(size);
        if (surface == nullptr) {
            return;
        }
        if (canvas.whole()) {
            canvas.damage({0, 0, size.width, size.height});
        }
        for (const ScreenRect& rect : std::exchange(drawn, {})) {
            canvas.damage(rect);
        }
        canvas.set_cursor(cursor);
    }
    ScreenSize size{64, 32};
    std::vector<ScreenRect> drawn;
    CursorImage cursor;
    int refreshes = 0;
};

TEST(Screen, take_nothingDrawn_hasNoDamage) {
    Screen screen;
    FakeSource source;
    screen.set_source(&source);
    Screen::View view(screen);
    const Screen::Update first = view.take();
    EXPECT_TRUE(first.replaced);
    EXPECT_THAT(first.damage.rects(), ElementsAre(ScreenRect{0, 0, 64, 32}));
    const Screen::Update second = view.take();
    EXPECT_FALSE(second.replaced);
    EXPECT_TRUE(second.damage.empty());
    EXPECT_FALSE(second.cursor.has_value());
}

TEST(Screen, take_twoViews_eachGetsAllDamage) {
    Screen screen;
    FakeSource source;
    screen.set_source(&source);
    Screen::View slow(screen);
    Screen::View fast(screen);
    (void)slow.take();
    (void)fast.take();
    source.drawn = {{1, 1, 3, 3}};
    EXPECT_THAT(fast.take().damage.rects(), ElementsAre(ScreenRect{1, 1, 3, 3}));
    source.drawn = {{10, 10, 12, 12}};
    EXPECT_THAT(fast.take().damage.rects(), ElementsAre(ScreenRect{10, 10, 12, 12}));
    EXPECT_THAT(slow.take().damage.rects(), ElementsAre(ScreenRect{1, 1, 3, 3}, ScreenRect{10, 10, 12, 12}));
}

TEST(Screen, take_modeChanged_givesAnotherSurfaceAndKeepsTheOldOne) {
    Screen screen;
    FakeSource source;
    screen.set_source(&source);
    Screen::View view(screen);
    const std::shared_ptr<Surface> old = view.take().surface;
    source.size = {128, 100};
    const Screen::Update update = view.take();
    EXPECT_TRUE(update.replaced);
    EXPECT_EQ(update.surface->size(), (ScreenSize{128, 100}));
    EXPECT_THAT(update.damage.rects(), ElementsAre(ScreenRect{0, 0, 128, 100}));
    EXPECT_EQ(old->size(), (ScreenSize{64, 32}));
    EXPECT_EQ(old->row(31)[63], 0U);
}

TEST(Screen, take_senselessSize_showsWhatWasThere) {
    Screen screen;
    FakeSource source;
    screen.set_source(&source);
    Screen::View view(screen);
    (void)view.take();
    source.size = {100'000, 100'000};
    const Screen::Update update = view.take();
    EXPECT_FALSE(update.replaced);
    EXPECT_EQ(update.surface->size(), (ScreenSize{64, 32}));
}

TEST(Screen, take_cursorChanged_isToldOnce) {
    Screen screen;
    FakeSource source;
    screen.set_source(&source);
    Screen::View view(screen);
    (void)view.take();
    source.cursor = {1, 1, 0, 0, {0xffff'ffff}};
    EXPECT_EQ(view.take().cursor, source.cursor);
    EXPECT_FALSE(view.take().cursor.has_value());
}

TEST(Screen, nobodyLooks_nothingIsDrawn) {
    Screen screen;
    FakeSource source;
    screen.set_source(&source);
    const Screen::View view(screen);
    EXPECT_EQ(source.refreshes, 0);
}

TEST(Damage, add_neighbours_areJoined) {
    Damage damage;
    damage.add({0, 0, 10, 1});
    damage.add({0, 1, 10, 2});
    damage.add({0, 2, 10, 3});
    EXPECT_THAT(damage.rects(), ElementsAre(ScreenRect{0, 0, 10, 3}));
}

TEST(Damage, add_thousandDots_staysBoundedAndHoldsThemAll) {
    Damage damage;
    for (uint32_t i = 0; i < 1000; ++i) {
        damage.add({i * 7 % 640, i * 11 % 480, i * 7 % 640 + 1, i * 11 % 480 + 1});
    }
    EXPECT_LE(damage.rects().size(), Damage::k_most);
    for (uint32_t i = 0; i < 1000; ++i) {
        const uint32_t x = i * 7 % 640;
        const uint32_t y = i * 11 % 480;
        EXPECT_TRUE(std::ranges::any_of(damage.rects(), [x, y](const ScreenRect& rect) {
            return rect.left <= x && x < rect.right && rect.top <= y && y < rect.bottom;
        }));
    }
}

TEST(Damage, add_emptyRect_isNothing) {
    Damage damage;
    damage.add({5, 5, 5, 9});
    EXPECT_THAT(damage.rects(), IsEmpty());
}

TEST(TextCells, utf8_boxDrawing_isUnicodeWithoutTrailingBlanks) {
    TextCells cells;
    cells.columns = 4;
    cells.rows = 2;
    cells.characters = {0xc9, 0xcd, 0xbb, ' ', 'o', 'k', 0, 0x20};
    cells.attributes.resize(8, 7);
    EXPECT_EQ(cells.utf8(), "╔═╗\nok\n");
}

}  // namespace
}  // namespace skep
