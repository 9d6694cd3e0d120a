// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/window/sdl_window.hpp"

#include <SDL.h>
#include <linux/input-event-codes.h>
#include <poll.h>

#include <atomic>
#include <bitset>
#include <semaphore>
#include <thread>
#include <utility>

#include "display/input/scan_codes.hpp"

namespace skep {
namespace {

struct SdlDelete {
    void operator()(SDL_Window* window) const { SDL_DestroyWindow(window); }
    void operator()(SDL_Renderer* renderer) const { SDL_DestroyRenderer(renderer); }
    void operator()(SDL_Texture* texture) const { SDL_DestroyTexture(texture); }
    void operator()(SDL_Surface* surface) const { SDL_FreeSurface(surface); }
    void operator()(SDL_Cursor* cursor) const { SDL_FreeCursor(cursor); }
};
template <typename T>
using Sdl = std::unique_ptr<T, SdlDelete>;

class SdlVideo {
  public:
    SdlVideo() {
        SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
        SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
        SDL_SetMainReady();
        m_works = SDL_Init(SDL_INIT_VIDEO) == 0;
    }
    ~SdlVideo() { SDL_Quit(); }
    SdlVideo(const SdlVideo&) = delete;
    SdlVideo& operator=(const SdlVideo&) = delete;
    [[nodiscard]] bool works() const { return m_works; }

  private:
    bool m_works = false;
};

// Wakes SDL's event loop when the worker has sent something.
class SocketWatch {
  public:
    SocketWatch(int fd, uint32_t event) : m_thread([this, fd, event] { run(fd, event); }) {}
    ~SocketWatch() {
        m_quit = true;
        m_read.release();
        m_thread.join();
    }
    SocketWatch(const SocketWatch&) = delete;
    SocketWatch& operator=(const SocketWatch&) = delete;
    void go_on() { m_read.release(); }  // what was there has been read

  private:
    void run(int fd, uint32_t event) {
        constexpr int k_look_for_the_end_ms = 200;
        while (!m_quit) {
            pollfd waiting{fd, POLLIN, 0};
            if (poll(&waiting, 1, k_look_for_the_end_ms) <= 0) {
                continue;
            }
            SDL_Event wake{};
            wake.type = event;
            SDL_PushEvent(&wake);
            m_read.acquire();
        }
    }
    std::atomic<bool> m_quit{false};
    std::binary_semaphore m_read{0};
    std::thread m_thread;
};

class SdlWindow {
  public:
    explicit SdlWindow(RfbClient& client) : m_client(client) {}
    [[nodiscard]] Status open(const std::string& title);
    [[nodiscard]] Status run();

  private:
    [[nodiscard]] Status handle(const SDL_Event& event);
    [[nodiscard]] Status on_key(const SDL_KeyboardEvent& event);
    [[nodiscard]] Status on_window(const SDL_WindowEvent& event);
    [[nodiscard]] Status point(int x, int y);
    [[nodiscard]] Status release_keys();
    [[nodiscard]] Status on_motion(const SDL_MouseMotionEvent& event);
    [[nodiscard]] Status on_button(const SDL_MouseButtonEvent& event);
    void grab(bool on);
    void take_frame();
    void take_cursor();
    void paint();
    [[nodiscard]] bool fit_texture();

