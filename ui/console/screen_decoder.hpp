// SPDX-License-Identifier: GPL-3.0-or-later
// What a worker's RFB server sends (RFC 6143, section 7.6 and 7.7; the pseudo-encodings of the community's "RFB
// protocol"), decoded into a picture. The worker is hostile: only what was asked for is understood, every rectangle is
// held against the picture and every size against its limit before it is used. libvncclient's own dispatcher would
// decode whatever encoding arrives, asked for or not.
#pragma once

#include <QImage>
#include <QPoint>
#include <QRegion>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep::ui {

// A pointer image of the guest's; null: the guest hides its pointer.
struct ScreenCursor {
    QImage image;  // ARGB32
    QPoint hot_spot;
};

// The encodings that understand() copes with, in order of preference, as SetEncodings carries them.
[[nodiscard]] const std::vector<int32_t>& screen_encodings();

// One thread. After an error the stream is out of step: drop the connection.
class ScreenDecoder {
  public:
    static constexpr int k_max_cursor = 256;  // width and height
    static constexpr uint32_t k_max_cut_text = 1 << 20;

    // Reads exactly that many bytes; false when the connection has ended.
    using ReadBytes = std::function<bool(void* to, size_t count)>;
    explicit ScreenDecoder(ReadBytes read) : m_read(std::move(read)) {}

    // The size as ServerInit says it. Pixels are 32 bits, 0x00RRGGBB in host order, from here on.
    [[nodiscard]] Status set_size(int width, int height);

    enum class Message { nothing, frame };
    // One whole message of the server's; blocks while it comes.
    [[nodiscard]] Result<Message> read_message();

    // The picture, and what of it has changed since the last call.
    [[nodiscard]] const QImage& picture() const { return m_picture; }
    [[nodiscard]] QRegion take_damage() { return std::exchange(m_damage, {}); }
    // What the frame brought besides pixels; each is told once.
    [[nodiscard]] std::optional<ScreenCursor> take_cursor() { return std::exchange(m_cursor, std::nullopt); }
    [[nodiscard]] std::optional<bool> take_pointer_is_absolute() { return std::exchange(m_absolute, std::nullopt); }
    // The server takes keys by scancode, and wishes for another size.
    [[nodiscard]] bool takes_scancodes() const { return m_takes_scancodes; }
    [[nodiscard]] bool takes_size() const { return m_layout.has_value(); }
    // Id and flags of the one screen, to be sent back with a wish.
    struct Layout {
        uint32_t id = 0;
        uint32_t flags = 0;
    };
    [[nodiscard]] Layout layout() const { return m_layout.value_or(Layout{}); }

  private:
    struct Rect {
        int x = 0;
        int y = 0;
        int width = 0;
        int height = 0;
    };
    struct Tile;  // of Hextile, with the colours that carry over

    void get(void* to, size_t count);  // throws Broken
    uint8_t get8();
    uint16_t get16();
    uint32_t get32();
    void skip(size_t count);
    void check_size(int width, int height) const;
    void check_inside(const Rect& rect) const;

    void framebuffer_update();
    void rectangle();
    bool pseudo_rectangle(int32_t encoding, const Rect& rect);
    void raw(const Rect& rect);
    void copy_rect(const Rect& rect);
    void hextile(const Rect& rect);
    void hextile_tile(const Rect& rect, Tile& tile);
    void fill(const Rect& rect, uint32_t pixel);
    void rich_cursor(const Rect& rect);
    void desktop_layout(const Rect& rect);
    void resize(int width, int height);
    uint32_t* row(int y) { return reinterpret_cast<uint32_t*>(m_picture.scanLine(y)); }

    ReadBytes m_read;
    QImage m_picture;
    QRegion m_damage;
    std::optional<ScreenCursor> m_cursor;
    std::optional<bool> m_absolute;
    std::optional<Layout> m_layout;
    bool m_takes_scancodes = false;
};

}  // namespace skep::ui
