// SPDX-License-Identifier: GPL-3.0-or-later
// ControlServer: the worker's end of the control protocol, on an EventLoop. Only the same user may connect; a peer
// that speaks nonsense loses its link, the machine goes on.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/event_loop.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/control/console_hub.hpp"
#include "vmm/control/machine_control.hpp"
#include "vmm/control/messages.hpp"

namespace skep {

struct ServerIdentity {
    std::string vm_id;
    std::string vm_name;
    std::string build;
};

class ControlServer {
  public:
    static constexpr size_t k_max_links = 32;
    static constexpr size_t k_max_passed = 4;  // descriptors that came with requests not yet seen
    static constexpr size_t k_max_unsent_bytes = 4 * k_max_message_bytes;  // a peer that reads slower is dropped

    // `consoles[n]` is serial port n. All live longer than the server. Loop thread (or before the loop runs).
    ControlServer(EventLoop& loop, MachineControl& machine, std::vector<ConsoleHub*> consoles, ServerIdentity identity);
    ~ControlServer();

    // Binds the socket (mode 0600); a socket left by a dead worker is replaced. socket_path(id) in runtime_dir.hpp
    // gives the path and makes its folder.
    [[nodiscard]] Status listen(const std::filesystem::path& path);

    // Events, from any thread, sent to every client that said hello.
    void state_changed(MachineState state, std::string reason);
    void guest_reset();
    // reason: one sentence when nobody asked for it, else empty.
    void cd_changed(std::string drive, std::string file, std::string reason = {});
    void usb_changed(std::string stick, std::string file);
    void no_space(std::string disk, std::string message);
    // Loop thread: sends `exited`, pushes out what is unsent for up to half a second, closes and unlinks the socket.
    void shut_down(int code, const std::string& reason);

  private:
    struct Link;
    void accept_links();
    void on_ready(int fd, uint32_t events);
    void read_from(Link& link);
    void handle(Link& link, const Message& request);
    [[nodiscard]] Result<MessageValues> dispatch(Link& link, const Message& request, Fd& fd_to_send);
    Result<MessageValues> list_sticks();
    [[nodiscard]] static Status ask_network(NetworkControl* network, const Message& request, std::vector<Fd>& passed);
    [[nodiscard]] Result<MessageValues> open_console(const Message& request, Fd& fd_to_send);
    void send(Link& link, std::string line, Fd fd);
    void flush(Link& link);
    void drop(int fd, const std::string& why);
    void post_event(MessageType type, MessageValues values);
    void broadcast(const Message& event);

    EventLoop& m_loop;
    MachineControl& m_machine;
    std::vector<ConsoleHub*> m_consoles;
    ServerIdentity m_identity;
    std::filesystem::path m_path;
    Fd m_listener;
    std::map<int, std::shared_ptr<Link>> m_links;
    std::shared_ptr<bool> m_alive;
};

}  // namespace skep
