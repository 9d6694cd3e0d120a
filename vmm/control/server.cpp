// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/server.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <deque>

#include "vmm/base/passed_fds.hpp"
#include "vmm/control/json_text.hpp"
#include "vmm/base/log.hpp"
#include "vmm/control/network_control.hpp"
#include "vmm/control/screen_requests.hpp"
#include "vmm/control/socket.hpp"
#include "vmm/spec/network_forward.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {

struct ControlServer::Link {
    struct Unsent {
        std::string bytes;
        Fd fd;  // goes with the first byte
    };
    Fd fd;
    LineBuffer received;
    std::vector<Fd> passed;  // with requests; the oldest first
    std::deque<Unsent> unsent;
    size_t unsent_bytes = 0;
    int64_t version = 0;  // 0 until the client has said hello: no events before
    bool wants_write = false;
    bool closed = false;
};

const char* to_text(MachineState state) {
    switch (state) {
        case MachineState::starting: return "starting";
        case MachineState::running: return "running";
        case MachineState::paused: return "paused";
        case MachineState::no_space: return "no_space";
        case MachineState::stopped: return "stopped";
    }
    return "stopped";
}

ControlServer::ControlServer(EventLoop& loop, MachineControl& machine, std::vector<ConsoleHub*> consoles,
                             ServerIdentity identity)
    : m_loop(loop),
      m_machine(machine),
      m_consoles(std::move(consoles)),
      m_identity(std::move(identity)),
      m_alive(std::make_shared<bool>(true)) {}

ControlServer::~ControlServer() {
    *m_alive = false;
    for (auto& [fd, link] : m_links) {
        m_loop.remove(fd);
    }
    if (m_listener) {
        m_loop.remove(m_listener.get());
        ::unlink(m_path.c_str());
    }
}

Status ControlServer::listen(const std::filesystem::path& path) {
    Result<Fd> listener = listen_unix(path);
    if (!listener) {
        return tl::unexpected<Error>(listener.error());
    }
    m_listener = std::move(*listener);
    m_path = path;
    m_loop.add(m_listener.get(), EPOLLIN, [this](uint32_t) { accept_links(); });
    return {};
}

void ControlServer::accept_links() {
    Fd fd(accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        return;
    }
    if (!peer_is_same_user(fd.get()) || m_links.size() >= k_max_links) {
        log_warning("control: a connection was refused ({})", m_links.size() >= k_max_links ? "too many" : "another user");
        return;
    }
    const int number = fd.get();
    auto link = std::make_shared<Link>();
    link->fd = std::move(fd);
    m_links[number] = link;
    m_loop.add(number, EPOLLIN, [this, number](uint32_t events) { on_ready(number, events); });
    const Message greeting{MessageType::greeting, 0,
                           {{"skep", k_protocol_version},
                            {"vm", m_identity.vm_id},
                            {"name", m_identity.vm_name},
                            {"pid", static_cast<int64_t>(getpid())},
                            {"build", m_identity.build}}};
    send(*link, encode_event(greeting), Fd());
}

void ControlServer::on_ready(int fd, uint32_t events) {
    const auto found = m_links.find(fd);
    if (found == m_links.end()) {
        return;
    }
    const std::shared_ptr<Link> link = found->second;  // survives its own drop
    if ((events & EPOLLOUT) != 0) {
        flush(*link);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !link->closed) {
        read_from(*link);
    }
}

void ControlServer::read_from(Link& link) {
    std::array<char, 16 * 1024> chunk;
    const ssize_t got = receive_with_fds(link.fd.get(), chunk.data(), chunk.size(), link.passed);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        drop(link.fd.get(), "");
        return;
    }
    if (link.passed.size() > k_max_passed) {
        drop(link.fd.get(), "it sends descriptors that nobody asked for");
        return;
    }
    if (const Status appended = link.received.append({chunk.data(), static_cast<size_t>(got)}); !appended) {
        drop(link.fd.get(), appended.error().message);
        return;
    }
    std::string line;
    while (!link.closed && link.received.take_line(line)) {
        const Result<Message> request = decode_request(line);
        if (!request) {
            drop(link.fd.get(), request.error().message);
            return;
        }
        handle(link, *request);
    }
}

void ControlServer::handle(Link& link, const Message& request) {
    Fd passed;
    Reply reply{request.id, dispatch(link, request, passed)};
    std::string line = encode_reply(request.type, reply);
    if (line.size() > k_max_message_bytes) {
        reply.result = fail(ErrorKind::io, "The worker's answer is over 1 MiB and was not sent.");
        line = encode_reply(request.type, reply);
        passed.reset();
    }
    send(link, std::move(line), std::move(passed));
}

