// SPDX-License-Identifier: GPL-3.0-or-later
// The SDL window's client against the real server, and the window itself on SDL's dummy display.
#include <SDL.h>
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <future>
#include <thread>

#include "display/vnc/rfb_server.hpp"
#include "display/window/rfb_client.hpp"
#include "display/window/sdl_window.hpp"
#include "tests/support/input_notes.hpp"

namespace skep::test {
namespace {

using namespace std::chrono_literals;

class OneColour final : public ScreenSource {
  public:
    void refresh(Canvas& canvas) override {
        Surface* const surface = canvas.surface({320, 200});
        if (canvas.whole()) {
            std::fill_n(surface->pixels(), 320 * 200, 0x336699U);
            canvas.damage({0, 0, 320, 200});
        }
    }
};

class WindowTest : public testing::Test {
  protected:
    WindowTest() {
        signal(SIGPIPE, SIG_IGN);  // as the programs do: the other end may be gone at any write
        screen.set_source(&picture);
        hub.add(static_cast<KeyboardSink&>(keys));
        hub.add(static_cast<PointerSink&>(keys));
        m_socket = std::move(*server->open_viewer());
        m_thread = std::thread([this] { loop.run(); });
    }
    ~WindowTest() override {
        stop_server();
        loop.quit();
        m_thread.join();
    }
    void stop_server() {
        std::promise<void> done;
        loop.post([&] {
            server.reset();
            done.set_value();
        });
        done.get_future().wait();
    }
    std::unique_ptr<RfbClient> connect() {
        auto client = RfbClient::connect(std::move(m_socket));
        EXPECT_TRUE(client);
        return std::move(*client);
    }
    static bool receive_until(RfbClient& client, const std::function<bool()>& condition) {
        for (int message = 0; message < 200 && !condition(); ++message) {
            pollfd waiting{client.fd(), POLLIN, 0};
            if (poll(&waiting, 1, 5000) != 1 || !client.receive()) {
                return false;
            }
        }
        return condition();
    }

    OneColour picture;
    InputNotes keys;
    Screen screen;
    InputHub hub;
    EventLoop loop;
    std::unique_ptr<RfbServer> server = std::make_unique<RfbServer>(loop, screen, hub, "A machine");

  private:
    Fd m_socket;
    std::thread m_thread;
};

TEST_F(WindowTest, client_gets_the_picture_and_sends_input) {
    const auto client = connect();
    EXPECT_EQ(client->name(), "A machine");
    EXPECT_TRUE(receive_until(*client, [&] { return std::ranges::all_of(client->pixels(), [](uint32_t p) { return (p & 0xffffff) == 0x336699; }); }));
    EXPECT_FALSE(client->take_damage().empty());
    ASSERT_TRUE(client->send_key(KEY_RIGHTCTRL, true) && client->send_key(KEY_RIGHTCTRL, false));
    ASSERT_TRUE(client->send_pointer(319, 199, k_button_right));
    ASSERT_TRUE(client->send_wheel(319, 199, 1, 0, 0));
    EXPECT_EQ(keys.wait_for("w1,0 32767,32767:0 "), "+97 -97 32767,32767:2 32767,32767:0 w1,0 32767,32767:0 ");
}

TEST_F(WindowTest, client_says_when_the_machine_has_gone) {
    const auto client = connect();
    stop_server();
    EXPECT_FALSE(receive_until(*client, [] { return false; }));
}

TEST(Window, stranger_on_the_socket_is_refused) {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    const Fd far_end(pair[0]);
    ASSERT_EQ(send(far_end.get(), "HTTP/1.1 400 Bad\r\n", 18, 0), 18);
    ASSERT_EQ(shutdown(far_end.get(), SHUT_WR), 0);
    const auto client = RfbClient::connect(Fd(pair[1]));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, ErrorKind::protocol);
}

TEST_F(WindowTest, window_passes_keys_on_and_closes) {
    setenv("SDL_VIDEODRIVER", "dummy", 1);
    const auto client = connect();
    std::thread user([&] {
        while (SDL_WasInit(SDL_INIT_VIDEO) == 0) {
            std::this_thread::sleep_for(5ms);
        }
        std::this_thread::sleep_for(300ms);  // until the server has said that it takes scan codes
        for (const uint32_t type : {SDL_KEYDOWN, SDL_KEYUP}) {
            SDL_Event event{};
            event.type = type;
            event.key.keysym.scancode = SDL_SCANCODE_RETURN;
            SDL_PushEvent(&event);
        }
        keys.wait_for("-28 ");
        SDL_Event quit{};
        quit.type = SDL_QUIT;
        SDL_PushEvent(&quit);
    });
    const Status shown = show_in_window(*client, "A machine");
    user.join();
    EXPECT_TRUE(shown) << shown.error().message;
    EXPECT_TRUE(keys.wait_for("-28 ").ends_with("+28 -28 "));
}

}  // namespace
}  // namespace skep::test
