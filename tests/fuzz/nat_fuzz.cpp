// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: address translation, from the guest's side, the worker's and that of the hosts it talks to. The host's
// network is made of socket pairs: nothing leaves this process.
//
// The first byte says whether the network is restricted (1) and what the guest understands (2, 4, 8). Operations, one byte
// each with their operands behind it, what is missing at the end reads as zero:
//   0 frame {bytes:2, data}                              6 text {bytes:1, data}: what the worker says
//   1 tcp   {flags:1, numbers:1, port:1, bytes:1, data}  7 stream {bytes:1, data}: onto the socket as it is
//   2 udp   {port:1, bytes:1, data}                      8 host {which:1, bytes:1, data}: a host sends
//   3 arp   {operation:1, last:1}                        9 close {which:1}: a host hangs up
//   4 icmp  {type:1, bytes:1, data}                     10 udp over IPv6, as 2
//   5 turn: the translator's own round                  11 segmented {bytes:2, size:2}
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "devices/nat/nat_engine.hpp"
#include "devices/net/offload.hpp"
#include "tests/fuzz/device_language.hpp"
#include "vmm/base/bits.hpp"

namespace {

// The far ends of the sockets that libslirp has opened.
std::vector<int> g_hosts;
constexpr size_t k_most_hosts = 64;

int make_host(int type) {
    std::array<int, 2> ends{-1, -1};
    if (g_hosts.size() >= k_most_hosts) {
        errno = EMFILE;
        return -1;
    }
    if (socketpair(AF_UNIX, (type & 0xf) == SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM, 0, ends.data()) != 0) {
        return -1;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    g_hosts.push_back(ends[1]);
    return ends[0];
}

int tell_address(sockaddr* address, socklen_t* size) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(4242);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(address, &name, std::min<size_t>(*size, sizeof name));
    *size = sizeof name;
    return 0;
}

}  // namespace

// slirp_cleanup() forgets packets that wait behind another one of the same connection (libslirp 4.7's m_cleanup() goes through
// the lists of used and free ones and through the queues, but not along ifs_next). Skep's engine ends with its process. Nothing
// else in this one allocates by GLib.
extern "C" const char* __lsan_default_suppressions() { return "leak:g_malloc\n"; }
extern "C" const char* __lsan_default_options() { return "print_suppressions=0"; }

extern "C" {
int socket(int, int type, int) { return make_host(type); }
int connect(int, const sockaddr*, socklen_t) { return 0; }
int bind(int, const sockaddr*, socklen_t) { return 0; }
int listen(int, int) { return 0; }
int accept(int fd, sockaddr* address, socklen_t* size) {
    std::array<char, 64> asked{};
    if (recv(fd, asked.data(), asked.size(), MSG_DONTWAIT) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    if (address != nullptr) {
        tell_address(address, size);
    }
    return make_host(SOCK_STREAM);
}
int getsockname(int, sockaddr* address, socklen_t* size) { return tell_address(address, size); }
int getpeername(int, sockaddr* address, socklen_t* size) { return tell_address(address, size); }
int setsockopt(int, int, int, const void*, socklen_t) { return 0; }
ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr*, socklen_t) {
    return send(fd, data, size, flags | MSG_NOSIGNAL);
}
}