Result<MessageValues> ControlServer::dispatch(Link& link, const Message& request, Fd& fd_to_send) {
    const auto done = [](const Status& status) -> Result<MessageValues> {
        return status ? Result<MessageValues>(MessageValues{}) : tl::unexpected<Error>(status.error());
    };
    const auto stick = [](Result<std::string> id) {
        return std::move(id).map([](std::string text) { return MessageValues{{"stick", std::move(text)}}; });
    };
    switch (request.type) {
        case MessageType::hello:
            link.version = request.integer("version");
            log_debug("control: '{}' is connected", request.text("client"));
            return MessageValues{};
        case MessageType::status: {
            const MachineStatus status = m_machine.status();
            return MessageValues{{"state", std::string(to_text(status.state))},
                                 {"reason", status.reason},
                                 {"uptime_ms", static_cast<int64_t>(status.uptime_ms)},
                                 {"cpu_backend", status.cpu_backend},
                                 {"cpu_reason", status.cpu_reason}};
        }
        case MessageType::info: return MessageValues{{"info", JsonText{m_machine.info_json()}}};
        case MessageType::pause: return done(m_machine.pause());
        case MessageType::resume: return done(m_machine.resume());
        case MessageType::power_button: return done(m_machine.power_button());
        case MessageType::power_off: return done(m_machine.power_off());
        case MessageType::reset: return done(m_machine.reset());
        case MessageType::eject: return done(m_machine.eject(request.text("drive")));
        case MessageType::insert: return done(m_machine.insert(request.text("drive"), request.text("file")));
        case MessageType::disk_resize:
            return done(m_machine.resize_disk(request.text("disk"), static_cast<uint64_t>(std::max<int64_t>(0, request.integer("size")))));
        case MessageType::usb_attach:
            return stick(m_machine.attach_stick(request.text("file"),
                                                request.boolean("read_only", false) ? StickAccess::read_only : StickAccess::read_write,
                                                request.text("stick")));
        case MessageType::usb_detach: return stick(m_machine.detach_stick(request.text("stick")));
        case MessageType::usb_list: return list_sticks();
        case MessageType::retry: return done(m_machine.retry());
        case MessageType::console_open: return open_console(request, fd_to_send);
        case MessageType::screen_open:
        case MessageType::screen_info:
        case MessageType::screen_shot:
        case MessageType::screen_text:
        case MessageType::screen_resize: return ask_screen(m_machine.screen(), request, fd_to_send);
        case MessageType::input_keys:
        case MessageType::input_type:
        case MessageType::input_click: return ask_input(m_machine.screen(), request);
        case MessageType::network_forward:
        case MessageType::network_link:
        case MessageType::network_plug: return done(ask_network(m_machine.network(), request, link.passed));
        case MessageType::greeting:
        case MessageType::state_changed:
        case MessageType::exited:
        case MessageType::no_space:
        case MessageType::guest_reset:
        case MessageType::usb_changed:
        case MessageType::cd_changed: break;  // events: decode_request() lets none of them through
    }
    return fail(ErrorKind::protocol, "This is not a request.");
}

Result<MessageValues> ControlServer::list_sticks() {
    OrderedJson sticks = OrderedJson::object();
    for (const StickInfo& each : m_machine.sticks()) {
        sticks[each.id] = {{"file", each.file}, {"read_only", each.access == StickAccess::read_only}};
    }
    return MessageValues{{"sticks", JsonText{print_json(sticks)}}};
}

namespace {

Status plug_network(NetworkControl& network, const Message& request, std::vector<Fd>& passed) {
    NetworkSpec into;
    into.id = request.text("card");
    into.network = request.text("network");
    into.restricted = request.boolean("restrict", false);
    const auto backend = network_backend_from_text(request.text("backend"));
    into.backend = backend.value_or(NetworkBackend::none);
    Fd descriptor;
    if (into.backend == NetworkBackend::user || into.backend == NetworkBackend::tap) {
        if (passed.empty()) {
            return fail(ErrorKind::protocol, "A network card cannot be plugged in there without a descriptor.");
        }
        descriptor = std::move(passed.front());
        passed.erase(passed.begin());
    }
    if (const std::string problem = network_name_problem(into); !backend || !problem.empty()) {
        return fail(ErrorKind::invalid_input, "{}", backend ? problem : "A card's back end is user, socket, tap or none.");
    }
    return network.plug(into, std::move(descriptor));
}

}  // namespace

Status ControlServer::ask_network(NetworkControl* network, const Message& request, std::vector<Fd>& passed) {
    if (network == nullptr) {
        return fail(ErrorKind::not_found, "This machine has no network card; add one in its settings.");
    }
    if (request.type == MessageType::network_plug) {
        return plug_network(*network, request, passed);
    }
    if (request.type == MessageType::network_link) {
        return network->set_link(request.text("card"), request.boolean("up"));
    }
    const auto action = request.boolean("remove") ? ForwardAction::remove : ForwardAction::add;
    return network->change_forward(request.text("card"), action, request.text("forward"));
}

