// SPDX-License-Identifier: GPL-3.0-or-later
// The server with libvncclient as the viewer, and with viewers that misbehave.
#include "display/vnc/rfb_server.hpp"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>
#include <malloc.h>
#include <poll.h>
#include <rfb/rfbclient.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <future>
#include <optional>
#include <thread>

#include "tests/support/input_notes.hpp"

namespace skep::test {
namespace {

using namespace std::chrono_literals;

// A guest screen that tests paint.
class Picture final : public ScreenSource {
  public:
    void refresh(Canvas& canvas) override {
        const std::lock_guard lock(m_mutex);
        ++refreshes;
        Surface* const surface = canvas.surface(m_size);
        if (canvas.whole() || m_changed) {
            for (uint32_t y = 0; y < m_size.height; ++y) {
                std::ranges::fill(surface->row(y), m_colour + y);
            }
            canvas.damage({0, 0, m_size.width, m_size.height});
        }
        canvas.set_cursor(m_cursor);
        m_changed = false;
    }
    bool suggest_size(ScreenSize size) override {
        paint(size, m_colour);
        return true;
    }
    void paint(ScreenSize size, uint32_t colour) {
        const std::lock_guard lock(m_mutex);
        m_size = size;
        m_colour = colour;
        m_changed = true;
    }
    void show_cursor(CursorImage cursor) {
        const std::lock_guard lock(m_mutex);
        m_cursor = std::move(cursor);
    }
    std::atomic<unsigned> refreshes{0};

  private:
    std::mutex m_mutex;
    ScreenSize m_size{320, 200};
    uint32_t m_colour = 0x102030;
    bool m_changed = true;
    CursorImage m_cursor;
};

class Viewer {
  public:
    explicit Viewer(Fd socket, const char* encodings = "raw", const char* password = nullptr) {
        m_client = rfbGetClient(8, 3, 4);
        m_client->sock = socket.release();
        m_client->appData.encodingsString = encodings;
        m_client->appData.useRemoteCursor = TRUE;
        m_client->canHandleNewFBSize = TRUE;
        m_client->format.redShift = 16;
        m_client->format.blueShift = 0;
        m_client->MallocFrameBuffer = [](rfbClient* client) -> rfbBool {
            auto* const self = of(client);
            self->m_pixels.assign(size_t(client->width) * size_t(client->height), 0xdeadbeef);
            client->frameBuffer = reinterpret_cast<uint8_t*>(self->m_pixels.data());
            return TRUE;
        };
        m_client->GotCursorShape = [](rfbClient* client, int, int, int width, int height, int) {
            of(client)->cursor_size = width * 1000 + height;
        };
        m_client->FinishedFrameBufferUpdate = [](rfbClient* client) { ++of(client)->updates; };
        m_client->GetPassword = [](rfbClient* client) { return strdup(of(client)->m_password); };
        m_password = password;
        rfbClientSetClientData(m_client, &s_tag, this);
        rfbEnableClientLogging = FALSE;
        connected = InitialiseRFBConnection(m_client) != FALSE;
        if (connected) {
            m_client->width = m_client->si.framebufferWidth;
            m_client->height = m_client->si.framebufferHeight;
            m_client->MallocFrameBuffer(m_client);
            m_client->updateRect = {0, 0, m_client->width, m_client->height};
            SetFormatAndEncodings(m_client);
            SendFramebufferUpdateRequest(m_client, 0, 0, m_client->width, m_client->height, FALSE);
        }
    }
    ~Viewer() {
        if (m_client != nullptr) {
            m_client->frameBuffer = nullptr;
            rfbClientCleanup(m_client);
        }
    }
    Viewer(const Viewer&) = delete;
    Viewer& operator=(const Viewer&) = delete;

