// SPDX-License-Identifier: GPL-3.0-or-later
// Taps of a network namespace of the test's own, where a user namespace gives it the right to make them.
#include "devices/net/tap_backend.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "devices/net/frame_bytes.hpp"
#include "devices/net/offload.hpp"
#include "tests/support/net_collector.hpp"
#include "vmm/control/network_plug.hpp"

namespace skep::test {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr std::array<uint8_t, 6> k_guest{0x52, 0x54, 0, 1, 2, 3};
constexpr std::array<uint8_t, 4> k_host_ip{10, 9, 9, 1};
constexpr std::array<uint8_t, 4> k_guest_ip{10, 9, 9, 2};
constexpr int k_cannot = 77;

// In a process of its own with no network but what it makes; its failures are this test's.
void in_own_network(const std::function<void()>& what) {
    const pid_t child = fork();  // this program has one thread now
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
            _exit(k_cannot);
        }
        what();
        std::fflush(nullptr);
        _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == k_cannot) {
        GTEST_SKIP() << "this host lets no ordinary program have a network namespace with a tap";
    }
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

sockaddr_in at(const std::array<uint8_t, 4>& ip, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    std::memcpy(&address.sin_addr, ip.data(), ip.size());
    return address;
}

// A tap with the host's address that is up.
Fd make_tap(short flags) {
    Fd tap(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ifreq request{};
    std::strcpy(request.ifr_name, "skep0");
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | flags);
    EXPECT_EQ(ioctl(tap.get(), TUNSETIFF, &request), 0);
    const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in ip = at(k_host_ip, 0);
    std::memcpy(&request.ifr_addr, &ip, sizeof ip);
    EXPECT_EQ(ioctl(any.get(), SIOCSIFADDR, &request), 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    EXPECT_EQ(ioctl(any.get(), SIOCSIFFLAGS, &request), 0);
    return tap;
}

Fd udp_socket(uint16_t port) {
    Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = at(k_host_ip, port);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
}

uint16_t type_of(const Bytes& frame) { return get16(frame, 12); }

// "10.9.9.2 is at 52:54:00:01:02:03", as the answer to the host's question.
Bytes arp_answer(const Bytes& question) {
    Bytes answer(question.begin() + 6, question.begin() + 12);
    answer.insert(answer.end(), k_guest.begin(), k_guest.end());
    answer.insert(answer.end(), {8, 6, 0, 1, 8, 0, 6, 4, 0, 2});
    answer.insert(answer.end(), k_guest.begin(), k_guest.end());
    answer.insert(answer.end(), k_guest_ip.begin(), k_guest_ip.end());
    answer.insert(answer.end(), question.begin() + 22, question.begin() + 32);  // who asked
    return answer;
}

// The datagram that came, sent back; its checksum is left to the receiver: only the pseudo header's sum is there.
Bytes echo_without_sum(const Bytes& frame, NetHeader& header) {
    Bytes echo = frame;
    std::swap_ranges(echo.begin(), echo.begin() + 6, echo.begin() + 6);
    std::swap_ranges(echo.begin() + 26, echo.begin() + 30, echo.begin() + 30);
    std::swap_ranges(echo.begin() + 34, echo.begin() + 36, echo.begin() + 36);
    const FrameLayout layout = frame_layout(echo);
    EXPECT_EQ(layout.kind, FrameLayout::Kind::udp4);
    put16(echo, 40, static_cast<uint16_t>(~finish_sum(pseudo_header_sum(echo, layout, layout.end - layout.transport))));
    header = {.flags = net::k_needs_csum, .csum_start = 34, .csum_offset = 6};
    return echo;
}

void datagrams_go_both_ways(short flags) {
    NetThread thread;
    NetCollector card;
    auto started = TapBackend::start(thread, make_tap(flags));
    ASSERT_TRUE(started) << started.error().message;
    TapBackend& tap = **started;
    EXPECT_EQ(tap.has_header(), flags != 0);
    tap.set_offloads({});
    tap.attach(&card);
    const Fd host = udp_socket(7000);
    const sockaddr_in guest = at(k_guest_ip, 9);
    ASSERT_EQ(sendto(host.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&guest), sizeof guest), 5);
    const Bytes question = card.wait_for([](const Bytes& frame) { return type_of(frame) == 0x0806; });
    ASSERT_GE(question.size(), 42U);
    EXPECT_EQ(send_one(tap, arp_answer(question)), 1U);
    const Bytes datagram = card.wait_for([](const Bytes& frame) { return type_of(frame) == 0x0800 && frame[23] == 17; });
    ASSERT_EQ(datagram.size(), 14U + 20 + 8 + 5);
    EXPECT_EQ(std::memcmp(&datagram[42], "hello", 5), 0);
    NetHeader header;
    const Bytes echo = echo_without_sum(datagram, header);
    EXPECT_EQ(send_one(tap, echo, header), 1U);
    pollfd waiting{host.get(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 10'000), 1);
    std::array<char, 16> back{};
    EXPECT_EQ(recv(host.get(), back.data(), back.size(), 0), 5);
    EXPECT_STREQ(back.data(), "hello");
    tap.attach(nullptr);
}

TEST(TapBackend, datagrams_go_both_ways_with_the_kernels_offloads) {
    in_own_network([] { datagrams_go_both_ways(IFF_VNET_HDR); });
}

TEST(TapBackend, datagrams_go_both_ways_without_the_kernels_offloads) {
    in_own_network([] { datagrams_go_both_ways(0); });
}

TEST(TapBackend, refused_frames_wait_for_the_card) {
    in_own_network([] {
        NetThread thread;
        NetCollector card;
        auto started = TapBackend::start(thread, make_tap(IFF_VNET_HDR));
        ASSERT_TRUE(started);
        card.refuse(true);
        (*started)->attach(&card);
        const Fd host = udp_socket(7000);
        const sockaddr_in guest = at(k_guest_ip, 9);
        ASSERT_EQ(sendto(host.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&guest), sizeof guest), 5);
        thread.run([] {});
        card.refuse(false);
        (*started)->sink_ready();
        EXPECT_FALSE(card.wait_for([](const Bytes& frame) { return type_of(frame) == 0x0806; }).empty());
        (*started)->attach(nullptr);
    });
}

TEST(TapBackend, interface_that_is_down_loses_frames) {
    in_own_network([] {
        NetThread thread;
        NetCollector card;
        Fd tap = make_tap(IFF_VNET_HDR);
        ifreq request{};
        std::strcpy(request.ifr_name, "skep0");
        auto started = TapBackend::start(thread, std::move(tap));
        ASSERT_TRUE(started);
        (*started)->attach(&card);
        const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        request.ifr_flags = 0;
        ASSERT_EQ(ioctl(any.get(), SIOCSIFFLAGS, &request), 0);
        EXPECT_EQ(send_one(**started, Bytes(60, 1)), 1U);
        thread.run([] {});
        (*started)->attach(nullptr);
    });
}

// With a bridge br0, and a file of rules for QEMU's helper in the place of the system's.
void with_bridge(const std::string& rules, const std::function<void()>& what) {
    // Root there is who runs the test.
    const std::string users = "0 " + std::to_string(getuid()) + " 1", groups = "0 " + std::to_string(getgid()) + " 1";
    in_own_network([&] {
        std::ofstream("/proc/self/setgroups") << "deny";
        std::ofstream("/proc/self/uid_map") << users;
        std::ofstream("/proc/self/gid_map") << groups;
        const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (access("/usr/lib/qemu/qemu-bridge-helper", X_OK) != 0 || unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("none", "/etc", "tmpfs", 0, nullptr) != 0 || ioctl(any.get(), SIOCBRADDBR, "br0") != 0) {
            _exit(k_cannot);
        }
        std::filesystem::create_directory("/etc/qemu");
        std::ofstream("/etc/qemu/bridge.conf") << rules;
        what();
    });
}

TEST(TapBackend, tap_on_a_bridge_comes_from_the_systems_helper) {
    with_bridge("allow br0\n", [] {
        auto opened = open_tap("br0");
        ASSERT_TRUE(opened) << opened.error().message;
        NetThread thread;
        const auto started = TapBackend::start(thread, std::move(*opened));
        ASSERT_TRUE(started) << started.error().message;
        EXPECT_TRUE((*started)->has_header());
    });
}

TEST(TapBackend, bridge_that_is_not_allowed_is_said_with_what_to_do) {
    with_bridge("deny all\n", [] {
        const auto opened = open_tap("br0");
        ASSERT_FALSE(opened);
        EXPECT_NE(opened.error().message.find("'allow br0'"), std::string::npos) << opened.error().message;
        EXPECT_NE(opened.error().message.find("access denied"), std::string::npos) << opened.error().message;
    });
}

TEST(TapBackend, file_that_is_no_tap_is_refused) {
    NetThread thread;
    const auto started = TapBackend::start(thread, Fd(open("/dev/null", O_RDWR | O_CLOEXEC)));
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("no tap"), std::string::npos);
}

}  // namespace
}  // namespace skep::test
