// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenDecoder. Inside, a broken stream is an exception: it ends the reading of a message from any depth.
#include "ui/console/screen_decoder.hpp"

#include <QtEndian>
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "display/surface/geometry.hpp"

namespace skep::ui {

namespace {

enum ServerMessage : uint8_t { k_update = 0, k_bell = 2, k_cut_text = 3 };

enum Encoding : int32_t {
    k_raw = 0,
    k_copy_rect = 1,
    k_hextile = 5,
    k_desktop_size = -223,
    k_cursor = -239,
    k_qemu_pointer_motion = -257,  // the rectangle's x: 1 when the pointer has a place, 0 when it only moves
    k_qemu_extended_key = -258,
    k_extended_desktop_size = -308,
};

enum HextileBits : uint8_t { k_tile_raw = 1, k_background = 2, k_foreground = 4, k_subrects = 8, k_coloured = 16 };
constexpr int k_tile_size = 16;
// A frame of more rectangles counts as their frame: adding to a large region is slow.
constexpr int k_most_damage = 64;

struct Broken {
    Error error;
};

template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
    throw Broken{{ErrorKind::protocol, fmt::format(format, std::forward<Args>(args)...)}};
}

}  // namespace

struct ScreenDecoder::Tile {
    uint32_t background = 0;
    uint32_t foreground = 0;
};

const std::vector<int32_t>& screen_encodings() {
    // On one computer bytes are cheaper than packing them.
    static const std::vector<int32_t> encodings = {
        k_copy_rect,          k_raw, k_hextile, k_cursor, k_extended_desktop_size, k_desktop_size, k_qemu_extended_key,
        k_qemu_pointer_motion};
    return encodings;
}

void ScreenDecoder::get(void* to, size_t count) {
    if (!m_read(to, count)) {
        throw Broken{{ErrorKind::io, "The connection to the machine's screen has ended."}};
    }
}

uint8_t ScreenDecoder::get8() {
    uint8_t value = 0;
    get(&value, sizeof value);
    return value;
}

uint16_t ScreenDecoder::get16() {
    quint16 value = 0;
    get(&value, sizeof value);
    return qFromBigEndian(value);
}

uint32_t ScreenDecoder::get32() {
    quint32 value = 0;
    get(&value, sizeof value);
    return qFromBigEndian(value);
}

void ScreenDecoder::skip(size_t count) {
    std::array<char, 4096> unused;
    while (count > 0) {
        const size_t part = std::min(count, unused.size());
        get(unused.data(), part);
        count -= part;
    }
}

void ScreenDecoder::check_size(int width, int height) const {
    if (!ScreenSize{static_cast<uint32_t>(width), static_cast<uint32_t>(height)}.acceptable()) {
        refuse("The machine announced a screen of {} x {}: the connection to it was dropped.", width, height);
    }
}

void ScreenDecoder::check_inside(const Rect& rect) const {
    if (rect.x + rect.width > m_picture.width() || rect.y + rect.height > m_picture.height()) {
        refuse("The machine drew outside of its screen: the connection to it was dropped.");
    }
}

Status ScreenDecoder::set_size(int width, int height) {
    try {
        resize(width, height);
    } catch (const Broken& broken) {
        return tl::unexpected(broken.error);
    }
    return {};
}

void ScreenDecoder::resize(int width, int height) {
    check_size(width, height);
    if (m_picture.size() != QSize(width, height)) {
        m_picture = QImage(width, height, QImage::Format_RGB32);
        if (m_picture.isNull()) {
            throw Broken{
                {ErrorKind::no_space, fmt::format("There is no memory for a screen of {} x {}.", width, height)}};
        }
        m_picture.fill(Qt::black);
    }
    m_damage = QRegion(m_picture.rect());
}

Result<ScreenDecoder::Message> ScreenDecoder::read_message() {
    try {
        switch (const uint8_t type = get8()) {
            case k_update:
                framebuffer_update();
                return Message::frame;
            case k_bell:
                return Message::nothing;
            case k_cut_text: {
                skip(3);
                const uint32_t length = get32();
                if (length > k_max_cut_text) {
                    refuse("The machine sent {} bytes of text: the connection to its screen was dropped.", length);
                }
                skip(length);
                return Message::nothing;
            }
            default:
                refuse("The machine's screen sent an unknown message ({}): the connection was dropped.", type);
        }
    } catch (const Broken& broken) {
        return tl::unexpected(broken.error);
    }
}

void ScreenDecoder::framebuffer_update() {
    skip(1);
    for (unsigned left = get16(); left > 0; --left) {
        rectangle();
    }
}

void ScreenDecoder::rectangle() {
    Rect rect;
    rect.x = get16();
    rect.y = get16();
    rect.width = get16();
    rect.height = get16();
    const auto encoding = static_cast<int32_t>(get32());
    if (pseudo_rectangle(encoding, rect)) {
        return;
    }
    check_inside(rect);
    switch (encoding) {
        case k_raw:
            raw(rect);
            break;
        case k_copy_rect:
            copy_rect(rect);
            break;
        case k_hextile:
            hextile(rect);
            break;
        default:
            refuse("The machine's screen uses encoding {}, which was not asked for: the connection was dropped.",
                   encoding);
    }
    m_damage += QRect(rect.x, rect.y, rect.width, rect.height);
    if (m_damage.rectCount() > k_most_damage) {
        m_damage = m_damage.boundingRect();
    }
}

