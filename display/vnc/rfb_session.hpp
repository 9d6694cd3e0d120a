// SPDX-License-Identifier: GPL-3.0-or-later
// RfbSession: the talk with one connected viewer (RFC 6143), whoever gives it the time of day and its turns.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "display/input/input_hub.hpp"
#include "display/input/keysym_keyboard.hpp"
#include "display/surface/screen.hpp"
#include "display/vnc/rfb_gate.hpp"
#include "display/vnc/rfb_library.hpp"
#include "display/vnc/viewer_picture.hpp"
#include "vmm/base/fd.hpp"

namespace skep {

// One thread at a time. A turn waits only for a viewer that does not read what it has asked for, 20 s at most.
class RfbSession {
  public:
    using Time = std::chrono::steady_clock::time_point;
    struct Config {
        Fd socket;             // connected, non-blocking
        std::string name;      // of the machine
        std::string password;  // empty: none is asked for
    };

    // Screen and hub live longer.
    RfbSession(Screen& screen, InputHub& input, Config config);
    ~RfbSession();  // releases keys and buttons, hangs up
    RfbSession(const RfbSession&) = delete;
    RfbSession& operator=(const RfbSession&) = delete;

    // Begins. False: the host lacks descriptors or memory for it.
    [[nodiscard]] bool connect(Time now);
    // Until either side has hung up.
    [[nodiscard]] bool alive() const { return m_client != nullptr && m_client->sock != RFB_INVALID_SOCKET; }
    // Handles what has arrived and sends a picture when one is asked for and due.
    void turn(Time now);
    // The next turn is due then, or when the socket has one of these events of poll(): not for what has arrived already.
    [[nodiscard]] Time wake_time(Time now) const;
    [[nodiscard]] short wake_events() const;

  private:
    // One message or handshake step if it has arrived whole; false: nothing more to do now.
    [[nodiscard]] bool handle_next(Time now);
    [[nodiscard]] bool handle_handshake(size_t arrived);
    [[nodiscard]] bool handle_message();
    [[nodiscard]] bool hung_up() const;
    [[nodiscard]] bool skip_text();
    void give_library(std::span<const uint8_t> message);
    void take_bytes(size_t count);
    void close();

    [[nodiscard]] bool wants_update() const;
    void send_frame(Time now);
    [[nodiscard]] bool bring_up_to_date();  // true: something has changed
    void acknowledge_extended_keys();
    void tell_pointer_kind();
    void send_mark(char encoding, char x);

    void on_key(bool down, uint32_t keysym);
    void on_pointer(uint32_t mask, uint32_t x, uint32_t y);
    void change_size(const WantedSize& message);
    void set_callbacks();

    Screen& m_screen;
    InputHub& m_input;
    Config m_config;
    Fd m_socket;  // another descriptor of the library's connection: to look
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
};

}  // namespace skep
