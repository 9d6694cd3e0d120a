// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "vmm/base/passed_fds.hpp"
#include "vmm/control/json_text.hpp"
#include "vmm/control/socket.hpp"

namespace skep {
namespace {

using Clock = std::chrono::steady_clock;

// A worker that floods us with events or descriptors is no worker.
constexpr size_t k_max_arrived = 10'000;
constexpr size_t k_max_fds = 16;

int milliseconds_until(Clock::time_point deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
}

bool tells_what_disks_use(const std::string& info) {
    const auto json = parse_json(info);
    const auto disks = json && json->is_object() ? json->value("disks", Json()) : Json();
    return std::ranges::all_of(disks, [](const Json& disk) { return disk.contains("host_size"); });
}

tl::unexpected<Error> link_gone() {
    return fail(ErrorKind::io, "The connection to the machine's worker has ended.");
}

MachineState state_from(const std::string& text) {
    for (const MachineState state : {MachineState::starting, MachineState::running, MachineState::paused, MachineState::no_space}) {
        if (text == to_text(state)) {
            return state;
        }
    }
    return MachineState::stopped;
}

}  // namespace

MachineStatus status_from(const MessageValues& values) {
    const Message message{MessageType::status, 0, values};
    return MachineStatus{state_from(message.text("state")), message.text("reason"),
                         static_cast<uint64_t>(std::max<int64_t>(0, message.integer("uptime_ms"))),
                         message.text("cpu_backend"), message.text("cpu_reason")};
}

Result<ControlClient> ControlClient::connect(const std::filesystem::path& socket, std::string program, Milliseconds timeout) {
    Result<Fd> fd = connect_unix(socket);
    if (!fd) {
        return tl::unexpected<Error>(fd.error());
    }
    if (!peer_is_same_user(fd->get())) {
        return fail(ErrorKind::permission, "'{}' belongs to another user's program; it is not used.", socket.string());
    }
    ControlClient client;
    client.m_fd = std::move(*fd);
    const auto deadline = Clock::now() + timeout;
    if (Status greeted = client.greet(timeout); !greeted) {
        return tl::unexpected<Error>(greeted.error());
    }
    const Milliseconds left(milliseconds_until(deadline));
    const auto hello = client.request(MessageType::hello, {{"version", k_protocol_version}, {"client", std::move(program)}}, left);
    if (!hello) {
        return tl::unexpected<Error>(hello.error());
    }
    return client;
}

Status ControlClient::greet(Milliseconds timeout) {
    const Result<Message> greeting = wait_event(timeout);
    if (!greeting) {
        return tl::unexpected<Error>(greeting.error());
    }
    if (greeting->type != MessageType::greeting) {
        return fail(ErrorKind::protocol, "What listens on the machine's socket is not its worker.");
    }
    m_greeting = Greeting{greeting->integer("skep"), greeting->text("vm"), greeting->text("name"), greeting->integer("pid"),
                          greeting->text("build")};
    return {};
}

Status ControlClient::receive_available() {
    std::array<char, 16 * 1024> chunk;
    while (m_arrived.size() < k_max_arrived) {
        std::vector<Fd> passed;
        const ssize_t got = receive_with_fds(m_fd.get(), chunk.data(), chunk.size(), passed);
        if (!passed.empty()) {
            if (m_fds.size() >= k_max_fds) {
                return fail(ErrorKind::protocol, "The worker sent too many file descriptors.");
            }
            m_fds.push_back(std::move(passed.front()));  // a worker sends one at a time
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return {};
        }
        if (got <= 0) {
            return link_gone();
        }
        const Status decoded = m_buffer.append({chunk.data(), static_cast<size_t>(got)}).and_then([&] { return decode_lines(); });
        if (!decoded) {
            return decoded;
        }
    }
    return {};
}

Status ControlClient::decode_lines() {
    std::string line;
    while (m_buffer.take_line(line)) {
        Result<Incoming> incoming = decode_from_worker(line, m_waiting);
        if (!incoming) {
            return tl::unexpected<Error>(incoming.error());
        }
        const Reply* reply = std::get_if<Reply>(&*incoming);
        if (reply == nullptr) {
            m_arrived.push_back(std::move(*incoming));
            continue;
        }
        const bool with_fd = brings_descriptor(m_waiting.at(reply->id)) && reply->result.has_value();
        m_waiting.erase(reply->id);
        if (m_forgotten.erase(reply->id) == 0) {
            m_arrived.push_back(std::move(*incoming));
        } else if (with_fd && !m_fds.empty()) {
            m_fds.pop_back();  // nobody waits for it any more
        }
    }
    return {};
}

Status ControlClient::receive(Milliseconds timeout) {
    if (m_broken) {
        return link_gone();
    }
    pollfd waiting{m_fd.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(timeout.count()));
    if (ready == 0) {
        return fail(ErrorKind::cancelled, "The machine's worker did not answer in time.");
    }
    Status received = ready < 0 && errno != EINTR ? Status(link_gone()) : receive_available();
    if (!received) {
        m_broken = true;  // the fd stays open and readable, what has arrived before stays in m_arrived
    }
    return received;
}

Status ControlClient::send_line(const std::string& line, int passed, Clock::time_point deadline) {
    if (m_broken) {
        return link_gone();
    }
    std::string_view left = line;
    while (!left.empty()) {
        const ssize_t sent = send_with_fd(m_fd.get(), left, passed);
        if (sent >= 0) {
            passed = -1;  // it went with the first byte
            left.remove_prefix(static_cast<size_t>(sent));
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        pollfd waiting{m_fd.get(), POLLOUT, 0};
        if (errno != EAGAIN || ::poll(&waiting, 1, milliseconds_until(deadline)) <= 0) {
            m_broken = true;  // half a line cannot be taken back
            return link_gone();
        }
    }
    return {};
}

Result<int64_t> ControlClient::start_request(MessageType type, MessageValues values, const Fd& passed) {
    const int64_t id = m_next_id++;
    const std::string line = encode_request(Message{type, id, std::move(values)}) + "\n";
    if (line.size() > k_max_message_bytes) {
        return fail(ErrorKind::invalid_input, "The request is too long.");
    }
    m_waiting[id] = type;
    // Requests are small against the socket's buffer: this waits only for a worker that hangs.
    if (Status sent = send_line(line, passed.get(), Clock::now() + std::chrono::seconds(1)); !sent) {
        m_waiting.erase(id);
        return tl::unexpected<Error>(sent.error());
    }
    return id;
}

Result<Message> ControlClient::request(MessageType type, MessageValues values, Milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    const Result<int64_t> id = start_request(type, std::move(values));
    if (!id) {
        return tl::unexpected<Error>(id.error());
    }
    return await_reply(*id, type, deadline);
}

Result<Message> ControlClient::await_reply(int64_t id, MessageType type, Clock::time_point deadline) {
    while (true) {
        const auto found = std::find_if(m_arrived.begin(), m_arrived.end(), [&](const Incoming& incoming) {
            const Reply* reply = std::get_if<Reply>(&incoming);
            return reply != nullptr && reply->id == id;
        });
        if (found != m_arrived.end()) {
            Reply reply = std::get<Reply>(std::move(*found));
            m_arrived.erase(found);
            return std::move(reply.result).map([&](MessageValues answered) { return Message{type, id, std::move(answered)}; });
        }
        const Status received = receive(Milliseconds(milliseconds_until(deadline)));
        if (!received && received.error().kind == ErrorKind::cancelled) {
            m_forgotten[id] = true;
        }
        const bool arrived_last = std::any_of(m_arrived.begin(), m_arrived.end(), [&](const Incoming& incoming) {
            const Reply* reply = std::get_if<Reply>(&incoming);
            return reply != nullptr && reply->id == id;
        });
        if (!received && !arrived_last) {
            return tl::unexpected<Error>(received.error());
        }
    }
}

Result<MachineStatus> ControlClient::status(Milliseconds timeout) {
    return request(MessageType::status, {}, timeout).map([](const Message& reply) { return status_from(reply.values); });
}

Status ControlClient::command(MessageType type, MessageValues values, Milliseconds timeout) {
    return request(type, std::move(values), timeout).map([](const Message&) {});
}

Status ControlClient::command(MessageType type, MessageValues values, const Fd& passed, Milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    return start_request(type, std::move(values), passed)
        .and_then([&](int64_t id) { return await_reply(id, type, deadline); })
        .map([](const Message&) {});
}

Result<std::string> ControlClient::info_with_disks(Milliseconds patience) {
    constexpr Milliseconds k_pause{100};
    const auto deadline = Clock::now() + patience;
    while (true) {
        const auto reply = request(MessageType::info);
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        if (std::string info = reply->object("info"); tells_what_disks_use(info) || Clock::now() + k_pause > deadline) {
            return info;
        }
        std::this_thread::sleep_for(k_pause);
    }
}

Result<ConsoleLink> ControlClient::open_console(unsigned port, bool history, Milliseconds timeout) {
    const auto reply = request(MessageType::console_open, {{"port", static_cast<int64_t>(port)}, {"history", history}}, timeout);
    if (!reply) {
        return tl::unexpected<Error>(reply.error());
    }
    ConsoleLink link = take_console(reply->values);
    if (!link.socket) {
        return fail(ErrorKind::protocol, "The worker's answer brought no console connection.");
    }
    return link;
}

Result<Fd> ControlClient::open_screen(Milliseconds timeout) {
    const auto reply = request(MessageType::screen_open, {}, timeout);
    if (!reply) {
        return tl::unexpected<Error>(reply.error());
    }
    Fd socket = take_fd();
    if (!socket) {
        return fail(ErrorKind::protocol, "The worker's answer brought no connection to the screen.");
    }
    return socket;
}

ConsoleLink ControlClient::take_console(const MessageValues& reply) {
    const int64_t history = Message{MessageType::console_open, 0, reply}.integer("history_bytes");
    return {take_fd(), static_cast<uint64_t>(std::max<int64_t>(0, history))};
}

Result<Message> ControlClient::wait_event(Milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    while (true) {
        const auto found = std::find_if(m_arrived.begin(), m_arrived.end(),
                                        [](const Incoming& incoming) { return std::holds_alternative<Message>(incoming); });
        if (found != m_arrived.end()) {
            Message event = std::get<Message>(std::move(*found));
            m_arrived.erase(found);
            return event;
        }
        const Status received = receive(Milliseconds(milliseconds_until(deadline)));
        const bool event_came = std::any_of(m_arrived.begin(), m_arrived.end(), [](const Incoming& incoming) {
            return std::holds_alternative<Message>(incoming);
        });
        if (!received && !event_came) {
            return tl::unexpected<Error>(received.error());
        }
    }
}

Result<std::vector<Incoming>> ControlClient::poll() {
    Status received = receive(Milliseconds(0));
    if (!received && received.error().kind == ErrorKind::cancelled) {
        received = {};  // nothing new
    }
    if (!received && m_arrived.empty()) {
        return tl::unexpected<Error>(received.error());
    }
    std::vector<Incoming> all(std::make_move_iterator(m_arrived.begin()), std::make_move_iterator(m_arrived.end()));
    m_arrived.clear();
    return all;
}

Fd ControlClient::take_fd() {
    if (m_fds.empty()) {
        return Fd();
    }
    Fd fd = std::move(m_fds.front());
    m_fds.pop_front();
    const int flags = fcntl(fd.get(), F_GETFL);
    fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
    return fd;
}

}  // namespace skep
