// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenService: the machine's screen, keyboard and pointer for viewers and for the control server. Loop thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "display/input/input_hub.hpp"
#include "display/surface/screen.hpp"
#include "display/vnc/rfb_server.hpp"
#include "vmm/base/event_loop.hpp"
#include "vmm/control/screen_control.hpp"

namespace skep {

class ScreenService final : public ScreenControl {
  public:
    // All live longer.
    ScreenService(EventLoop& loop, Screen& screen, InputHub& input, const std::string& machine_name);
    ~ScreenService() override;

    // Viewers may connect to a socket (mode 0600) beside the control socket. Before the sandbox closes.
    [[nodiscard]] Status listen(const std::filesystem::path& control_socket);
    [[nodiscard]] const std::filesystem::path& socket() const { return m_socket; }  // empty: not listening

    [[nodiscard]] Result<Fd> open_viewer() override;

  private:
    RfbServer m_server;
    std::filesystem::path m_socket;
};

// "<folder>/vnc.sock" for "<folder>/ctl.sock", "<file>.vnc" for other names: one folder may hold several.
[[nodiscard]] std::filesystem::path vnc_socket_beside(const std::filesystem::path& control_socket);

}  // namespace skep
