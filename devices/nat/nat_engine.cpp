// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nat/nat_engine.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <slirp/libslirp.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "devices/net/offload.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep {
namespace {

constexpr size_t k_large_mtu = 65520;      // what libslirp is told, below its limit
constexpr uint16_t k_largest_segment = 32768;  // libslirp's own limit
constexpr uint16_t k_mss4 = net::k_mtu - 40;
constexpr uint16_t k_mss6 = net::k_mtu - 60;
constexpr size_t k_most_unsent = 8 << 20;  // for a guest that takes nothing; then frames are lost
constexpr int64_t k_report_every = 1'000'000'000;
constexpr uint8_t k_tcp_syn = 0x02;
constexpr uint8_t k_option_end = 0;
constexpr uint8_t k_option_nop = 1;
constexpr uint8_t k_option_mss = 2;

int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

in_addr ip4(const char* text) {
    in_addr address{};
    inet_pton(AF_INET, text, &address);
    return address;
}

in6_addr ip6(const char* text) {
    in6_addr address{};
    inet_pton(AF_INET6, text, &address);
    return address;
}

union SocketAddress {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
    [[nodiscard]] socklen_t size() const { return any.sa_family == AF_INET ? sizeof four : sizeof six; }
};

SocketAddress socket_address(const std::string& text, bool is_ip6, uint16_t port) {
    SocketAddress address{};
    if (is_ip6) {
        address.six.sin6_family = AF_INET6;
        address.six.sin6_port = htons(port);
        inet_pton(AF_INET6, text.c_str(), &address.six.sin6_addr);
    } else {
        address.four.sin_family = AF_INET;
        address.four.sin_port = htons(port);
        inet_pton(AF_INET, text.c_str(), &address.four.sin_addr);
    }
    return address;
}

std::string why_not(int error, const NetworkForward& forward) {
    switch (error) {
        case EADDRINUSE:
            return fmt::format("Port {} of this host is taken by another program; choose another.", forward.host_port);
        case EACCES:
        case EPERM:
            return fmt::format("Port {} of this host is reserved for the administrator; choose one from 1024 up.", forward.host_port);
        case EADDRNOTAVAIL: return fmt::format("This host has no address {}; choose another.", forward.host_address);
        default: return fmt::format("Port {} of this host cannot be opened: {}.", forward.host_port, std::strerror(error));
    }
}

}  // namespace

struct NatEngine::Timer {
    SlirpTimerId id;
    void* opaque;
    int64_t expires_ms = -1;  // never
};

struct NatEngine::Callbacks {
    static NatEngine& engine(void* opaque) { return *static_cast<NatEngine*>(opaque); }
    static ssize_t send_packet(const void* buffer, size_t length, void* opaque) {
        engine(opaque).to_guest({static_cast<const uint8_t*>(buffer), length});
        return static_cast<ssize_t>(length);
    }
    static void guest_error(const char* /*message*/, void* /*opaque*/) {}
    static int64_t clock_get_ns(void* /*opaque*/) { return now_ns(); }
    static void* timer_new(SlirpTimerId id, void* timer_opaque, void* opaque) {
        auto& timers = engine(opaque).m_timers;
        timers.push_back(std::make_unique<Timer>(Timer{id, timer_opaque}));
        return timers.back().get();
    }
    static void timer_free(void* timer, void* opaque) {
        std::erase_if(engine(opaque).m_timers, [&](const auto& each) { return each.get() == timer; });
    }
    static void timer_mod(void* timer, int64_t expires_ms, void* /*opaque*/) { static_cast<Timer*>(timer)->expires_ms = expires_ms; }
    static void poll_fd_changed(int /*fd*/, void* /*opaque*/) {}
    static void notify(void* /*opaque*/) {}
    static int add_poll(int fd, int events, void* opaque) {
        short wanted = 0;
        wanted |= (events & SLIRP_POLL_IN) != 0 ? POLLIN : 0;
        wanted |= (events & SLIRP_POLL_OUT) != 0 ? POLLOUT : 0;
        wanted |= (events & SLIRP_POLL_PRI) != 0 ? POLLPRI : 0;
        engine(opaque).m_polled.push_back({fd, wanted, 0});
        return static_cast<int>(engine(opaque).m_polled.size()) - 1;
    }
    static int get_events(int index, void* opaque) {
        const short got = engine(opaque).m_polled[static_cast<size_t>(index)].revents;
        int events = 0;
        events |= (got & POLLIN) != 0 ? SLIRP_POLL_IN : 0;
        events |= (got & POLLOUT) != 0 ? SLIRP_POLL_OUT : 0;
        events |= (got & POLLPRI) != 0 ? SLIRP_POLL_PRI : 0;
        events |= (got & POLLERR) != 0 ? SLIRP_POLL_ERR : 0;
        events |= (got & POLLHUP) != 0 ? SLIRP_POLL_HUP : 0;
        return events;
    }
    static constexpr SlirpCb k_table{.send_packet = send_packet,
                                     .guest_error = guest_error,
                                     .clock_get_ns = clock_get_ns,
                                     .timer_new = nullptr,
                                     .timer_free = timer_free,
                                     .timer_mod = timer_mod,
                                     .register_poll_fd = poll_fd_changed,
                                     .unregister_poll_fd = poll_fd_changed,
                                     .notify = notify,
                                     .init_completed = nullptr,
                                     .timer_new_opaque = timer_new};
};