    // Takes messages until the condition holds; false: it does not within some seconds, or the server hung up.
    bool until(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + 8s;
        while (!condition()) {
            const int ready = WaitForMessage(m_client, 20'000);
            if (ready < 0 || (ready > 0 && HandleRFBServerMessage(m_client) == FALSE) ||
                std::chrono::steady_clock::now() > end) {
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] bool shows(ScreenSize size, uint32_t colour) const {
        if (ScreenSize{uint32_t(m_client->width), uint32_t(m_client->height)} != size) {
            return false;
        }
        for (uint32_t y = 0; y < size.height; ++y) {
            for (uint32_t x = 0; x < size.width; ++x) {
                if ((m_pixels[size_t{y} * size.width + x] & 0xffffff) != colour + y) {
                    return false;
                }
            }
        }
        return true;
    }
    rfbClient* operator->() { return m_client; }
    rfbClient* get() { return m_client; }

    bool connected = false;
    unsigned updates = 0;
    int cursor_size = -1;

  private:
    static Viewer* of(rfbClient* client) { return static_cast<Viewer*>(rfbClientGetClientData(client, &s_tag)); }
    static inline char s_tag = 0;
    rfbClient* m_client = nullptr;
    const char* m_password = nullptr;
    std::vector<uint32_t> m_pixels;
};

class RfbServerTest : public testing::Test {
  protected:
    RfbServerTest() {
        std::signal(SIGPIPE, SIG_IGN);  // as the worker does: the library writes to viewers that have gone
        screen.set_source(&picture);
        hub.add(static_cast<KeyboardSink&>(input));
        hub.add(static_cast<PointerSink&>(input));
        m_thread = std::thread([this] { loop.run(); });
    }
    ~RfbServerTest() override {
        on_loop([this] { server.reset(); });
        loop.quit();
        m_thread.join();
    }
    void on_loop(const std::function<void()>& task) {
        std::promise<void> done;
        loop.post([&] {
            task();
            done.set_value();
        });
        done.get_future().wait();
    }
    Fd connect() {
        Fd fd;
        on_loop([&] { fd = std::move(*server->open_viewer()); });
        return fd;
    }
    size_t viewers() {
        size_t count = 0;
        on_loop([&] { count = server->viewers(); });
        return count;
    }
    bool nobody_looks() {
        for (int attempt = 0; attempt < 500 && viewers() != 0; ++attempt) {
            std::this_thread::sleep_for(5ms);
        }
        return viewers() == 0;
    }

    Picture picture;
    InputNotes input;
    Screen screen;
    InputHub hub;
    EventLoop loop;
    std::optional<RfbServer> server{std::in_place, loop, screen, hub, "Test machine"};

  private:
    std::thread m_thread;
};

TEST_F(RfbServerTest, viewer_sees_the_screen_in_every_encoding) {
    for (const char* encoding : {"raw", "hextile", "zrle", "tight zrle", "copyrect hextile raw"}) {
        Viewer viewer(connect(), encoding);
        ASSERT_TRUE(viewer.connected) << encoding;
        EXPECT_STREQ(viewer->desktopName, "Test machine");
        EXPECT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x102030); })) << encoding;
    }
    EXPECT_TRUE(nobody_looks());
}

TEST_F(RfbServerTest, changes_arrive_and_a_new_size_too) {
    Viewer viewer(connect(), "hextile");
    ASSERT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x102030); }));
    picture.paint({320, 200}, 0x400000);
    EXPECT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x400000); }));
    picture.paint({640, 363}, 0x5000);
    EXPECT_TRUE(viewer.until([&] { return viewer.shows({640, 363}, 0x5000); }));
    picture.paint({101, 77}, 0x60);
    EXPECT_TRUE(viewer.until([&] { return viewer.shows({101, 77}, 0x60); }));
}

TEST_F(RfbServerTest, viewer_asks_for_a_size) {
    Viewer viewer(connect(), "raw");
    ASSERT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x102030); }));
    SendExtDesktopSize(viewer.get(), 500, 400);
    EXPECT_TRUE(viewer.until([&] { return viewer.shows({500, 400}, 0x102030); }));
}