Result<MessageValues> ControlServer::open_console(const Message& request, Fd& fd_to_send) {
    const int64_t port = request.integer("port");
    if (port < 0 || port >= static_cast<int64_t>(m_consoles.size())) {
        return fail(ErrorKind::not_found, "The machine has no serial port {}; it has {}.", port, m_consoles.size());
    }
    const auto replay = request.boolean("history", true) ? ConsoleReplay::with_history : ConsoleReplay::live_only;
    return m_consoles[static_cast<size_t>(port)]->open_viewer(replay).map([&](ConsoleLink link) {
        fd_to_send = std::move(link.socket);
        return MessageValues{{"history_bytes", static_cast<int64_t>(link.history_bytes)}};
    });
}

void ControlServer::send(Link& link, std::string line, Fd fd) {
    if (link.closed) {
        return;
    }
    line += '\n';
    link.unsent_bytes += line.size();
    link.unsent.push_back({std::move(line), std::move(fd)});
    flush(link);
    if (!link.closed && link.unsent_bytes > k_max_unsent_bytes) {
        drop(link.fd.get(), "it does not read its messages");
    }
}

void ControlServer::flush(Link& link) {
    while (!link.unsent.empty()) {
        Link::Unsent& first = link.unsent.front();
        const ssize_t sent = send_with_fd(link.fd.get(), first.bytes, first.fd.get());
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno != EAGAIN) {
            drop(link.fd.get(), "");
            return;
        }
        if (sent < 0) {
            break;
        }
        first.fd.reset();
        first.bytes.erase(0, static_cast<size_t>(sent));
        link.unsent_bytes -= static_cast<size_t>(sent);
        if (first.bytes.empty()) {
            link.unsent.pop_front();
        }
    }
    const bool wants_write = !link.unsent.empty();
    if (wants_write != link.wants_write) {
        link.wants_write = wants_write;
        m_loop.modify(link.fd.get(), static_cast<uint32_t>(EPOLLIN) | (wants_write ? static_cast<uint32_t>(EPOLLOUT) : 0U));
    }
}

void ControlServer::drop(int fd, const std::string& why) {
    const auto found = m_links.find(fd);
    if (found == m_links.end()) {
        return;
    }
    if (!why.empty()) {
        log_warning("control: a connection was closed: {}", why);
    }
    const std::shared_ptr<Link> link = found->second;
    link->closed = true;
    m_loop.remove(fd);
    m_links.erase(found);
}

void ControlServer::state_changed(MachineState state, std::string reason) {
    post_event(MessageType::state_changed, {{"state", std::string(to_text(state))}, {"reason", std::move(reason)}});
}

void ControlServer::guest_reset() { post_event(MessageType::guest_reset, {}); }

void ControlServer::usb_changed(std::string stick, std::string file) {
    post_event(MessageType::usb_changed, {{"stick", std::move(stick)}, {"file", std::move(file)}});
}

void ControlServer::cd_changed(std::string drive, std::string file, std::string reason) {
    MessageValues values{{"drive", std::move(drive)}, {"file", std::move(file)}};
    if (!reason.empty()) {
        values["reason"] = std::move(reason);
    }
    post_event(MessageType::cd_changed, std::move(values));
}

void ControlServer::no_space(std::string disk, std::string message) {
    post_event(MessageType::no_space, {{"disk", std::move(disk)}, {"message", std::move(message)}});
}

void ControlServer::post_event(MessageType type, MessageValues values) {
    m_loop.post([this, alive = m_alive, event = Message{type, 0, std::move(values)}] {
        if (*alive) {
            broadcast(event);
        }
    });
}

void ControlServer::broadcast(const Message& event) {
    const std::string line = encode_event(event);
    const auto links = m_links;  // sending may drop one
    for (const auto& [fd, link] : links) {
        if (link->version >= describe(event.type).since) {
            send(*link, line, Fd());
        }
    }
}

void ControlServer::shut_down(int code, const std::string& reason) {
    broadcast(Message{MessageType::exited, 0, {{"code", static_cast<int64_t>(code)}, {"reason", reason}}});
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::milliseconds(500);
    while (Clock::now() < deadline) {
        std::vector<pollfd> waiting;
        const auto links = m_links;
        for (const auto& [fd, link] : links) {
            flush(*link);
            if (!link->closed && !link->unsent.empty()) {
                waiting.push_back({fd, POLLOUT, 0});
            }
        }
        if (waiting.empty()) {
            break;
        }
        poll(waiting.data(), waiting.size(), 50);
    }
    while (!m_links.empty()) {
        drop(m_links.begin()->first, "");
    }
    if (m_listener) {
        m_loop.remove(m_listener.get());
        m_listener.reset();
        ::unlink(m_path.c_str());
    }
}

}  // namespace skep
