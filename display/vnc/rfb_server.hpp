// SPDX-License-Identifier: GPL-3.0-or-later
// RfbServer: the guest's screen for VNC viewers (RFC 6143), over libvncserver, on sockets that others have bound. Only
// the same user may connect to a Unix socket; a TCP socket is meant for loopback and asks for a password. The program
// ignores SIGPIPE.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "display/input/input_hub.hpp"
#include "display/surface/screen.hpp"
#include "vmm/base/event_loop.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

class RfbViewer;

class RfbServer {
  public:
    static constexpr size_t k_most_viewers = 16;

    // All live longer than the server. Loop thread (or before the loop runs), as everything here.
    RfbServer(EventLoop& loop, Screen& screen, InputHub& input, std::string name);
    ~RfbServer();  // hangs up on everybody
    RfbServer(const RfbServer&) = delete;
    RfbServer& operator=(const RfbServer&) = delete;

    // A bound and listening, non-blocking Unix socket: peers are checked (SO_PEERCRED), no password is asked for.
    void listen_local(Fd listener);
    // A bound and listening, non-blocking TCP socket.
    void listen_tcp(Fd listener, std::string password);
    // A viewer of the same user, already connected: the far end. Kind in_use when there are too many viewers.
    [[nodiscard]] Result<Fd> open_viewer();

    [[nodiscard]] size_t viewers() const { return m_viewers.size(); }

  private:
    struct Listener {
        Fd fd;
        bool local = true;
        std::string password;
    };
    void listen(Listener listener);
    void accept_viewers(const Listener& listener);
    void add_viewer(Fd socket, const std::string& password);

    EventLoop& m_loop;
    Screen& m_screen;
    InputHub& m_input;
    std::string m_name;
    std::map<int, Listener> m_listeners;
    std::map<uint64_t, std::unique_ptr<RfbViewer>> m_viewers;
    uint64_t m_next_viewer = 1;
    std::shared_ptr<bool> m_alive = std::make_shared<bool>(true);
};

// A listening TCP socket on 127.0.0.1. port 0: any free one. Before the sandbox closes.
[[nodiscard]] Result<Fd> listen_loopback(uint16_t port);

}  // namespace skep
