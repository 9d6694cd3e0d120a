// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/rfb_library.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "vmm/base/fd.hpp"

namespace skep {
namespace {

constexpr int k_bits_per_sample = 8;
constexpr int k_samples = 3;
constexpr int k_bytes_per_pixel = 4;
constexpr int k_patience_ms = 20'000;  // a viewer that takes nothing for so long is gone
constexpr uint8_t k_opaque = 0x80;

std::mutex g_library;

void say_nothing(const char* /*format*/, ...) {}

void set_format(rfbScreenInfo& screen) {
    rfbPixelFormat& format = screen.serverFormat;  // 0x00RRGGBB
    format.redShift = 16;
    format.greenShift = 8;
    format.blueShift = 0;
    format.depth = 24;
    screen.depth = 24;
}

// libvncserver frees what it is given.
template <typename T>
T* allocate(size_t count) {
    return static_cast<T*>(std::calloc(std::max<size_t>(count, 1), sizeof(T)));
}

}  // namespace

std::unique_lock<std::mutex> lock_rfb_library() { return std::unique_lock(g_library); }

void RfbScreenDeleter::operator()(rfbScreenInfo* screen) const {
    const auto lock = lock_rfb_library();
    rfbSetCursor(screen, nullptr);
    rfbScreenCleanup(screen);
}

RfbScreen make_rfb_screen(ViewerPicture& picture, const char* name) {
    rfbLog = rfbErr = say_nothing;  // it names peers and repeats what they say
    RfbScreen made(rfbGetScreen(nullptr, nullptr, static_cast<int>(picture.size().width), static_cast<int>(picture.size().height),
                                k_bits_per_sample, k_samples, k_bytes_per_pixel));
    if (!made) {
        return nullptr;
    }
    rfbScreenInfo& screen = *made;
    screen.port = 0;
    screen.ipv6port = 0;
    screen.autoPort = FALSE;
    screen.httpDir = nullptr;
    screen.httpEnableProxyConnect = FALSE;
    screen.permitFileTransfer = FALSE;
    screen.listenInterface = htonl(INADDR_LOOPBACK);  // nothing listens; if anything ever did
    screen.ignoreSIGPIPE = FALSE;
    screen.desktopName = name;
    screen.frameBuffer = picture.pixels();
    screen.cursor = nullptr;
    screen.deferUpdateTime = 0;
    screen.deferPtrUpdateTime = 0;
    screen.maxClientWait = k_patience_ms;
    screen.maxRectsPerUpdate = 200;
    screen.alwaysShared = TRUE;
    set_format(screen);
    return made;
}

rfbClientRec* make_rfb_client(rfbScreenInfo& screen, int socket) {
    Fd viewer(socket);
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
        return nullptr;
    }
    Fd far_end(pair[1]);
    constexpr std::string_view k_plain = "RFB ";  // how a viewer begins that wants neither
    if (pair[0] >= FD_SETSIZE || write(far_end.get(), k_plain.data(), k_plain.size()) != static_cast<ssize_t>(k_plain.size())) {
        ::close(pair[0]);
        return nullptr;
    }
    rfbClientRec* const client = rfbNewClient(&screen, pair[0]);
    if (client == nullptr) {
        return nullptr;
    }
    std::array<char, sz_rfbProtocolVersionMsg> version{};
    const bool greeted = read(far_end.get(), version.data(), version.size()) == static_cast<ssize_t>(version.size()) &&
                         dup3(viewer.get(), client->sock, O_CLOEXEC) >= 0 &&
                         send(client->sock, version.data(), version.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(version.size());
    if (!greeted) {
        rfbCloseClient(client);
    }
    return client;
}

void renew_rfb_framebuffer(rfbScreenInfo& screen, rfbClientRec& client, ViewerPicture& picture) {
    rfbNewFramebuffer(&screen, picture.pixels(), static_cast<int>(picture.size().width), static_cast<int>(picture.size().height),
                      k_bits_per_sample, k_samples, k_bytes_per_pixel);
    set_format(screen);  // it has set its own again
    rfbSetTranslateFunction(&client);
}

void set_rfb_cursor(rfbScreenInfo& screen, const CursorImage& image) {
    if (image.width == 0 || image.height == 0) {
        // Nothing, in two pixels: the library makes smaller ones empty, and libvncclient overlooks empty ones.
        set_rfb_cursor(screen, {.width = 2, .height = 1, .hot_x = 0, .hot_y = 0, .argb = {0, 0}});
        return;
    }
    const size_t mask_row = (image.width + 7) / 8;
    auto* const cursor = allocate<rfbCursor>(1);
    auto* const mask = allocate<unsigned char>(mask_row * image.height);
    auto* const pixels = allocate<unsigned char>(image.argb.size() * sizeof(uint32_t));
    if (cursor == nullptr || mask == nullptr || pixels == nullptr) {
        std::free(cursor);
        std::free(mask);
        std::free(pixels);
        return;
    }
    std::memcpy(pixels, image.argb.data(), image.argb.size() * sizeof(uint32_t));
    // No alpha: the protocol's cursor has none, and the library's blending reads beyond the last pixel.
    for (size_t at = 0; at < image.argb.size(); ++at) {
        const size_t x = at % image.width;
        if (image.argb[at] >> 24 >= k_opaque) {
            mask[at / image.width * mask_row + x / 8] |= static_cast<unsigned char>(0x80 >> (x % 8));
        }
    }
    cursor->cleanup = cursor->cleanupMask = cursor->cleanupRichSource = cursor->cleanupSource = TRUE;
    cursor->width = static_cast<unsigned short>(image.width);
    cursor->height = static_cast<unsigned short>(image.height);
    cursor->xhot = static_cast<unsigned short>(std::min(image.hot_x, image.width - 1));
    cursor->yhot = static_cast<unsigned short>(std::min(image.hot_y, image.height - 1));
    cursor->mask = mask;
    cursor->richSource = pixels;
    rfbSetCursor(&screen, cursor);
}

}  // namespace skep
