// SPDX-License-Identifier: GPL-3.0-or-later
// ControlClient: a window's or command's end of the control protocol. One thread at a time. Two ways to use it:
// blocking calls with a timeout, or start_request() + fd() + poll() from an event loop, which never block.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/control/console_link.hpp"
#include "vmm/control/machine_control.hpp"
#include "vmm/control/messages.hpp"

namespace skep {

struct Greeting {
    int64_t version = 0;
    std::string vm_id;
    std::string vm_name;
    int64_t pid = 0;
    std::string build;
};

class ControlClient {
  public:
    using Milliseconds = std::chrono::milliseconds;
    static constexpr Milliseconds k_timeout{5000};

    // Connects, checks that the peer is the same user, waits for the greeting and asks for events. Kind not_found when
    // nobody listens, protocol when the peer is no worker.
    [[nodiscard]] static Result<ControlClient> connect(const std::filesystem::path& socket, std::string program,
                                                       Milliseconds timeout = k_timeout);
    ControlClient(ControlClient&&) = default;
    ControlClient& operator=(ControlClient&&) = default;

    [[nodiscard]] const Greeting& greeting() const { return m_greeting; }

    // Blocking. An error's kind is the worker's, or io/protocol when the link is gone, or cancelled at the timeout.
    [[nodiscard]] Result<Message> request(MessageType type, MessageValues values = {}, Milliseconds timeout = k_timeout);
    [[nodiscard]] Result<MachineStatus> status(Milliseconds timeout = k_timeout);
    // The answer's text to MessageType::info. A worker looks at its disks beside its work: asked for the first time it may not
    // know yet what they use (`host_size`), and is asked again for at most `patience`; then it is what is known.
    [[nodiscard]] Result<std::string> info_with_disks(Milliseconds patience = k_timeout);
    [[nodiscard]] Status command(MessageType type, MessageValues values = {}, Milliseconds timeout = k_timeout);
    // With a descriptor that the worker gets a copy of.
    [[nodiscard]] Status command(MessageType type, MessageValues values, const Fd& passed, Milliseconds timeout = k_timeout);
    // The viewer's socket: history first, then live bytes; write the guest's input to it. Non-blocking mode is set.
    [[nodiscard]] Result<ConsoleLink> open_console(unsigned port, bool history = true, Milliseconds timeout = k_timeout);
    // A socket on which the worker speaks RFB as the server. Non-blocking mode is set. Kind not_found when the machine
    // has no screen.
    [[nodiscard]] Result<Fd> open_screen(Milliseconds timeout = k_timeout);
    // The next event, waiting for it at most `timeout` (kind cancelled when none came).
    [[nodiscard]] Result<Message> wait_event(Milliseconds timeout);

    // Non-blocking. fd() is readable when poll() may have something (and when the link has ended); also call poll() once after any blocking call.
    [[nodiscard]] int fd() const { return m_fd.get(); }
    [[nodiscard]] Result<int64_t> start_request(MessageType type, MessageValues values = {}, const Fd& passed = Fd());
    // Events and replies that have arrived, in order. An error means that the link is gone (nothing more will come).
    [[nodiscard]] Result<std::vector<Incoming>> poll();
    // The fd that came with a console_open or screen_open reply seen by poll(), oldest first; invalid when there is none.
    [[nodiscard]] Fd take_fd();
    // The same with what the reply says of it.
    [[nodiscard]] ConsoleLink take_console(const MessageValues& reply);

  private:
    ControlClient() = default;
    [[nodiscard]] Status receive(Milliseconds timeout);
    [[nodiscard]] Status receive_available();
    [[nodiscard]] Status send_line(const std::string& line, int passed, std::chrono::steady_clock::time_point deadline);
    [[nodiscard]] Result<Message> await_reply(int64_t id, MessageType type, std::chrono::steady_clock::time_point deadline);
    [[nodiscard]] Status greet(Milliseconds timeout);
    [[nodiscard]] Status decode_lines();

    Fd m_fd;
    bool m_broken = false;  // the link has ended or a peer spoke nonsense
    Greeting m_greeting;
    int64_t m_next_id = 1;
    std::map<int64_t, MessageType> m_waiting;
    std::map<int64_t, bool> m_forgotten;  // timed out: their late replies are dropped
    LineBuffer m_buffer;
    std::deque<Incoming> m_arrived;
    std::deque<Fd> m_fds;
};

[[nodiscard]] MachineStatus status_from(const MessageValues& values);

}  // namespace skep
