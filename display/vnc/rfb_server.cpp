// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/rfb_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "display/vnc/rfb_viewer.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

constexpr int k_send_buffer = 1 << 20;  // the kernel gives what it allows
constexpr int k_backlog = 8;

bool same_user(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

}  // namespace

RfbServer::RfbServer(EventLoop& loop, Screen& screen, InputHub& input, std::string name)
    : m_loop(loop), m_screen(screen), m_input(input), m_name(std::move(name)) {}

RfbServer::~RfbServer() {
    *m_alive = false;
    for (const auto& [fd, listener] : m_listeners) {
        m_loop.remove(fd);
    }
    m_viewers.clear();
}

void RfbServer::listen_local(Fd listener) { listen({std::move(listener), true, {}}); }

void RfbServer::listen_tcp(Fd listener, std::string password) {
    listen({std::move(listener), false, std::move(password)});
}

void RfbServer::listen(Listener listener) {
    const int fd = listener.fd.get();
    m_listeners.emplace(fd, std::move(listener));
    m_loop.add(fd, EPOLLIN, [this, fd](uint32_t) { accept_viewers(m_listeners.at(fd)); });
}

void RfbServer::accept_viewers(const Listener& listener) {
    while (true) {
        Fd socket(accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) {
            return;
        }
        if (m_viewers.size() >= k_most_viewers) {
            log_warning("vnc: a viewer was turned away: {} look already", m_viewers.size());
        } else if (listener.local && !same_user(socket.get())) {
            log_warning("vnc: a viewer was turned away: it is another user's");
        } else {
            const int at_once = 1;
            if (!listener.local) {
                setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
            }
            add_viewer(std::move(socket), listener.password);
        }
    }
}

Result<Fd> RfbServer::open_viewer() {
    if (m_viewers.size() >= k_most_viewers) {
        return fail(ErrorKind::in_use, "{} viewers look at the machine's screen already; close one.", m_viewers.size());
    }
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
        return fail_errno(errno, "Cannot open a connection to the machine's screen");
    }
    add_viewer(Fd(pair[0]), {});
    return Fd(pair[1]);
}

void RfbServer::add_viewer(Fd socket, const std::string& password) {
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &k_send_buffer, sizeof k_send_buffer);
    const uint64_t id = m_next_viewer++;
    auto gone = [this, alive = m_alive, id] {
        m_loop.post([this, alive, id] {
            if (*alive) {
                m_viewers.erase(id);  // joins a thread that has nothing left to do
            }
        });
    };
    m_viewers[id] = std::make_unique<RfbViewer>(m_screen, m_input, RfbSession::Config{std::move(socket), m_name, password}, std::move(gone));
}

Result<Fd> listen_loopback(uint16_t port) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int reuse = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) != 0 ||
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd.get(), k_backlog) != 0) {
        return fail_errno(errno, fmt::format("Cannot listen for VNC viewers on 127.0.0.1 port {}", port));
    }
    return fd;
}

}  // namespace skep
