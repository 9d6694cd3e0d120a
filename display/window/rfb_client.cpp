// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/window/rfb_client.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "display/input/scan_codes.hpp"

namespace skep {
namespace {

char g_self;  // its address names our pointer among a client's data
constexpr int k_most_cursor = 256;
constexpr int k_pointer_motion_encoding = -257;
constexpr const char* k_encodings = "copyrect hextile raw";

int rfb_buttons(uint8_t buttons) {
    return ((buttons & k_button_left) != 0 ? rfbButton1Mask : 0) | ((buttons & k_button_middle) != 0 ? rfbButton2Mask : 0) |
           ((buttons & k_button_right) != 0 ? rfbButton3Mask : 0);
}

tl::unexpected<Error> ended() { return fail(ErrorKind::io, "The connection to the machine's screen has ended."); }

}  // namespace

RfbClient& RfbClient::of(rfbClient* client) { return *static_cast<RfbClient*>(rfbClientGetClientData(client, &g_self)); }

Result<std::unique_ptr<RfbClient>> RfbClient::connect(Fd socket) {
    rfbEnableClientLogging = FALSE;
    rfbClient* const raw = rfbGetClient(8, 3, 4);
    if (raw == nullptr) {
        return fail(ErrorKind::no_space, "There is no memory left on this host for a view of the screen.");
    }
    std::unique_ptr<RfbClient> client(new RfbClient(raw));
    fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK);
    raw->sock = socket.release();
    announce_pointer_motion();
    client->set_callbacks();
    if (InitialiseRFBConnection(raw) == FALSE || !client->resize(raw->si.framebufferWidth, raw->si.framebufferHeight)) {
        return fail(ErrorKind::protocol, "The machine's screen did not answer as a screen does.");
    }
    raw->width = raw->si.framebufferWidth;
    raw->height = raw->si.framebufferHeight;
    raw->updateRect = {0, 0, raw->width, raw->height};
    if (SetFormatAndEncodings(raw) == FALSE || SendFramebufferUpdateRequest(raw, 0, 0, raw->width, raw->height, FALSE) == FALSE) {
        return ended();
    }
    return client;
}

RfbClient::~RfbClient() {
    m_client->frameBuffer = nullptr;  // ours
    rfbClientCleanup(m_client);
}

void RfbClient::set_callbacks() {
    rfbClientSetClientData(m_client, &g_self, this);
    m_client->appData.encodingsString = k_encodings;
    m_client->appData.useRemoteCursor = TRUE;
    m_client->canHandleNewFBSize = TRUE;
    m_client->format.redShift = 16;
    m_client->format.greenShift = 8;
    m_client->format.blueShift = 0;
    m_client->MallocFrameBuffer = [](rfbClient* client) -> rfbBool {
        return of(client).resize(client->width, client->height) ? TRUE : FALSE;
    };
    m_client->GotFrameBufferUpdate = [](rfbClient* client, int x, int y, int width, int height) {
        if (x >= 0 && y >= 0 && width > 0 && height > 0) {
            RfbClient& self = of(client);
            const ScreenRect rect{static_cast<uint32_t>(x), static_cast<uint32_t>(y), static_cast<uint32_t>(x + width),
                                  static_cast<uint32_t>(y + height)};
            self.m_damage.add(rect.within(self.m_size));
        }
    };
    m_client->GotCursorShape = [](rfbClient* client, int hot_x, int hot_y, int width, int height, int bytes_per_pixel) {
        of(client).note_cursor(hot_x, hot_y, width, height, bytes_per_pixel);
    };
}

// QEMU's pointer motion change (-257): the rectangle's x says whether the pointer has a place. The library keeps its
// extensions for the whole process.
void RfbClient::announce_pointer_motion() {
    static const bool once = [] {
        static int encodings[] = {k_pointer_motion_encoding, 0};
        static rfbClientProtocolExtension extension{};
        extension.encodings = encodings;
        extension.handleEncoding = [](rfbClient* client, rfbFramebufferUpdateRectHeader* rect) -> rfbBool {
            if (static_cast<int32_t>(rect->encoding) != k_pointer_motion_encoding) {
                return FALSE;
            }
            of(client).m_absolute = rect->r.x != 0;
            return TRUE;
        };
        rfbClientRegisterExtension(&extension);
        return true;
    }();
    static_cast<void>(once);
}

