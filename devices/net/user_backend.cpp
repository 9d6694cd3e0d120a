// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/user_backend.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "vmm/base/log.hpp"
#include "vmm/base/passed_fds.hpp"

namespace skep {
namespace {

constexpr int k_start_milliseconds = 10'000;
constexpr int k_end_milliseconds = 2000;

tl::unexpected<Error> no_process(const std::string& why) {
    return fail(ErrorKind::io, "The network process did not start ({}); 'skepctl doctor' knows more, and with the card's back end none the machine starts.", why);
}

}  // namespace

Result<std::shared_ptr<UserBackend>> UserBackend::start(NetThread& thread, Fd channel, const UserBackendConfig& config) {
    std::shared_ptr<UserBackend> backend(new UserBackend(thread));
    backend->m_restricted = config.restricted;
    backend->m_channel = std::move(channel);
    std::string why;
    auto socket = backend->receive_socket(why);
    if (!socket) {
        return tl::unexpected(socket.error());
    }
    thread.run([&] {
        backend->use_socket(std::move(*socket));
        thread.loop().add(backend->m_channel.get(), EPOLLIN, [self = backend.get()](uint32_t) { self->on_channel(); });
    });
    for (const NetworkForward& forward : config.forwards) {
        if (Status added = backend->add_forward(forward); !added) {
            return tl::unexpected(added.error());
        }
    }
    return backend;
}

UserBackend::~UserBackend() {
    m_thread.run([this] {
        if (m_channel) {
            m_thread.loop().remove(m_channel.get());
        }
        const std::lock_guard lock(m_mutex);
        m_link.reset();
    });
    shutdown(m_channel.get(), SHUT_WR);  // at which skep-net ends
    pollfd ending{m_channel.get(), 0, 0};
    poll(&ending, m_channel ? 1 : 0, m_channel ? k_end_milliseconds : 0);
}

// The socket of a new process, with why the one before ended.
Result<Fd> UserBackend::receive_socket(std::string& why) const {
    pollfd waiting{m_channel.get(), POLLIN, 0};
    if (poll(&waiting, 1, k_start_milliseconds) <= 0) {
        return no_process("it says nothing");
    }
    std::array<char, 256> text{};
    std::vector<Fd> passed;
    const ssize_t got = receive_with_fds(m_channel.get(), text.data(), text.size() - 1, passed);
    if (got <= 0 || passed.size() != 1) {
        return no_process("it has ended");
    }
    why.assign(text.data(), static_cast<size_t>(got));
    return std::move(passed.front());
}

void UserBackend::on_channel() {
    std::string why;
    auto socket = receive_socket(why);
    if (!socket) {
        log_error("network: the guest is cut off: {}", socket.error().message);
        m_thread.loop().remove(m_channel.get());
        m_channel.reset();
        return;
    }
    log_warning("network: the process that translates addresses ended ({}) and was started again", why);
    use_socket(std::move(*socket));
    std::vector<NetworkForward> forwards;
    {
        const std::lock_guard lock(m_mutex);
        ++m_restarts;
        forwards = m_forwards;
    }
    for (const NetworkForward& forward : forwards) {
        m_link->send_text("forward 0 add " + print_forward(forward));
    }
    if (m_sink != nullptr) {
        m_sink->room();
    }
}

void UserBackend::use_socket(Fd socket) {
    auto link = std::make_shared<FrameLink>(m_thread.loop(), std::move(socket), static_cast<FrameLinkOwner&>(*this));
    std::string offloads;
    {
        const std::lock_guard lock(m_mutex);
        m_link = link;
        offloads = offloads_text();
    }
    link->send_text(fmt::format("config {}", m_restricted ? 1 : 0));
    link->send_text(offloads);
}

size_t UserBackend::send(std::span<const NetFrame> frames) {
    std::shared_ptr<FrameLink> link;
    {
        const std::lock_guard lock(m_mutex);
        link = m_link;
    }
    const size_t taken = link ? link->send(frames) : frames.size();  // nobody there: lost
    if (link.use_count() == 1) {
        // The link was replaced meanwhile and is ours alone; it must end on its own thread.
        m_thread.loop().post([link] {});
    }
    return taken;
}

void UserBackend::sink_ready() {
    m_thread.loop().post([this] {
        if (m_link) {
            m_link->resume_reading();
        }
    });
}

// With the lock.
std::string UserBackend::offloads_text() const {
    return fmt::format("offloads {} {} {}", m_offloads.checksum ? 1 : 0, m_offloads.tcp4 ? 1 : 0, m_offloads.tcp6 ? 1 : 0);
}

void UserBackend::set_offloads(const NetOffloads& offloads) {
    const std::lock_guard lock(m_mutex);
    if (!(m_offloads == offloads)) {
        m_offloads = offloads;
        if (m_link) {
            m_link->send_text(offloads_text());
        }
    }
}

size_t UserBackend::link_frames(FrameLink& /*link*/, std::span<const NetFrame> frames) {
    return m_sink == nullptr ? frames.size() : m_sink->receive(frames);
}

void UserBackend::link_room(FrameLink& /*link*/) {
    if (m_sink != nullptr) {
        m_sink->room();
    }
}

void UserBackend::link_closed(FrameLink& /*link*/) {
    std::shared_ptr<FrameLink> gone;
    const std::lock_guard lock(m_mutex);
    gone.swap(m_link);
    m_report = {};
    for (auto& [number, answer] : m_questions) {
        answer = "the network process has just ended; try again";
    }
    m_answered.notify_all();
    m_thread.loop().post([gone] {});  // not while it is being used
}

// "reply NUMBER SENTENCE", "report" and a NatReport.
void UserBackend::link_text(FrameLink& /*link*/, std::string_view text) {
    constexpr std::string_view k_reply = "reply ";
    constexpr std::string_view k_report = "report\n";
    const std::lock_guard lock(m_mutex);
    if (text.starts_with(k_report)) {
        m_report = parse_report(text.substr(k_report.size()));
    } else if (text.starts_with(k_reply)) {
        const std::string rest(text.substr(k_reply.size(), 400));
        char* end = nullptr;
        const auto number = static_cast<unsigned>(std::strtoul(rest.c_str(), &end, 10));
        std::string sentence = *end == ' ' ? end + 1 : "";
        std::erase_if(sentence, [](char character) { return static_cast<unsigned char>(character) < 0x20; });
        if (number == 0 && !sentence.empty()) {
            log_warning("network: {}", sentence);
        } else if (const auto found = m_questions.find(number); found != m_questions.end()) {
            found->second = std::move(sentence);
            m_answered.notify_all();
        }
    }
}

Status UserBackend::ask(const std::string& words) {
    std::unique_lock lock(m_mutex);
    if (!m_link) {
        return fail(ErrorKind::io, "The network process is being started again; try in a moment.");
    }
    const unsigned number = ++m_last_question;
    const auto question = m_questions.emplace(number, std::nullopt).first;
    m_link->send_text(fmt::format("forward {} {}", number, words));
    m_answered.wait_for(lock, std::chrono::milliseconds(k_answer_milliseconds), [&] { return question->second.has_value(); });
    const std::string answer = question->second.value_or("The network process does not answer; try again.");
    m_questions.erase(question);
    if (!answer.empty()) {
        return fail(ErrorKind::in_use, "{}", answer);
    }
    return {};
}

Status UserBackend::add_forward(const NetworkForward& forward) {
    {
        const std::lock_guard lock(m_mutex);
        if (std::ranges::any_of(m_forwards, [&](const NetworkForward& other) { return other.same_place(forward); })) {
            return fail(ErrorKind::in_use, "Port {} of this host leads into this machine already.", forward.host_port);
        }
    }
    return ask("add " + print_forward(forward)).map([&] {
        const std::lock_guard lock(m_mutex);
        m_forwards.push_back(forward);
    });
}

Status UserBackend::remove_forward(const NetworkForward& forward) {
    {
        const std::lock_guard lock(m_mutex);
        if (std::erase_if(m_forwards, [&](const NetworkForward& other) { return other.same_place(forward); }) == 0) {
            return fail(ErrorKind::not_found, "Port {} of this host does not lead into this machine.", forward.host_port);
        }
    }
    return ask("remove " + print_forward(forward));
}

std::vector<NetworkForward> UserBackend::forwards() const {
    const std::lock_guard lock(m_mutex);
    return m_forwards;
}

NatReport UserBackend::report() const {
    const std::lock_guard lock(m_mutex);
    return m_report;
}

unsigned UserBackend::restarts() const {
    const std::lock_guard lock(m_mutex);
    return m_restarts;
}

}  // namespace skep