bool ScreenDecoder::pseudo_rectangle(int32_t encoding, const Rect& rect) {
    switch (encoding) {
        case k_cursor:
            rich_cursor(rect);
            return true;
        case k_desktop_size:
            resize(rect.width, rect.height);
            return true;
        case k_extended_desktop_size:
            desktop_layout(rect);
            return true;
        case k_qemu_extended_key:
            m_takes_scancodes = true;
            return true;
        case k_qemu_pointer_motion:
            m_absolute = rect.x != 0;
            return true;
        default:
            return false;
    }
}

void ScreenDecoder::raw(const Rect& rect) {
    const size_t line = size_t(rect.width) * sizeof(uint32_t);
    if (rect.x == 0 && rect.width == m_picture.width() && rect.height > 0) {
        get(row(rect.y), line * size_t(rect.height));  // rows of 32-bit pixels have no gaps
        return;
    }
    for (int y = rect.y; y < rect.y + rect.height; ++y) {
        get(row(y) + rect.x, line);
    }
}

void ScreenDecoder::copy_rect(const Rect& rect) {
    Rect from = rect;
    from.x = get16();
    from.y = get16();
    check_inside(from);
    const bool upwards = from.y < rect.y;  // the areas may overlap
    for (int i = 0; i < rect.height; ++i) {
        const int y = upwards ? rect.height - 1 - i : i;
        std::memmove(row(rect.y + y) + rect.x, row(from.y + y) + from.x, size_t(rect.width) * sizeof(uint32_t));
    }
}

void ScreenDecoder::fill(const Rect& rect, uint32_t pixel) {
    for (int y = rect.y; y < rect.y + rect.height; ++y) {
        std::fill_n(row(y) + rect.x, rect.width, pixel);
    }
}

// RFC 6143, section 7.7.4. Colours carry over from tile to tile.
void ScreenDecoder::hextile(const Rect& rect) {
    Tile tile;
    for (int y = rect.y; y < rect.y + rect.height; y += k_tile_size) {
        for (int x = rect.x; x < rect.x + rect.width; x += k_tile_size) {
            hextile_tile(
                {x, y, std::min(k_tile_size, rect.x + rect.width - x), std::min(k_tile_size, rect.y + rect.height - y)},
                tile);
        }
    }
}

void ScreenDecoder::hextile_tile(const Rect& rect, Tile& tile) {
    const auto pixel = [this] {
        uint32_t value = 0;
        get(&value, sizeof value);  // in host order, as the pixel format asks for
        return value;
    };
    const uint8_t bits = get8();
    if ((bits & k_tile_raw) != 0) {
        raw(rect);
        return;
    }
    tile.background = (bits & k_background) != 0 ? pixel() : tile.background;
    tile.foreground = (bits & k_foreground) != 0 ? pixel() : tile.foreground;
    fill(rect, tile.background);
    for (unsigned left = (bits & k_subrects) != 0 ? get8() : 0; left > 0; --left) {
        const uint32_t colour = (bits & k_coloured) != 0 ? pixel() : tile.foreground;
        const uint8_t place = get8();
        const uint8_t extent = get8();
        const Rect part{place >> 4, place & 15, (extent >> 4) + 1, (extent & 15) + 1};
        if (part.x + part.width > rect.width || part.y + part.height > rect.height) {
            refuse("The machine drew outside of its screen: the connection to it was dropped.");
        }
        fill({rect.x + part.x, rect.y + part.y, part.width, part.height}, colour);
    }
}

// The Cursor pseudo-encoding (RFC 6143, section 7.8.1): pixels, then a bit for each that says whether it is seen.
void ScreenDecoder::rich_cursor(const Rect& rect) {
    if (rect.width > k_max_cursor || rect.height > k_max_cursor) {
        refuse("The machine's pointer image is {} x {}: the connection to its screen was dropped.", rect.width,
               rect.height);
    }
    ScreenCursor cursor;
    if (rect.width > 0 && rect.height > 0) {
        cursor.image = QImage(rect.width, rect.height, QImage::Format_ARGB32);
        cursor.hot_spot = {std::min(rect.x, rect.width - 1), std::min(rect.y, rect.height - 1)};
        get(cursor.image.bits(), size_t(rect.width) * size_t(rect.height) * sizeof(uint32_t));
        std::array<uint8_t, k_max_cursor / 8> mask;
        for (int y = 0; y < rect.height; ++y) {
            get(mask.data(), size_t(rect.width + 7) / 8);
            auto* line = reinterpret_cast<uint32_t*>(cursor.image.scanLine(y));
            for (int x = 0; x < rect.width; ++x) {
                const bool seen = ((mask[size_t(x) / 8] >> (7 - x % 8)) & 1) != 0;
                line[x] = seen ? line[x] | 0xff000000U : 0;
            }
        }
    }
    m_cursor = std::move(cursor);
}

// ExtendedDesktopSize: x says who asked and y whether it was granted; a refusal tells the size that stays.
void ScreenDecoder::desktop_layout(const Rect& rect) {
    const unsigned screens = get8();
    skip(3);
    for (unsigned i = 0; i < screens; ++i) {
        Layout layout;
        layout.id = get32();
        skip(8);  // place and size: one screen fills the picture
        layout.flags = get32();
        m_layout = i == 0 ? layout : m_layout;
    }
    const bool granted = rect.y == 0;
    if (granted && m_picture.size() != QSize(rect.width, rect.height)) {
        resize(rect.width, rect.height);
    }
}

}  // namespace skep::ui