bool RfbClient::resize(int width, int height) {
    const ScreenSize size{static_cast<uint32_t>(std::max(width, 0)), static_cast<uint32_t>(std::max(height, 0))};
    if (!size.acceptable()) {
        return false;
    }
    m_size = size;
    m_pixels.assign(size_t{size.width} * size.height, 0);
    m_client->frameBuffer = reinterpret_cast<uint8_t*>(m_pixels.data());
    m_damage.clear();
    m_damage.add({0, 0, size.width, size.height});
    return true;
}

void RfbClient::note_cursor(int hot_x, int hot_y, int width, int height, int bytes_per_pixel) {
    const bool sane = width > 0 && height > 0 && width <= k_most_cursor && height <= k_most_cursor &&
                      bytes_per_pixel == 4 && m_client->rcSource != nullptr && m_client->rcMask != nullptr;
    if (!sane) {
        return;
    }
    Cursor cursor{static_cast<uint32_t>(width), static_cast<uint32_t>(height),
                  static_cast<uint32_t>(std::clamp(hot_x, 0, width - 1)), static_cast<uint32_t>(std::clamp(hot_y, 0, height - 1)), {}};
    const auto* const pixels = reinterpret_cast<const uint32_t*>(m_client->rcSource);
    for (size_t at = 0; at < size_t{cursor.width} * cursor.height; ++at) {
        cursor.argb.push_back((pixels[at] & 0xffffff) | (m_client->rcMask[at] != 0 ? 0xff000000U : 0U));
    }
    m_cursor = std::move(cursor);
}

Status RfbClient::receive() {
    do {
        if (HandleRFBServerMessage(m_client) == FALSE) {
            return ended();
        }
    } while (m_client->buffered > 0);
    return {};
}

Status RfbClient::checked(rfbBool sent) const {
    if (sent == FALSE) {
        return ended();
    }
    return {};
}

Status RfbClient::send_key(KeyCode key, bool down) {
    const uint32_t code = qemu_code_of_key(key);
    if (code == 0 || SupportsClient2Server(m_client, rfbQemuEvent) == FALSE) {
        return {};
    }
    return checked(SendExtendedKeyEvent(m_client, 0, code, down ? TRUE : FALSE));
}

Status RfbClient::send_pointer(uint32_t x, uint32_t y, uint8_t buttons) {
    return checked(SendPointerEvent(m_client, static_cast<int>(x), static_cast<int>(y), rfb_buttons(buttons)));
}

Status RfbClient::send_motion(int32_t right, int32_t down, uint8_t buttons) {
    const auto coordinate = [](int32_t moved) { return std::clamp(k_not_moved + moved, 0, 0xffff); };
    return checked(SendPointerEvent(m_client, coordinate(right), coordinate(down), rfb_buttons(buttons)));
}

Status RfbClient::send_wheel(uint32_t x, uint32_t y, int32_t vertical, int32_t horizontal, uint8_t buttons) {
    constexpr int k_most_notches = 10;
    const auto notch = [&](int mask) {
        return checked(SendPointerEvent(m_client, static_cast<int>(x), static_cast<int>(y), rfb_buttons(buttons) | mask))
            .and_then([&] { return send_pointer(x, y, buttons); });
    };
    Status sent;
    for (int count = std::min(std::abs(vertical), k_most_notches); count > 0 && sent; --count) {
        sent = notch(vertical < 0 ? rfbWheelUpMask : rfbWheelDownMask);
    }
    for (int count = std::min(std::abs(horizontal), k_most_notches); count > 0 && sent; --count) {
        sent = notch(horizontal < 0 ? 1 << 5 : 1 << 6);
    }
    return sent;
}

}  // namespace skep
