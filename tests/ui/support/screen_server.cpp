// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenServer.
#include "tests/ui/support/screen_server.hpp"

#include <rfb/rfb.h>
#include <sys/socket.h>

#include <QRect>
#include <QSize>
#include <QtEndian>
#include <algorithm>
#include <future>

#include "display/vnc/rfb_library.hpp"

namespace skep::ui {

namespace {

constexpr int k_extended_key = -258;
constexpr int k_pointer_motion = -257;
constexpr long k_patience_us = 2000;

// A FramebufferUpdate of one rectangle without pixels.
void send_pseudo_rectangle(rfbClientPtr client, int encoding, uint16_t x) {
    uchar message[16] = {rfbFramebufferUpdate, 0, 0, 1};
    qToBigEndian(x, &message[4]);
    qToBigEndian(static_cast<int32_t>(encoding), &message[12]);
    rfbWriteExact(client, reinterpret_cast<const char*>(message), sizeof message);
}

int g_extended_encodings[] = {k_extended_key, k_pointer_motion, 0};

}  // namespace

struct ScreenServerHooks {
    static ScreenServer* of(rfbClientPtr client) { return static_cast<ScreenServer*>(client->screen->screenData); }

    static rfbBool enable(rfbClientPtr client, void**, int encoding) {
        if (encoding == k_extended_key) {
            send_pseudo_rectangle(client, k_extended_key, 0);
        }
        return encoding == k_extended_key || encoding == k_pointer_motion;
    }
    static rfbBool message(rfbClientPtr client, void*, const rfbClientToServerMsg* message) {
        uchar rest[11];
        if (message->type != rfbQemuEvent || rfbReadExact(client, reinterpret_cast<char*>(rest), sizeof rest) <= 0) {
            return FALSE;
        }
        ScreenServer* server = of(client);
        const std::lock_guard lock(server->m_mutex);
        server->m_keys.push_back({qFromBigEndian<uint32_t>(&rest[7]), qFromBigEndian<uint16_t>(&rest[1]) != 0});
        return TRUE;
    }
    static void pointer(int buttons, int x, int y, rfbClientPtr client) {
        ScreenServer* server = of(client);
        const std::lock_guard lock(server->m_mutex);
        server->m_pointers.push_back({x, y, buttons});
    }
    static int wish(int width, int height, int, rfbExtDesktopScreen*, rfbClientPtr client) {
        ScreenServer* server = of(client);
        const std::lock_guard lock(server->m_mutex);
        server->m_wishes.emplace_back(width, height);
        server->m_calls.emplace_back([=] { grow(*server, width, height); });
        return rfbExtDesktopSize_Success;
    }
    static rfbNewClientAction arrived(rfbClientPtr client) {
        of(client)->m_client = client;
        client->clientGoneHook = [](rfbClientPtr gone) { of(gone)->m_client = nullptr; };
        return RFB_CLIENT_ACCEPT;
    }
    static void grow(ScreenServer& server, int width, int height) {
        std::vector<uint32_t> pixels(size_t(width) * size_t(height));
        rfbNewFramebuffer(server.m_screen, reinterpret_cast<char*>(pixels.data()), width, height, 8, 3, 4);
        server.m_pixels.swap(pixels);
        set_format(server.m_screen);
    }
    static void set_format(rfbScreenInfoPtr screen) {
        screen->serverFormat.redShift = 16;
        screen->serverFormat.greenShift = 8;
        screen->serverFormat.blueShift = 0;
    }
};

ScreenServer::ScreenServer(int width, int height) : m_pixels(size_t(width) * size_t(height)) {
    static rfbProtocolExtension extension = {
        nullptr, nullptr, g_extended_encodings, ScreenServerHooks::enable, ScreenServerHooks::message, nullptr, nullptr,
        nullptr, nullptr};
    rfbRegisterProtocolExtension(&extension);
    rfbLogEnable(FALSE);
    int ends[2] = {-1, -1};
    (void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    m_viewer = Fd(ends[0]);
    m_server_fd = ends[1];
    m_screen = rfbGetScreen(nullptr, nullptr, width, height, 8, 3, 4);
    ScreenServerHooks::set_format(m_screen);
    m_screen->screenData = this;
    m_screen->frameBuffer = reinterpret_cast<char*>(m_pixels.data());
    m_screen->port = 0;
    m_screen->ipv6port = 0;
    m_screen->alwaysShared = TRUE;
    m_screen->deferUpdateTime = 1;
    m_screen->cursor = nullptr;
    m_screen->ptrAddEvent = ScreenServerHooks::pointer;
    m_screen->newClientHook = ScreenServerHooks::arrived;
    m_screen->setDesktopSizeHook = ScreenServerHooks::wish;
    rfbInitServer(m_screen);
    m_thread = std::thread([this] { run(); });
}

ScreenServer::~ScreenServer() {
    m_leave = true;
    m_thread.join();
    rfbShutdownServer(m_screen, TRUE);
    rfbScreenCleanup(m_screen);
}

void ScreenServer::run() {
    static_cast<void>(make_rfb_client(*m_screen, m_server_fd));  // without a wait for web sockets; shakes hands inside rfbProcessEvents()
    while (!m_leave) {
        rfbProcessEvents(m_screen, k_patience_us);
        std::vector<std::function<void()>> calls;
        {
            const std::lock_guard lock(m_mutex);
            calls.swap(m_calls);
        }
        for (const auto& call : calls) {
            call();
        }
    }
}

void ScreenServer::call(std::function<void()> on_server_thread) {
    std::promise<void> done;
    {
        const std::lock_guard lock(m_mutex);
        m_calls.emplace_back([&] {
            on_server_thread();
            done.set_value();
        });
    }
    done.get_future().wait();
}

void ScreenServer::fill(const QRect& rect, uint32_t pixel) {
    call([&] {
        for (int y = rect.top(); y <= rect.bottom(); ++y) {
            std::fill_n(m_pixels.begin() + y * m_screen->width + rect.left(), rect.width(), pixel);
        }
        rfbMarkRectAsModified(m_screen, rect.left(), rect.top(), rect.right() + 1, rect.bottom() + 1);
    });
}

void ScreenServer::draw(const QImage& picture) {
    call([&] {
        for (int y = 0; y < picture.height(); ++y) {
            const auto* line = reinterpret_cast<const uint32_t*>(picture.constScanLine(y));
            std::copy_n(line, picture.width(), m_pixels.begin() + y * m_screen->width);
        }
        rfbMarkRectAsModified(m_screen, 0, 0, picture.width(), picture.height());
    });
}

void ScreenServer::resize(int width, int height) {
    call([&] { ScreenServerHooks::grow(*this, width, height); });
}

void ScreenServer::set_cursor(int width, int height, QPoint hot) {
    call([&] {
        std::string all(size_t(width) * size_t(height), 'x');
        rfbCursorPtr cursor = rfbMakeXCursor(width, height, all.data(), all.data());
        cursor->xhot = static_cast<unsigned short>(hot.x());
        cursor->yhot = static_cast<unsigned short>(hot.y());
        cursor->cleanup = TRUE;
        rfbSetCursor(m_screen, cursor);
    });
}

void ScreenServer::set_absolute(bool absolute) {
    call([&] { send_pseudo_rectangle(m_client, k_pointer_motion, absolute ? 1 : 0); });
}

void ScreenServer::hang_up() {
    call([&] { rfbCloseClient(m_client); });
}

std::vector<ScreenServer::Key> ScreenServer::keys() const {
    const std::lock_guard lock(m_mutex);
    return m_keys;
}

std::vector<ScreenServer::Pointer> ScreenServer::pointers() const {
    const std::lock_guard lock(m_mutex);
    return m_pointers;
}

std::vector<QSize> ScreenServer::wishes() const {
    const std::lock_guard lock(m_mutex);
    return m_wishes;
}

void ScreenServer::forget_input() {
    const std::lock_guard lock(m_mutex);
    m_keys.clear();
    m_pointers.clear();
}

}  // namespace skep::ui
