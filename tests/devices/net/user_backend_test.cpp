// SPDX-License-Identifier: GPL-3.0-or-later
// The back end with its real process, on this host's loopback interface.
#include "devices/net/user_backend.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "devices/net/offload.hpp"
#include "tests/support/net_collector.hpp"
#include "vmm/control/network_plug.hpp"

namespace skep::test {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr std::array<uint8_t, 6> k_mac{0x52, 0x54, 0, 1, 2, 3};

struct UdpSocket {
    UdpSocket() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        socklen_t size = sizeof address;
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
    }
    Fd fd;
    uint16_t port = 0;
};

Bytes ethernet(const std::array<uint8_t, 6>& to, uint16_t type) {
    Bytes frame(to.begin(), to.end());
    frame.insert(frame.end(), k_mac.begin(), k_mac.end());
    frame.push_back(static_cast<uint8_t>(type >> 8));
    frame.push_back(static_cast<uint8_t>(type));
    return frame;
}

Bytes udp_frame(const std::array<uint8_t, 6>& to, std::array<uint8_t, 4> from_ip, std::array<uint8_t, 4> to_ip, uint16_t from,
                uint16_t port, const Bytes& data) {
    Bytes frame = ethernet(to, 0x0800);
    const size_t total = 28 + data.size();
    const auto high = [](size_t value) { return static_cast<uint8_t>(value >> 8); };
    const auto low = [](size_t value) { return static_cast<uint8_t>(value); };
    frame.insert(frame.end(), {0x45, 0, high(total), low(total), 0, 1, 0, 0, 64, 17, 0, 0});
    frame.insert(frame.end(), from_ip.begin(), from_ip.end());
    frame.insert(frame.end(), to_ip.begin(), to_ip.end());
    frame.insert(frame.end(), {high(from), low(from), high(port), low(port), high(total - 20), low(total - 20), 0, 0});
    frame.insert(frame.end(), data.begin(), data.end());
    write_checksums(frame, frame_layout(frame));
    return frame;
}

void send(UserBackend& backend, const Bytes& bytes) { EXPECT_EQ(send_one(backend, bytes), 1U); }

class UserBackendTest : public ::testing::Test {
  protected:
    std::shared_ptr<UserBackend> start(const UserBackendConfig& config = {}) {
        auto channel = start_network_process(std::filesystem::path(SKEP_BINARY_DIR) / "bin" / "skep-net", PlugMessages::here);
        EXPECT_TRUE(channel) << channel.error().message;
        auto started = UserBackend::start(thread, std::move(*channel), config);
        EXPECT_TRUE(started) << started.error().message;
        if (started) {
            (*started)->attach(&card);
        }
        return started ? *started : nullptr;
    }
    NetThread thread;
    NetCollector card;
};

Bytes dhcp_discover() {
    Bytes data(240);
    data[0] = data[1] = 1;
    data[2] = 6;
    std::copy(k_mac.begin(), k_mac.end(), data.begin() + 28);
    const std::array<uint8_t, 8> cookie_and_type{0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
    std::copy_n(cookie_and_type.begin(), 4, data.begin() + 236);
    data.insert(data.end(), cookie_and_type.begin() + 4, cookie_and_type.end());
    return udp_frame({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {255, 255, 255, 255}, 68, 67, data);
}

TEST_F(UserBackendTest, dhcp_offers_the_first_address) {
    const auto backend = start();
    ASSERT_TRUE(backend);
    send(*backend, dhcp_discover());
    const Bytes offer = card.wait_for([](const Bytes& frame) { return frame.size() > 300 && frame[35] == 67 && frame[37] == 68; });
    ASSERT_FALSE(offer.empty());
    EXPECT_EQ(Bytes(offer.begin() + 58, offer.begin() + 62), (Bytes{10, 0, 2, 15}));  // yiaddr
    backend->attach(nullptr);
}

TEST_F(UserBackendTest, datagram_reaches_the_hosts_loopback_and_the_answer_comes_back) {
    const auto backend = start();
    ASSERT_TRUE(backend);
    Bytes arp = ethernet({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 0x0806);
    arp.insert(arp.end(), {0, 1, 8, 0, 6, 4, 0, 1});
    arp.insert(arp.end(), k_mac.begin(), k_mac.end());
    arp.insert(arp.end(), {10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15});
    arp.resize(60);
    send(*backend, arp);
    const UdpSocket server;
    send(*backend, udp_frame({0x52, 0x55, 10, 0, 2, 2}, {10, 0, 2, 15}, {10, 0, 2, 2}, 4000, server.port, {'a', 's', 'k'}));
    std::array<char, 16> text{};
    sockaddr_in from{};
    socklen_t size = sizeof from;
    pollfd waiting{server.fd.get(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 60'000), 1);
    ASSERT_EQ(recvfrom(server.fd.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &size), 3);
    ASSERT_EQ(sendto(server.fd.get(), "answer", 6, 0, reinterpret_cast<sockaddr*>(&from), size), 6);
    const Bytes answer = card.wait_for([](const Bytes& frame) { return frame.size() >= 48 && frame[36] == 4000 >> 8 && frame[37] == (4000 & 255); });
    ASSERT_GE(answer.size(), 48U);
    EXPECT_EQ(std::string(answer.begin() + 42, answer.begin() + 48), "answer");
    backend->attach(nullptr);
}

TEST_F(UserBackendTest, taken_port_is_said_and_a_free_one_opened_and_closed) {
    const auto backend = start();
    ASSERT_TRUE(backend);
    const UdpSocket taken;
    NetworkForward forward{.protocol = ForwardProtocol::udp, .host_port = taken.port, .guest_address = {}, .guest_port = 53};
    const Status refused = backend->add_forward(forward);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("is taken by another program"), std::string::npos) << refused.error().message;
    {
        const UdpSocket free_soon;
        forward.host_port = free_soon.port;
    }
    EXPECT_TRUE(backend->add_forward(forward));
    EXPECT_FALSE(backend->add_forward(forward));
    EXPECT_TRUE(backend->remove_forward(forward));
    EXPECT_FALSE(backend->remove_forward(forward));
    backend->attach(nullptr);
}

TEST_F(UserBackendTest, process_that_ends_at_once_is_said) {
    auto channel = start_network_process("/bin/false", PlugMessages::here);
    ASSERT_TRUE(channel);
    const auto started = UserBackend::start(thread, std::move(*channel), {});
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("has ended"), std::string::npos);
}

}  // namespace
}  // namespace skep::test