namespace skep {
namespace {

using fuzz::Input;

constexpr std::array<uint8_t, 6> k_guest{0x52, 0x54, 0, 1, 2, 3};
constexpr std::array<uint8_t, 6> k_host{0x52, 0x55, 10, 0, 2, 2};

class Session {
  public:
    explicit Session(uint8_t how) {
        std::array<int, 2> ends{-1, -1};
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) {
            __builtin_trap();
        }
        m_engine.emplace(Fd(ends[0]));
        m_worker.emplace(Fd(ends[1]));
        m_engine->on_text((how & 1) != 0 ? "config 1" : "config 0");
        m_engine->on_text(fmt::format("offloads {} {} {}", how >> 1 & 1, how >> 2 & 1, how >> 3 & 1));
    }
    ~Session() {
        m_engine.reset();
        for (const int host : g_hosts) {
            close(host);
        }
        g_hosts.clear();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // False: the engine has ended, as it does when the worker speaks nonsense.
    bool step(Input& input) {
        switch (input.take<uint8_t>() % 12) {
            case 0: {
                const auto bytes = input.take_bytes(input.take<uint16_t>());
                give({bytes.begin(), bytes.end()});
                break;
            }
            case 1: tcp(input); break;
            case 2: udp4(input); break;
            case 3: arp(input); break;
            case 4: icmp(input); break;
            case 5: return turn();
            case 6: {
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                m_engine->on_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
                break;
            }
            case 7: {
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                if (send(m_worker->fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                    return false;
                }
                return turn();
            }
            case 8: {
                const auto which = input.take<uint8_t>();
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                if (!g_hosts.empty() && !bytes.empty()) {
                    [[maybe_unused]] const ssize_t sent =
                        send(g_hosts[which % g_hosts.size()], bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
                }
                return turn();
            }
            case 9: {
                const auto which = input.take<uint8_t>();
                if (!g_hosts.empty()) {
                    shutdown(g_hosts[which % g_hosts.size()], SHUT_RDWR);
                }
                return turn();
            }
            case 10: udp6(input); break;
            default: segmented(input);
        }
        return true;
    }

  private:
    using Frame = std::vector<uint8_t>;

    void give(Frame frame, NetHeader header = {}) {
        frame.resize(std::clamp<size_t>(frame.size(), net::k_header_bytes, net::k_most_frame_bytes));
        const iovec piece{frame.data(), frame.size()};
        m_engine->on_frame({.header = header, .pieces = std::span(&piece, 1), .bytes = static_cast<uint32_t>(frame.size())});
    }
    // Whatever the engine says must be well formed and within bounds.
    bool turn() {
        const bool goes_on = m_engine->step(0);
        const auto fill = m_worker->fill();
        const bool good = m_worker->take(
            [](std::span<const NetFrame> frames) {
                for (const NetFrame& frame : frames) {
                    const bool large = frame.bytes > net::k_header_bytes + net::k_mtu;
                    if (large && (frame.header.gso_type == net::k_gso_none || frame.header.gso_size == 0)) {
                        __builtin_trap();
                    }
                }
                return frames.size();
            },
            [](std::string_view text) {
                if (text.starts_with("report\n") && print_report(parse_report(text.substr(7))) != text.substr(7)) {
                    __builtin_trap();
                }
            });
        if (!good) {
            __builtin_trap();
        }
        return goes_on && fill != FrameStream::Fill::closed;
    }

    static Frame ethernet(uint16_t type, size_t bytes) {
        Frame frame(net::k_header_bytes + bytes);
        std::ranges::copy(k_host, frame.begin());
        std::ranges::copy(k_guest, frame.begin() + 6);
        store_be(&frame[12], type);
        return frame;
    }
    // An IPv4 packet from the guest with sums, its payload behind the transport header.
    static Frame ip4(uint8_t protocol, size_t transport, std::span<const uint8_t> payload, uint8_t last) {
        Frame frame = ethernet(0x0800, 20 + transport + payload.size());
        uint8_t* const ip = &frame[14];
        ip[0] = 0x45;
        store_be(&ip[2], static_cast<uint16_t>(frame.size() - 14));
        ip[8] = 64;
        ip[9] = protocol;
        const std::array<uint8_t, 8> addresses{10, 0, 2, 15, 10, 0, 2, last};
        std::ranges::copy(addresses, &ip[12]);
        std::ranges::copy(payload, frame.begin() + static_cast<ptrdiff_t>(34 + transport));
        return frame;
    }
    static void finish(Frame& frame) {
        if (const FrameLayout layout = frame_layout(frame); layout.kind != FrameLayout::Kind::other) {
            write_checksums(frame, layout);
        } else {
            store_be(&frame[24], finish_sum(internet_sum(std::span(frame).subspan(14, 20))));
        }
    }
    void tcp(Input& input) {
        const auto flags = input.take<uint8_t>();
        const auto numbers = input.take<uint8_t>();
        const auto port = input.take<uint8_t>();
        const auto payload = input.take_bytes(input.take<uint8_t>());
        Frame frame = ip4(6, 24, payload, port % 4 == 0 ? 4 : 2);
        uint8_t* const segment = &frame[34];
        store_be(segment, static_cast<uint16_t>(40000 + port % 8));
        store_be(&segment[2], static_cast<uint16_t>(port));
        m_sequence += (numbers & 1) != 0 ? payload.size() : 0;
        store_be(&segment[4], static_cast<uint32_t>(m_sequence + (numbers >> 1 & 7)));
        store_be(&segment[8], static_cast<uint32_t>(numbers >> 4) * 100U);
        segment[12] = 0x60;
        segment[13] = flags;
        store_be(&segment[14], uint16_t{0x7fff});
        segment[20] = 2;
        segment[21] = 4;
        store_be(&segment[22], uint16_t{1460});
        finish(frame);
        give(std::move(frame));
    }
    // Ports of services that libslirp has itself, and others.
    static uint16_t service(uint8_t port) {
        constexpr std::array<uint16_t, 6> k_services{53, 67, 69, 7, 123, 68};
        return port < 192 ? k_services[port % k_services.size()] : port;
    }
    void udp4(Input& input) {
        const auto port = input.take<uint8_t>();
        const auto payload = input.take_bytes(input.take<uint8_t>());
        Frame frame = ip4(17, 8, payload, service(port) == 53 ? 3 : 2);
        store_be(&frame[34], static_cast<uint16_t>(service(port) == 67 ? 68 : 50000 + port % 4));
        store_be(&frame[36], service(port));
        store_be(&frame[38], static_cast<uint16_t>(8 + payload.size()));
        finish(frame);
        give(std::move(frame));
    }
    void udp6(Input& input) {
        const auto port = input.take<uint8_t>();
        const auto payload = input.take_bytes(input.take<uint8_t>());
        Frame frame = ethernet(0x86dd, 48 + payload.size());
        uint8_t* const ip = &frame[14];
        ip[0] = 0x60;
        store_be(&ip[4], static_cast<uint16_t>(8 + payload.size()));
        ip[6] = 17;
        ip[7] = 255;
        const std::array<uint8_t, 2> site{0xfe, 0xc0};
        std::ranges::copy(site, &ip[8]);
        std::ranges::copy(site, &ip[24]);
        ip[23] = 0x15;
        ip[39] = service(port) == 53 ? 3 : 2;
        store_be(&frame[54], static_cast<uint16_t>(50000 + port % 4));
        store_be(&frame[56], service(port));
        store_be(&frame[58], static_cast<uint16_t>(8 + payload.size()));
        std::ranges::copy(payload, frame.begin() + 62);
        finish(frame);
        give(std::move(frame));
    }
    void arp(Input& input) {
        Frame frame = ethernet(0x0806, 46);
        const std::array<uint8_t, 8> front{0, 1, 8, 0, 6, 4, 0, input.take<uint8_t>()};
        std::ranges::copy(front, frame.begin() + 14);
        std::ranges::copy(k_guest, frame.begin() + 22);
        const std::array<uint8_t, 4> ours{10, 0, 2, 15};
        std::ranges::copy(ours, frame.begin() + 28);
        const std::array<uint8_t, 4> wanted{10, 0, 2, input.take<uint8_t>()};
        std::ranges::copy(wanted, frame.begin() + 38);
        give(std::move(frame));
    }
    void icmp(Input& input) {
        const auto type = input.take<uint8_t>();
        const auto payload = input.take_bytes(input.take<uint8_t>());
        Frame frame = ip4(1, 8, payload, type % 2 == 0 ? 2 : 9);
        frame[34] = type;
        store_be(&frame[36], finish_sum(internet_sum(std::span(frame).subspan(34))));
        finish(frame);
        give(std::move(frame));
    }
    // A large segment as a card hands it on.
    void segmented(Input& input) {
        const Frame data(input.take<uint16_t>() % 60000, uint8_t{0x55});
        Frame frame = ip4(6, 20, data, 2);
        store_be(&frame[34], uint16_t{40000});
        frame[46] = 0x50;
        frame[47] = 0x10;
        const auto size = input.take<uint16_t>();
        give(std::move(frame), {.flags = net::k_needs_csum,
                                .gso_type = net::k_gso_tcp4,
                                .hdr_len = 54,
                                .gso_size = size,
                                .csum_start = 34,
                                .csum_offset = 16});
    }

    std::optional<NatEngine> m_engine;
    std::optional<FrameStream> m_worker;
    size_t m_sequence = 0;
};

}  // namespace
}  // namespace skep

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    skep::fuzz::Input input(data, size);
    skep::Session session(input.take<uint8_t>());
    while (!input.empty() && session.step(input)) {
    }
    return 0;
}