NatEngine::NatEngine(Fd socket) : m_stream(std::move(socket)) {}

NatEngine::~NatEngine() {
    if (m_slirp != nullptr) {
        slirp_cleanup(m_slirp);
    }
}

void NatEngine::configure(bool restricted) {
    SlirpConfig config{};
    config.version = 4;
    config.restricted = restricted ? 1 : 0;
    config.in_enabled = true;
    config.vnetwork = ip4("10.0.2.0");
    config.vnetmask = ip4("255.255.255.0");
    config.vhost = ip4("10.0.2.2");
    config.vdhcp_start = ip4("10.0.2.15");
    config.vnameserver = ip4("10.0.2.3");
    config.in6_enabled = true;
    config.vprefix_addr6 = ip6("fec0::");
    config.vprefix_len = 64;
    config.vhost6 = ip6("fec0::2");
    config.vnameserver6 = ip6("fec0::3");
    config.if_mtu = k_large_mtu;
    config.if_mru = k_large_mtu;
    m_slirp = slirp_new(&config, &Callbacks::k_table, this);
}

void NatEngine::on_text(std::string_view text) {
    constexpr std::string_view k_config = "config ";
    constexpr std::string_view k_offloads = "offloads ";
    constexpr std::string_view k_forward = "forward ";
    if (text.starts_with(k_config) && m_slirp == nullptr) {
        configure(text.substr(k_config.size()) == "1");
    } else if (text.starts_with(k_offloads) && text.size() >= k_offloads.size() + 5) {
        const std::string_view words = text.substr(k_offloads.size());
        m_offloads = {.checksum = words[0] == '1', .tcp4 = words[2] == '1', .tcp6 = words[4] == '1'};
    } else if (text.starts_with(k_forward)) {
        forward(text.substr(k_forward.size()));
    }
}

void NatEngine::forward(std::string_view words) {
    const size_t first = std::min(words.find(' '), words.size());
    const size_t second = std::min(words.find(' ', first + 1), words.size());
    if (second == words.size()) {
        return;
    }
    const std::string answer = change_forward(words.substr(first + 1, second - first - 1), words.substr(second + 1));
    m_stream.send_text(fmt::format("reply {} {}", words.substr(0, first), answer));
}

// Empty, or a sentence.
std::string NatEngine::change_forward(std::string_view action, std::string_view text) {
    const auto forward = parse_forward(text);
    if (!forward || m_slirp == nullptr) {
        return forward ? "The network is not ready." : forward.error().message;
    }
    const bool is_ip6 = forward->host_address.find(':') != std::string::npos;
    const SocketAddress host = socket_address(forward->host_address, is_ip6, forward->host_port);
    const SocketAddress guest = socket_address(forward->guest_address, is_ip6, forward->guest_port);
    const int flags = (forward->protocol == ForwardProtocol::udp ? SLIRP_HOSTFWD_UDP : 0) | (is_ip6 ? SLIRP_HOSTFWD_V6ONLY : 0);
    if (action == "remove") {
        return slirp_remove_hostxfwd(m_slirp, &host.any, host.size(), flags) == 0
                   ? ""
                   : fmt::format("Port {} of this host is not forwarded.", forward->host_port);
    }
    errno = 0;
    return slirp_add_hostxfwd(m_slirp, &host.any, host.size(), &guest.any, guest.size(), flags) == 0 ? "" : why_not(errno, *forward);
}

void NatEngine::on_frame(const NetFrame& frame) {
    if (m_slirp == nullptr) {
        return;
    }
    m_frame.clear();
    for (const iovec& piece : frame.pieces) {
        const auto* const bytes = static_cast<const uint8_t*>(piece.iov_base);
        m_frame.insert(m_frame.end(), bytes, bytes + piece.iov_len);
    }
    const FrameLayout layout = frame_layout(m_frame);
    if (frame.header.gso_type != net::k_gso_none && layout.is_tcp()) {
        write_checksums(m_frame, layout);
    } else if ((frame.header.flags & net::k_needs_csum) != 0 && !complete_checksum(m_frame, frame.header)) {
        return;
    }
    raise_segment_size(m_frame);
    m_glass.from_guest(m_frame);
    slirp_input(m_slirp, m_frame.data(), static_cast<int>(m_frame.size()));
}

// A guest that takes large segments announces in its SYN what fits its MTU; libslirp would keep to that.
void NatEngine::raise_segment_size(std::span<uint8_t> frame) const {
    const FrameLayout layout = frame_layout(frame);
    if (!layout.is_tcp() || (frame[layout.transport + 13] & k_tcp_syn) == 0 ||
        !(layout.is_ip4() ? m_offloads.tcp4 : m_offloads.tcp6)) {
        return;
    }
    for (uint32_t at = layout.transport + 20; at + 4 <= layout.payload && frame[at] != k_option_end;) {
        if (frame[at] == k_option_mss) {
            store_le(&frame[at + 2], byte_swap(k_largest_segment));
            write_checksums(frame, layout);
            return;
        }
        at += frame[at] == k_option_nop ? 1U : std::max<uint32_t>(frame[at + 1], 2);
    }
}