    RfbClient& m_client;
    std::string m_title;
    Sdl<SDL_Window> m_window;
    Sdl<SDL_Renderer> m_renderer;
    Sdl<SDL_Texture> m_texture;
    Sdl<SDL_Cursor> m_cursor;
    ScreenSize m_texture_size;
    std::bitset<k_key_codes> m_down;
    uint8_t m_buttons = 0;
    uint32_t m_x = 0;
    uint32_t m_y = 0;
    bool m_open = true;
    bool m_grabbed = false;      // the host's pointer is the guest's
    bool m_host_key = false;     // Ctrl and Alt are down, and nothing else
};

Status sdl_failed(const char* what) { return fail(ErrorKind::unsupported, "{}: {}.", what, SDL_GetError()); }

uint8_t button_of(uint8_t sdl_button) {
    switch (sdl_button) {
        case SDL_BUTTON_LEFT: return k_button_left;
        case SDL_BUTTON_RIGHT: return k_button_right;
        case SDL_BUTTON_MIDDLE: return k_button_middle;
        default: return 0;
    }
}

Status SdlWindow::open(const std::string& title) {
    const ScreenSize size = m_client.size();
    m_title = title;
    m_window.reset(SDL_CreateWindow(title.c_str(), SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, static_cast<int>(size.width),
                                    static_cast<int>(size.height), SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI));
    if (!m_window) {
        return sdl_failed("Cannot open a window");
    }
    m_renderer.reset(SDL_CreateRenderer(m_window.get(), -1, 0));
    if (!m_renderer || !fit_texture()) {
        return sdl_failed("Cannot draw in a window");
    }
    return {};
}

bool SdlWindow::fit_texture() {
    const ScreenSize size = m_client.size();
    if (m_texture && size == m_texture_size) {
        return true;
    }
    const auto width = static_cast<int>(size.width);
    const auto height = static_cast<int>(size.height);
    m_texture.reset(SDL_CreateTexture(m_renderer.get(), SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, width, height));
    m_texture_size = size;
    SDL_SetWindowSize(m_window.get(), width, height);
    SDL_RenderSetLogicalSize(m_renderer.get(), width, height);  // SDL scales, and turns the mouse's place into guest pixels
    return m_texture != nullptr;
}

Status SdlWindow::run() {
    const uint32_t readable = SDL_RegisterEvents(1);
    SocketWatch watch(m_client.fd(), readable);
    Status status;
    while (m_open && status) {
        SDL_Event event;
        if (SDL_WaitEvent(&event) == 0) {
            return sdl_failed("Cannot wait for the window");
        }
        if (event.type == readable) {
            status = m_client.receive();
            take_frame();
            watch.go_on();
            if (m_grabbed && m_client.pointer_is_absolute()) {
                grab(false);
            }
        } else {
            status = handle(event);
        }
    }
    return status;
}

void SdlWindow::take_frame() {
    take_cursor();
    const Damage damage = m_client.take_damage();
    if (damage.empty() || !fit_texture()) {
        return;
    }
    for (const ScreenRect& rect : damage.rects()) {
        const SDL_Rect area{static_cast<int>(rect.left), static_cast<int>(rect.top), static_cast<int>(rect.right - rect.left),
                            static_cast<int>(rect.bottom - rect.top)};
        const size_t first = size_t{rect.top} * m_texture_size.width + rect.left;
        SDL_UpdateTexture(m_texture.get(), &area, m_client.pixels().data() + first,
                          static_cast<int>(m_texture_size.width * sizeof(uint32_t)));
    }
    paint();
}

void SdlWindow::take_cursor() {
    auto image = m_client.take_cursor();
    if (!image) {
        return;
    }
    const auto width = static_cast<int>(image->width);
    const Sdl<SDL_Surface> surface(SDL_CreateRGBSurfaceWithFormatFrom(image->argb.data(), width, static_cast<int>(image->height), 32,
                                                                      width * 4, SDL_PIXELFORMAT_ARGB8888));
    Sdl<SDL_Cursor> cursor(surface ? SDL_CreateColorCursor(surface.get(), static_cast<int>(image->hot_x), static_cast<int>(image->hot_y))
                                   : nullptr);
    if (cursor) {
        SDL_SetCursor(cursor.get());
        m_cursor = std::move(cursor);
    }
}

void SdlWindow::paint() {
    SDL_SetRenderDrawColor(m_renderer.get(), 0, 0, 0, SDL_ALPHA_OPAQUE);
    SDL_RenderClear(m_renderer.get());
    SDL_RenderCopy(m_renderer.get(), m_texture.get(), nullptr, nullptr);
    SDL_RenderPresent(m_renderer.get());
}

Status SdlWindow::handle(const SDL_Event& event) {
    switch (event.type) {
        case SDL_QUIT: m_open = false; return {};
        case SDL_WINDOWEVENT: return on_window(event.window);
        case SDL_KEYDOWN:
        case SDL_KEYUP: return on_key(event.key);
        case SDL_MOUSEMOTION: return on_motion(event.motion);
        case SDL_MOUSEBUTTONDOWN:
        case SDL_MOUSEBUTTONUP: return on_button(event.button);
        case SDL_MOUSEWHEEL:
            if (!m_client.pointer_is_absolute()) {
                if (!m_grabbed) {
                    return {};
                }
                m_x = m_y = RfbClient::k_not_moved;
            }
            return m_client.send_wheel(m_x, m_y, -event.wheel.y, event.wheel.x, m_buttons);
        default: return {};
    }
}

Status SdlWindow::on_window(const SDL_WindowEvent& event) {
    switch (event.event) {
        case SDL_WINDOWEVENT_EXPOSED:
        case SDL_WINDOWEVENT_SIZE_CHANGED: paint(); return {};
        case SDL_WINDOWEVENT_FOCUS_LOST:
            grab(false);
            return release_keys();  // their release would go elsewhere
        default: return {};
    }
}

Status SdlWindow::on_key(const SDL_KeyboardEvent& event) {
    const bool down = event.type == SDL_KEYDOWN;
    constexpr unsigned k_full_screen = KMOD_CTRL | KMOD_ALT;
    if (down && event.keysym.scancode == SDL_SCANCODE_F && (event.keysym.mod & KMOD_CTRL) != 0 &&
        (event.keysym.mod & k_full_screen & ~KMOD_CTRL) != 0) {
        const bool full = (SDL_GetWindowFlags(m_window.get()) & SDL_WINDOW_FULLSCREEN_DESKTOP) != 0;
        SDL_SetWindowFullscreen(m_window.get(), full ? 0U : static_cast<uint32_t>(SDL_WINDOW_FULLSCREEN_DESKTOP));
        return {};
    }
    const KeyCode key = key_of_hid_usage(event.keysym.scancode);  // SDL numbers keys as USB does
    if (key == k_no_key || (!down && !m_down[key])) {
        return {};
    }
    m_down[key] = down;
    const bool both = m_down[KEY_LEFTCTRL] && m_down[KEY_LEFTALT] && m_down.count() == 2;
    if (!down && std::exchange(m_host_key, false)) {
        grab(false);
    } else {
        m_host_key = both;
    }
    return m_client.send_key(key, down);
}

// A guest that has only a mouse is given the host's whole pointer by a click; Ctrl+Alt gives it back.
void SdlWindow::grab(bool on) {
    if (on == m_grabbed) {
        return;
    }
    m_grabbed = on;
    SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
    SDL_SetWindowTitle(m_window.get(), on ? (m_title + " (Ctrl+Alt gives the pointer back)").c_str() : m_title.c_str());
}

Status SdlWindow::on_motion(const SDL_MouseMotionEvent& event) {
    if (m_client.pointer_is_absolute()) {
        return point(event.x, event.y);
    }
    return m_grabbed ? m_client.send_motion(event.xrel, event.yrel, m_buttons) : Status();
}

Status SdlWindow::on_button(const SDL_MouseButtonEvent& event) {
    const bool absolute = m_client.pointer_is_absolute();
    const bool down = event.type == SDL_MOUSEBUTTONDOWN;
    if (!absolute && !m_grabbed) {
        if (down) {
            grab(true);  // this click only hands the pointer over
        }
        return {};
    }
    const uint8_t button = button_of(event.button);
    m_buttons = static_cast<uint8_t>(down ? m_buttons | button : m_buttons & ~button);
    return absolute ? point(event.x, event.y) : m_client.send_motion(0, 0, m_buttons);
}

Status SdlWindow::release_keys() {
    Status sent;
    for (KeyCode key = 0; key < k_key_codes && sent; ++key) {
        if (m_down[key]) {
            m_down[key] = false;
            sent = m_client.send_key(key, false);
        }
    }
    return sent;
}

Status SdlWindow::point(int x, int y) {
    const ScreenSize size = m_client.size();
    m_x = static_cast<uint32_t>(std::clamp<int64_t>(x, 0, size.width - 1));
    m_y = static_cast<uint32_t>(std::clamp<int64_t>(y, 0, size.height - 1));
    return m_client.send_pointer(m_x, m_y, m_buttons);
}

}  // namespace

Status show_in_window(RfbClient& client, const std::string& title) {
    const SdlVideo video;
    if (!video.works()) {
        return sdl_failed("There is no display to open a window on");
    }
    SdlWindow window(client);
    return window.open(title).and_then([&] { return window.run(); });
}

}  // namespace skep
