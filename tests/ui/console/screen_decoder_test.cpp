// SPDX-License-Identifier: GPL-3.0-or-later
// What a hostile worker may send: nothing reaches outside of the picture, nothing is allocated unseen.
#include "ui/console/screen_decoder.hpp"

#include <gmock/gmock.h>

#include <cstring>
#include <string>

namespace skep::ui {
namespace {

using Message = ScreenDecoder::Message;

class Stream {
  public:
    Stream& u8(unsigned value) { return put(value, 1); }
    Stream& u16(unsigned value) { return put(value, 2); }
    Stream& u32(uint32_t value) { return put(value, 4); }
    Stream& pixel(uint32_t value) {
        m_bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    Stream& update(unsigned rectangles) { return u8(0).u8(0).u16(rectangles); }
    Stream& rectangle(unsigned x, unsigned y, unsigned width, unsigned height, int encoding) {
        return u16(x).u16(y).u16(width).u16(height).u32(static_cast<uint32_t>(encoding));
    }
    bool read(void* to, size_t count) {
        if (count > m_bytes.size() - m_at) {
            return false;
        }
        std::memcpy(to, m_bytes.data() + m_at, count);
        m_at += count;
        return true;
    }
    [[nodiscard]] size_t left() const { return m_bytes.size() - m_at; }

  private:
    Stream& put(uint32_t value, int bytes) {
        while (--bytes >= 0) {
            m_bytes.push_back(static_cast<char>(value >> (8 * bytes)));
        }
        return *this;
    }
    std::string m_bytes;
    size_t m_at = 0;
};

class ScreenDecoderTest : public ::testing::Test {
  protected:
    ScreenDecoderTest() { EXPECT_TRUE(m_decoder.set_size(40, 20)); }
    [[nodiscard]] uint32_t at(int x, int y) const { return m_decoder.picture().pixel(x, y) & 0xffffffU; }
    void expect_refused(const char* words) {
        const auto message = m_decoder.read_message();
        ASSERT_FALSE(message.has_value());
        EXPECT_EQ(message.error().kind, ErrorKind::protocol);
        EXPECT_THAT(message.error().message, ::testing::HasSubstr(words));
    }

