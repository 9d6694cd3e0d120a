// SPDX-License-Identifier: GPL-3.0-or-later
// RfbClient: a viewer's end of a machine's screen over libvncclient, without a window. Only Raw, CopyRect and Hextile
// are asked for; the worker is hostile, so sizes are checked before memory is made for them.
#pragma once

#include <rfb/rfbclient.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "display/input/input_hub.hpp"
#include "display/surface/geometry.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// One thread. Any failure is for good: the connection has ended. The program ignores SIGPIPE.
class RfbClient {
  public:
    // A wheel's place when the guest's pointer has none.
    static constexpr int32_t k_not_moved = 0x7fff;

    // A connected stream socket on which the worker speaks RFB. Waits for its greeting.
    [[nodiscard]] static Result<std::unique_ptr<RfbClient>> connect(Fd socket);
    ~RfbClient();
    RfbClient(const RfbClient&) = delete;
    RfbClient& operator=(const RfbClient&) = delete;

    [[nodiscard]] int fd() const { return m_client->sock; }
    [[nodiscard]] std::string name() const { return m_client->desktopName != nullptr ? m_client->desktopName : ""; }
    [[nodiscard]] ScreenSize size() const { return m_size; }
    [[nodiscard]] const std::vector<uint32_t>& pixels() const { return m_pixels; }  // 0x00RRGGBB, size() of them
    // What has changed since the last call.
    [[nodiscard]] Damage take_damage() { return std::exchange(m_damage, {}); }
    // A new cursor image since the last call.
    struct Cursor {
        uint32_t width = 0;
        uint32_t height = 0;
        uint32_t hot_x = 0;
        uint32_t hot_y = 0;
        std::vector<uint32_t> argb;
    };
    [[nodiscard]] std::optional<Cursor> take_cursor() { return std::exchange(m_cursor, std::nullopt); }

    // Reads what has arrived (call it when fd() is readable). Asks for more by itself.
    [[nodiscard]] Status receive();

    [[nodiscard]] Status send_key(KeyCode key, bool down);
    [[nodiscard]] Status send_pointer(uint32_t x, uint32_t y, uint8_t buttons);  // guest pixels
    // Whether the guest's pointer has a place. While it has not, ways count and places do not.
    [[nodiscard]] bool pointer_is_absolute() const { return m_absolute; }
    [[nodiscard]] Status send_motion(int32_t right, int32_t down, uint8_t buttons);
    [[nodiscard]] Status send_wheel(uint32_t x, uint32_t y, int32_t vertical, int32_t horizontal, uint8_t buttons);

  private:
    explicit RfbClient(rfbClient* client) : m_client(client) {}
    static RfbClient& of(rfbClient* client);
    void set_callbacks();
    static void announce_pointer_motion();
    [[nodiscard]] bool resize(int width, int height);
    void note_cursor(int hot_x, int hot_y, int width, int height, int bytes_per_pixel);
    [[nodiscard]] Status checked(rfbBool sent) const;

    rfbClient* m_client;
    ScreenSize m_size;
    std::vector<uint32_t> m_pixels;
    Damage m_damage;
    std::optional<Cursor> m_cursor;
    bool m_absolute = true;  // until the server says otherwise
};

}  // namespace skep
