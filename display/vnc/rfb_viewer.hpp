// SPDX-License-Identifier: GPL-3.0-or-later
// RfbViewer: one connected viewer on a thread of its own, so that a slow one delays nobody else.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "display/input/input_hub.hpp"
#include "display/input/keysym_keyboard.hpp"
#include "display/surface/screen.hpp"
#include "display/vnc/rfb_library.hpp"
#include "display/vnc/viewer_picture.hpp"
#include "vmm/base/fd.hpp"

namespace skep {

class RfbViewer {
  public:
    struct Config {
        Fd socket;             // connected, non-blocking
        std::string name;      // of the machine
        std::string password;  // empty: none is asked for
        std::function<void()> gone;  // on the viewer's thread, as its last act
    };

    // Screen and hub live longer.
    RfbViewer(Screen& screen, InputHub& input, Config config);
    ~RfbViewer();  // hangs up and waits for the thread
    RfbViewer(const RfbViewer&) = delete;
    RfbViewer& operator=(const RfbViewer&) = delete;

  private:
    using Time = std::chrono::steady_clock::time_point;

    void run();
    [[nodiscard]] bool connect();
    void serve();
    [[nodiscard]] bool alive() const;
    void wait();
    [[nodiscard]] Time wake_time() const;
    // One message or handshake step if it has arrived whole; false: nothing more to do now.
    [[nodiscard]] bool handle_next();
    [[nodiscard]] bool handle_handshake(size_t arrived);
    [[nodiscard]] bool handle_message();
    [[nodiscard]] bool skip_text();
    void give_library(std::span<const uint8_t> message);
    void take_bytes(size_t count);
    void close();
    void release_client();

    [[nodiscard]] bool wants_update() const;
    void send_frame();
    [[nodiscard]] bool bring_up_to_date();  // true: something has changed
    void acknowledge_extended_keys();
    void tell_pointer_kind();
    void send_mark(char encoding, char x);

    void on_key(bool down, uint32_t keysym);
    void on_pointer(uint32_t mask, uint32_t x, uint32_t y);
    [[nodiscard]] int on_desktop_size(int width, int height);
    void set_callbacks();

    Screen& m_screen;
    InputHub& m_input;
    Config m_config;
    Fd m_socket;  // another descriptor of the library's connection: to look, and to hang up from outside
    Screen::View m_view;
    ViewerPicture m_picture;
    KeysymKeyboard m_keyboard;
    std::array<char*, 2> m_passwords{};  // as the library wants them
    RfbScreen m_rfb_screen;
    rfbClientRec* m_client = nullptr;
    Time m_deadline = Time::max();  // for the handshake or the rest of a message
    bool m_partial = false;         // part of a message has arrived
    bool m_password_checked = false;
    bool m_extended_keys = false;
    bool m_acknowledge = false;
    bool m_pointer_motion = false;
    std::optional<bool> m_told_absolute;  // what the viewer knows of the guest's pointer
    size_t m_skip = 0;  // bytes of clipboard text still to be thrown away
    uint32_t m_pointer_mask = 0;
    Time m_next_frame{};
    std::chrono::milliseconds m_pace{0};
    std::thread m_thread;
};

}  // namespace skep