TEST_F(RfbServerTest, cursor_is_shown_by_the_viewer) {
    Viewer viewer(connect(), "raw");
    ASSERT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x102030); }));
    picture.show_cursor(
        {.width = 13, .height = 7, .hot_x = 1, .hot_y = 2, .argb = std::vector<uint32_t>(13 * 7, 0xffffffff)});
    EXPECT_TRUE(viewer.until([&] { return viewer.cursor_size == 13'007; }));
    picture.show_cursor({});
    EXPECT_TRUE(viewer.until([&] { return viewer.cursor_size == 2'001; }));  // nothing, in two pixels
    EXPECT_TRUE(viewer.shows({320, 200}, 0x102030));
}

TEST_F(RfbServerTest, extended_keys_are_offered_and_heard) {
    Viewer viewer(connect(), "raw");
    ASSERT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x102030); }));
    ASSERT_NE(SupportsClient2Server(viewer.get(), rfbQemuEvent), FALSE);  // still, after a whole picture
    SendExtendedKeyEvent(viewer.get(), 0xff0d, 0x9c, TRUE);
    SendExtendedKeyEvent(viewer.get(), 0xff0d, 0x9c, FALSE);
    SendExtendedKeyEvent(viewer.get(), 'q', 0, TRUE);  // a viewer that does not know the place of the key
    SendExtendedKeyEvent(viewer.get(), 'q', 0, FALSE);
    EXPECT_EQ(input.wait_for("-16 "), "+96 -96 +16 -16 ");
}

// QEMU's pointer motion change, as a viewer's extension: what it was told last, or -1.
std::atomic<int> g_told_absolute{-1};

void announce_pointer_motion() {
    static int encodings[] = {-257, 0};
    static rfbClientProtocolExtension extension{};
    extension.encodings = encodings;
    extension.handleEncoding = [](rfbClient*, rfbFramebufferUpdateRectHeader* rect) -> rfbBool {
        const bool mine = static_cast<int32_t>(rect->encoding) == -257;
        g_told_absolute = mine ? rect->r.x : g_told_absolute.load();
        return mine ? TRUE : FALSE;
    };
    static const bool once = [] {
        rfbClientRegisterExtension(&extension);
        return true;
    }();
    (void)once;
}

TEST_F(RfbServerTest, viewer_that_can_is_told_to_send_ways_while_the_guest_has_only_a_mouse) {
    announce_pointer_motion();
    input.is_absolute = false;
    Viewer viewer(connect(), "raw");
    ASSERT_TRUE(viewer.until([&] { return g_told_absolute == 0; }));
    SendPointerEvent(viewer.get(), 0x7fff + 5, 0x7fff - 3, rfbButton1Mask);
    EXPECT_EQ(input.wait_for(":1 "), "+5,-3:1 ");
    input.is_absolute = true;
    picture.paint({320, 200}, 0x70);  // the kind is told beside a picture
    ASSERT_TRUE(viewer.until([&] { return g_told_absolute == 1; }));
    SendPointerEvent(viewer.get(), 319, 199, 0);
    EXPECT_TRUE(input.wait_for("32767,32767:0 ").ends_with("32767,32767:0 "));
}

TEST_F(RfbServerTest, plain_keys_pointer_and_wheel_are_heard) {
    Viewer viewer(connect(), "raw");
    SendKeyEvent(viewer.get(), 'a', TRUE);
    SendKeyEvent(viewer.get(), 'a', FALSE);
    SendPointerEvent(viewer.get(), 319, 0, rfbButton1Mask | rfbButton3Mask);
    SendPointerEvent(viewer.get(), 0, 199, rfbWheelDownMask);
    SendPointerEvent(viewer.get(), 0, 199, 0);
    EXPECT_EQ(input.wait_for("w1,0 0,32767:0 "), "+30 -30 32767,0:3 0,32767:0 w1,0 0,32767:0 ");
}

TEST_F(RfbServerTest, viewer_that_goes_leaves_nothing_down) {
    {
        Viewer viewer(connect(), "raw");
        SendKeyEvent(viewer.get(), 0xffe3, TRUE);
        SendPointerEvent(viewer.get(), 0, 0, rfbButton1Mask);
        input.wait_for("0,0:1 ");
    }
    EXPECT_EQ(input.wait_for("0,0:0 "), "+29 0,0:1 -29 0,0:0 ");
    EXPECT_TRUE(nobody_looks());
}

TEST_F(RfbServerTest, clipboard_is_thrown_away_and_the_next_message_heard) {
    Viewer viewer(connect(), "raw");
    std::string text(100'000, 'x');
    SendClientCutText(viewer.get(), text.data(), static_cast<int>(text.size()));
    SendKeyEvent(viewer.get(), 'b', TRUE);
    EXPECT_EQ(input.wait_for("+48 "), "+48 ");
}

TEST_F(RfbServerTest, viewer_that_chats_or_sends_files_is_hung_up_on) {
    for (const uint8_t type : {7, 8, 11, 250}) {
        Viewer viewer(connect(), "raw");
        ASSERT_TRUE(viewer.connected);
        std::vector<char> message(32, 0);
        message[0] = static_cast<char>(type);
        WriteToRFBServer(viewer.get(), message.data(), static_cast<unsigned>(message.size()));
        EXPECT_FALSE(viewer.until([] { return false; })) << type;
    }
    EXPECT_TRUE(nobody_looks());
}

TEST_F(RfbServerTest, half_a_message_and_a_hang_up_end_the_viewer) {
    for (const std::string_view bytes : {"RFB", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02"}) {
        const Fd fd = connect();
        ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }
    EXPECT_TRUE(nobody_looks());
}

TEST_F(RfbServerTest, reader_that_takes_nothing_delays_nobody_else) {
    picture.paint({2000, 1500}, 0x1000);  // 12 MB raw: more than any socket holds
    Viewer stuck(connect(), "raw");
    Viewer viewer(connect(), "raw");
    ASSERT_TRUE(viewer.until([&] { return viewer.shows({2000, 1500}, 0x1000); }));
    picture.paint({2000, 1500}, 0x2000);
    EXPECT_TRUE(viewer.until([&] { return viewer.shows({2000, 1500}, 0x2000); }));
    EXPECT_EQ(viewers(), 2U);
}

TEST_F(RfbServerTest, nobody_is_drawn_for_who_does_not_ask) {
    Viewer viewer(connect(), "raw");
    ASSERT_TRUE(viewer.until([&] { return viewer.shows({320, 200}, 0x102030); }));
    const unsigned before = picture.refreshes;
    ASSERT_TRUE(viewer.until([&] { return picture.refreshes > before; }));  // it asks: the screen is looked at
    std::this_thread::sleep_for(1s);
    EXPECT_LT(picture.refreshes - before, 60U);  // but less often when it is still
}

TEST_F(RfbServerTest, tcp_asks_for_the_password) {
    Fd listener = std::move(*listen_loopback(0));
    sockaddr_in address{};
    socklen_t size = sizeof address;
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    on_loop([&] { server->listen_tcp(std::move(listener), "secret12"); });
    const auto dial = [&] {
        Fd fd(socket(AF_INET, SOCK_STREAM, 0));
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
        return fd;
    };
    Viewer wrong(dial(), "raw", "secret13");
    EXPECT_FALSE(wrong.connected);
    Viewer right(dial(), "raw", "secret12");
    ASSERT_TRUE(right.connected);
    EXPECT_TRUE(right.until([&] { return right.shows({320, 200}, 0x102030); }));
    // Another viewer's "no password" must not open this door.
    const Fd sneaky = dial();
    const auto exchange = [&](std::string_view say, size_t hear) {
        EXPECT_EQ(send(sneaky.get(), say.data(), say.size(), 0), static_cast<ssize_t>(say.size()));
        std::string heard(hear, 0);
        const ssize_t got = recv(sneaky.get(), heard.data(), hear, MSG_WAITALL);
        heard.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
        return heard;
    };
    EXPECT_EQ(exchange("RFB 003.008\n", 14), "RFB 003.008\n\x01\x02");
    Viewer local(connect(), "raw");
    ASSERT_TRUE(local.connected);
    EXPECT_EQ(exchange(std::string_view("\x01\x01", 2), 64).find("Test machine"), std::string::npos);
}

TEST_F(RfbServerTest, viewers_that_have_gone_take_no_memory) {
    const auto come_and_go = [&](int times) {
        for (int time = 0; time < times; ++time) {
            Viewer viewer(connect(), "raw");
            EXPECT_TRUE(viewer.connected);
        }
        EXPECT_TRUE(nobody_looks());
        return mallinfo2().uordblks;
    };
    const size_t before = come_and_go(20);
    const size_t after = come_and_go(60);
    EXPECT_LT(after, before + (1 << 20)) << "some 50 KB each";
}

TEST_F(RfbServerTest, seventeenth_viewer_is_told) {
    std::vector<Fd> fds;
    for (size_t count = 0; count < RfbServer::k_most_viewers; ++count) {
        fds.push_back(connect());
    }
    on_loop([&] {
        const auto more = server->open_viewer();
        ASSERT_FALSE(more);
        EXPECT_EQ(more.error().kind, ErrorKind::in_use);
    });
    fds.clear();
    EXPECT_TRUE(nobody_looks());
}

}  // namespace
}  // namespace skep::test