    Stream m_stream;
    ScreenDecoder m_decoder{[this](void* to, size_t count) { return m_stream.read(to, count); }};
};

TEST_F(ScreenDecoderTest, raw_inside_lands_where_it_says) {
    m_stream.update(1).rectangle(3, 4, 2, 1, 0).pixel(0x112233).pixel(0x445566);
    (void)m_decoder.take_damage();
    EXPECT_EQ(m_decoder.read_message().value(), Message::frame);
    EXPECT_EQ(at(3, 4), 0x112233U);
    EXPECT_EQ(at(4, 4), 0x445566U);
    EXPECT_EQ(at(5, 4), 0U);
    EXPECT_EQ(m_decoder.take_damage(), QRegion(3, 4, 2, 1));
    EXPECT_TRUE(m_decoder.take_damage().isEmpty());
}

TEST_F(ScreenDecoderTest, raw_beyond_an_edge_is_refused_before_its_pixels) {
    m_stream.update(1).rectangle(39, 0, 2, 1, 0).pixel(1).pixel(2);
    expect_refused("outside of its screen");
    EXPECT_EQ(m_stream.left(), 8U);
}

TEST_F(ScreenDecoderTest, copy_of_overlapping_areas_keeps_every_row) {
    m_stream.update(3);
    for (unsigned y = 0; y < 2; ++y) {
        m_stream.rectangle(0, y, 1, 1, 0).pixel(0x10 + y);
    }
    m_stream.rectangle(0, 1, 1, 2, 1).u16(0).u16(0);
    ASSERT_TRUE(m_decoder.read_message());
    EXPECT_EQ(at(0, 0), 0x10U);
    EXPECT_EQ(at(0, 1), 0x10U);
    EXPECT_EQ(at(0, 2), 0x11U);
}

TEST_F(ScreenDecoderTest, copy_from_outside_is_refused) {
    m_stream.update(1).rectangle(0, 0, 10, 10, 1).u16(31).u16(0);
    expect_refused("outside of its screen");
}

TEST_F(ScreenDecoderTest, hextile_colours_carry_over_to_the_next_tile) {
    m_stream.update(1).rectangle(0, 0, 32, 16, 5);
    m_stream.u8(2 | 4 | 8).pixel(0xaa).pixel(0xbb).u8(1).u8(0x12).u8(0x00);  // one pixel at 1,2
    m_stream.u8(8).u8(1).u8(0x00).u8(0xff);                                  // all of the second tile
    ASSERT_TRUE(m_decoder.read_message());
    EXPECT_EQ(at(0, 0), 0xaaU);
    EXPECT_EQ(at(1, 2), 0xbbU);
    EXPECT_EQ(at(16, 0), 0xbbU);
    EXPECT_EQ(at(31, 15), 0xbbU);
    EXPECT_EQ(at(0, 16), 0U);
}

TEST_F(ScreenDecoderTest, hextile_part_beyond_its_tile_is_refused) {
    m_stream.update(1).rectangle(32, 0, 8, 16, 5).u8(2 | 4 | 8).pixel(1).pixel(2).u8(1).u8(0x80).u8(0x00);
    expect_refused("outside of its screen");
}

TEST_F(ScreenDecoderTest, encodings_not_asked_for_are_refused) {
    m_stream.update(1).rectangle(0, 0, 8, 8, 7);  // Tight
    expect_refused("encoding 7");
}

TEST_F(ScreenDecoderTest, sizes_beyond_the_limit_are_refused_before_any_memory_is_taken) {
    m_stream.update(1).rectangle(0, 0, 65535, 65535, -223);
    expect_refused("65535 x 65535");
    EXPECT_EQ(m_decoder.picture().size(), QSize(40, 20));
    EXPECT_FALSE(m_decoder.set_size(0, 10));
}

TEST_F(ScreenDecoderTest, new_size_is_a_black_picture_all_of_which_is_new) {
    m_stream.update(2).rectangle(0, 0, 1, 1, 0).pixel(0xffffff).rectangle(0, 0, 64, 48, -223);
    ASSERT_TRUE(m_decoder.read_message());
    EXPECT_EQ(m_decoder.picture().size(), QSize(64, 48));
    EXPECT_EQ(at(0, 0), 0U);
    EXPECT_EQ(m_decoder.take_damage(), QRegion(0, 0, 64, 48));
}

TEST_F(ScreenDecoderTest, refused_wish_for_a_size_changes_nothing_but_tells_that_wishes_are_taken) {
    m_stream.update(1).rectangle(1, 1, 800, 600, -308).u8(1).u8(0).u8(0).u8(0);
    m_stream.u32(77).u16(0).u16(0).u16(40).u16(20).u32(5);
    EXPECT_FALSE(m_decoder.takes_size());
    ASSERT_TRUE(m_decoder.read_message());
    EXPECT_TRUE(m_decoder.takes_size());
    EXPECT_EQ(m_decoder.layout().id, 77U);
    EXPECT_EQ(m_decoder.layout().flags, 5U);
    EXPECT_EQ(m_decoder.picture().size(), QSize(40, 20));
}

TEST_F(ScreenDecoderTest, cursor_is_seen_where_its_mask_says) {
    m_stream.update(1).rectangle(1, 0, 2, 1, -239).pixel(0x102030).pixel(0x405060).u8(0x40);
    ASSERT_TRUE(m_decoder.read_message());
    const auto cursor = m_decoder.take_cursor();
    ASSERT_TRUE(cursor.has_value());
    EXPECT_EQ(cursor->hot_spot, QPoint(1, 0));
    EXPECT_EQ(cursor->image.pixel(0, 0), 0U);
    EXPECT_EQ(cursor->image.pixel(1, 0), 0xff405060U);
    EXPECT_FALSE(m_decoder.take_cursor().has_value());
}

TEST_F(ScreenDecoderTest, cursor_without_size_hides_the_pointer) {
    m_stream.update(1).rectangle(0, 0, 0, 0, -239);
    ASSERT_TRUE(m_decoder.read_message());
    EXPECT_TRUE(m_decoder.take_cursor().value().image.isNull());
}

TEST_F(ScreenDecoderTest, huge_cursor_and_huge_text_are_refused) {
    m_stream.update(1).rectangle(0, 0, 257, 1, -239);
    expect_refused("pointer image");
    m_stream.u8(3).u8(0).u8(0).u8(0).u32(0xffffffff);
    expect_refused("bytes of text");
}

TEST_F(ScreenDecoderTest, many_rectangles_are_told_as_few) {
    (void)m_decoder.take_damage();
    m_stream.update(200);
    for (unsigned i = 0; i < 200; ++i) {
        m_stream.rectangle((i % 20) * 2, (i / 20) * 2, 1, 1, 0).pixel(i);
    }
    ASSERT_TRUE(m_decoder.read_message());
    const QRegion damage = m_decoder.take_damage();
    EXPECT_LE(damage.rectCount(), 65);
    EXPECT_EQ(damage.boundingRect(), QRect(0, 0, 39, 19));
}

TEST_F(ScreenDecoderTest, end_of_the_stream_in_a_rectangle_is_an_error_of_the_link) {
    m_stream.update(1).rectangle(0, 0, 2, 2, 0).pixel(1);
    const auto message = m_decoder.read_message();
    ASSERT_FALSE(message.has_value());
    EXPECT_EQ(message.error().kind, ErrorKind::io);
}

TEST_F(ScreenDecoderTest, unknown_message_is_refused) {
    m_stream.u8(1);  // SetColourMapEntries: no colour map was asked for
    expect_refused("unknown message");
}

}  // namespace
}  // namespace skep::ui