void NatEngine::to_guest(std::span<const uint8_t> frame) {
    if (frame.size() < net::k_header_bytes || frame.size() > net::k_most_frame_bytes || m_stream.unsent_bytes() > k_most_unsent) {
        return;
    }
    m_glass.to_guest(frame);
    const auto keep = [this](const NetHeader& header, std::span<const iovec> pieces, size_t bytes) {
        m_stream.keep({.header = header, .pieces = pieces, .bytes = static_cast<uint32_t>(bytes)});
    };
    const auto piece_of = [](std::span<const uint8_t> bytes) { return iovec{const_cast<uint8_t*>(bytes.data()), bytes.size()}; };
    const FrameLayout layout = frame_layout(frame);
    if (frame.size() > net::k_header_bytes + net::k_mtu && !layout.is_tcp()) {
        fragment_ip4(frame, net::k_mtu, [&](std::span<const uint8_t> fragment) {
            const iovec piece = piece_of(fragment);
            keep({}, std::span(&piece, 1), fragment.size());
        });
        return;
    }
    NetHeader header;
    const bool is_large = frame.size() > net::k_header_bytes + net::k_mtu;
    if (!is_large) {
        header.flags = m_offloads.checksum && layout.kind != FrameLayout::Kind::other ? net::k_data_valid : 0;
        const iovec piece = piece_of(frame);
        keep(header, std::span(&piece, 1), frame.size());
        return;
    }
    // 5.1.6.4.1: with a segmentation comes a checksum to be completed, of which the field holds the pseudo header's.
    const uint32_t sum_at = layout.transport + 16;
    header = {.flags = net::k_needs_csum,
              .gso_type = layout.is_ip4() ? net::k_gso_tcp4 : net::k_gso_tcp6,
              .hdr_len = static_cast<uint16_t>(layout.payload),
              .gso_size = layout.is_ip4() ? k_mss4 : k_mss6,
              .csum_start = static_cast<uint16_t>(layout.transport),
              .csum_offset = 16};
    const uint16_t sum =
        byte_swap(static_cast<uint16_t>(~finish_sum(pseudo_header_sum(frame, layout, layout.end - layout.transport))));
    const std::array<iovec, 3> pieces{piece_of(frame.first(sum_at)), iovec{const_cast<uint16_t*>(&sum), sizeof sum},
                                      piece_of(frame.subspan(sum_at + 2))};
    keep(header, pieces, frame.size());
}

void NatEngine::run_timers() {
    const int64_t now = now_ns() / 1'000'000;
    for (size_t index = 0; index < m_timers.size(); ++index) {
        Timer& timer = *m_timers[index];
        if (timer.expires_ms >= 0 && timer.expires_ms <= now) {
            timer.expires_ms = -1;
            slirp_handle_timer(m_slirp, timer.id, timer.opaque);
        }
    }
}

void NatEngine::send_report() {
    const int64_t now = now_ns();
    if (now >= m_next_report && m_glass.take_changed()) {
        m_next_report = now + k_report_every;
        m_stream.send_text("report\n" + print_report(m_glass.report()));
    }
}

bool NatEngine::step(uint32_t most_milliseconds) {
    m_polled.clear();
    m_polled.push_back({m_stream.fd(), static_cast<short>(m_stream.has_unsent() ? POLLIN | POLLOUT : POLLIN), 0});
    uint32_t timeout = most_milliseconds;
    if (m_slirp != nullptr) {
        slirp_pollfds_fill(m_slirp, &timeout, Callbacks::add_poll, this);
    }
    for (const auto& timer : m_timers) {
        if (timer->expires_ms >= 0) {
            timeout = static_cast<uint32_t>(std::clamp<int64_t>(timer->expires_ms - now_ns() / 1'000'000, 0, timeout));
        }
    }
    const int ready = poll(m_polled.data(), m_polled.size(), static_cast<int>(timeout));
    if (m_slirp != nullptr) {
        slirp_pollfds_poll(m_slirp, ready < 0 ? 1 : 0, Callbacks::get_events, this);
        run_timers();
    }
    if (ready > 0 && (m_polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        const FrameStream::Fill fill = m_stream.fill();
        const bool well_formed = m_stream.take(
            [this](std::span<const NetFrame> frames) {
                for (const NetFrame& frame : frames) {
                    on_frame(frame);
                }
                return frames.size();
            },
            [this](std::string_view text) { on_text(text); });
        if (!well_formed || fill == FrameStream::Fill::closed) {
            return false;
        }
    }
    send_report();
    m_stream.flush();
    return true;
}

void NatEngine::run() {
    constexpr uint32_t k_longest_wait = 1000;  // the report of the last frames is due
    while (step(k_longest_wait)) {
    }
}

}  // namespace skep
