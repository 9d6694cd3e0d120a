// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/screen_service.hpp"

#include "vmm/control/socket.hpp"

namespace skep {

std::filesystem::path vnc_socket_beside(const std::filesystem::path& control_socket) {
    return control_socket.filename() == "ctl.sock" ? control_socket.parent_path() / "vnc.sock"
                                                   : std::filesystem::path(control_socket.native() + ".vnc");
}

ScreenService::ScreenService(EventLoop& loop, Screen& screen, InputHub& input, const std::string& machine_name)
    : m_server(loop, screen, input, machine_name) {}

ScreenService::~ScreenService() {
    if (!m_socket.empty()) {
        ::unlink(m_socket.c_str());
    }
}

Status ScreenService::listen(const std::filesystem::path& control_socket) {
    const std::filesystem::path path = vnc_socket_beside(control_socket);
    Result<Fd> listener = listen_unix(path);
    if (!listener) {
        return tl::unexpected(listener.error());
    }
    m_socket = path;
    m_server.listen_local(std::move(*listener));
    return {};
}

Result<Fd> ScreenService::open_viewer() { return m_server.open_viewer(); }

}  // namespace skep
