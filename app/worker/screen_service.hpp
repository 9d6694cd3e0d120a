// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenService: the machine's screen, keyboard and pointer for viewers and for the control server. Loop thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "display/input/input_hub.hpp"
#include "display/input/typist.hpp"
#include "display/surface/screen.hpp"
#include "display/vnc/rfb_server.hpp"
#include "vmm/base/event_loop.hpp"
#include "vmm/control/screen_control.hpp"

namespace skep {

class ScreenService final : public ScreenControl {
  public:
    // All live longer. `screen` is null for a machine without a display: its keyboard is there all the same.
    ScreenService(EventLoop& loop, Screen* screen, InputHub& input, const std::string& machine_name);
    ~ScreenService() override;

    // Viewers may connect to a socket (mode 0600) beside the control socket. Before the sandbox closes.
    [[nodiscard]] Status listen(const std::filesystem::path& control_socket);
    // VNC viewers may connect to this port of 127.0.0.1, with a password made here. Before the sandbox closes.
    [[nodiscard]] Status listen_tcp(uint16_t port);
    [[nodiscard]] const std::string& password() const { return m_password; }  // empty: no port
    [[nodiscard]] const std::filesystem::path& socket() const { return m_socket; }  // empty: not listening

    // ScreenControl
    [[nodiscard]] Result<Fd> open_viewer() override;
    [[nodiscard]] Result<ScreenState> state() override;
    [[nodiscard]] Result<ScreenShot> shoot() override;
    [[nodiscard]] Result<ScreenText> text() override;
    [[nodiscard]] Status resize(uint32_t width, uint32_t height) override;
    [[nodiscard]] Result<uint64_t> send_keys(const std::string& chords, uint64_t hold_ms) override;
    [[nodiscard]] Result<uint64_t> type_text(const std::string& text) override;
    [[nodiscard]] Result<uint64_t> click(uint32_t x, uint32_t y, const std::string& button) override;

  private:
    [[nodiscard]] Status need_screen() const;
    [[nodiscard]] ScreenSize current_size();

    Screen* m_screen;
    InputHub& m_input;
    Typist m_typist;
    std::unique_ptr<RfbServer> m_server;  // null without a screen
    std::filesystem::path m_socket;
    std::string m_password;
};

// "<folder>/vnc.sock" for "<folder>/ctl.sock", "<file>.vnc" for other names: one folder may hold several.
[[nodiscard]] std::filesystem::path vnc_socket_beside(const std::filesystem::path& control_socket);

}  // namespace skep
