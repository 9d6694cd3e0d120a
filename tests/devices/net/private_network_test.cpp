// SPDX-License-Identifier: GPL-3.0-or-later
// Private networks: several ends on real sockets, one of them killed, deaf or hostile.
#include "devices/net/private_network.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fstream>
#include <thread>

#include "tests/support/fake_net.hpp"
#include "tests/support/net_collector.hpp"
#include "tests/support/temp_folder.hpp"

namespace skep::test {
namespace {

using Bytes = std::vector<uint8_t>;
using Address = std::array<uint8_t, 6>;
constexpr Address k_everybody{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

bool eventually(const std::function<bool()>& is_so) {
    const auto give_up = std::chrono::steady_clock::now() + k_net_patience;
    while (!is_so() && std::chrono::steady_clock::now() < give_up) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return is_so();
}

// A machine on the network: its card's end and its address.
struct End {
    End(const std::filesystem::path& folder, uint8_t number) : address{0x52, 0x54, 0, 0, 0, number} {
        auto joined = PrivateNetwork::join(thread, folder, "machine " + std::to_string(number));
        EXPECT_TRUE(joined) << joined.error().message;
        network = *joined;
        network->attach(&card);
    }
    ~End() { network->attach(nullptr); }
    Bytes frame(const Address& to, size_t bytes, uint8_t mark) const {
        Bytes made = frame_to(to, bytes);
        std::copy(address.begin(), address.end(), made.begin() + 6);
        made[12] = mark;
        return made;
    }
    void send(const Address& to, uint8_t mark) { EXPECT_EQ(send_one(*network, frame(to, 60, mark)), 1U); }
    bool hears(uint8_t mark) {
        return !card.wait_for([&](const Bytes& bytes) { return bytes[12] == mark; }).empty();
    }
    bool has_heard(uint8_t mark) {
        return std::ranges::any_of(card.frames(), [&](const Bytes& bytes) { return bytes[12] == mark; });
    }
    NetThread thread;
    Address address;
    NetCollector card;
    std::shared_ptr<PrivateNetwork> network;
};

// Who was there before learns of who comes on its own thread; until then its frames for them go nowhere, as on a switch.
void wait_for_acquaintance(const std::vector<const End*>& ends) {
    for (const End* const end : ends) {
        ASSERT_TRUE(eventually([&] { return end->network->others().size() == ends.size() - 1; }));
    }
}

class PrivateNetworkTest : public ::testing::Test {
  protected:
    size_t sockets() const {
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
    }
    // Speaks to whoever listens first, without being one of them.
    Fd intrude() const {
        Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = std::filesystem::directory_iterator(folder.path())->path().string();
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return socket;
    }
    TempFolder folder;
};

TEST_F(PrivateNetworkTest, frames_go_where_their_address_was_seen_and_others_to_all) {
    End first(folder.path(), 1), second(folder.path(), 2), third(folder.path(), 3);
    ASSERT_TRUE(eventually([&] { return first.network->others() == std::vector<std::string>{"machine 2", "machine 3"}; }));
    first.send(k_everybody, 10);
    EXPECT_TRUE(second.hears(10) && third.hears(10));
    second.send(first.address, 11);
    EXPECT_TRUE(first.hears(11));
    first.send(second.address, 12);
    first.send(k_everybody, 13);
    EXPECT_TRUE(second.hears(12) && third.hears(13));
    EXPECT_FALSE(third.has_heard(11) || third.has_heard(12));
    first.send({0x52, 0x54, 0, 9, 9, 9}, 14);  // nobody has shown that address
    EXPECT_TRUE(second.hears(14) && third.hears(14));
}

TEST_F(PrivateNetworkTest, large_frame_arrives_whole_with_its_header) {
    End first(folder.path(), 1), second(folder.path(), 2);
    wait_for_acquaintance({&first, &second});
    const Bytes large = first.frame(second.address, 65'000, 7);
    ASSERT_EQ(send_one(*first.network, large, {.gso_type = net::k_gso_tcp4, .gso_size = 1448}), 1U);
    EXPECT_EQ(second.card.wait_for([](const Bytes&) { return true; }), large);
    EXPECT_EQ(second.card.headers().front().gso_size, 1448);
}

TEST_F(PrivateNetworkTest, killed_machine_is_gone_and_its_socket_is_taken_away) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();  // this program has one thread now
    if (child == 0) {
        const End doomed(folder.path(), 9);
        [[maybe_unused]] const ssize_t told = write(ends[1], "!", 1);
        while (true) {
            pause();
        }
    }
    char there = 0;
    ASSERT_EQ(read(ends[0], &there, 1), 1);
    End first(folder.path(), 1);
    ASSERT_TRUE(eventually([&] { return first.network->others() == std::vector<std::string>{"machine 9"}; }));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(ends[0]);
    close(ends[1]);
    EXPECT_TRUE(eventually([&] { return first.network->others().empty(); }));
    first.send(k_everybody, 1);
    EXPECT_EQ(sockets(), 2U);
    {
        End second(folder.path(), 2);
        EXPECT_EQ(sockets(), 2U);
        second.send(k_everybody, 2);
        EXPECT_TRUE(first.hears(2));
    }
    EXPECT_TRUE(eventually([&] { return first.network->others().empty() && sockets() == 1; }));
}

TEST_F(PrivateNetworkTest, machine_that_takes_nothing_does_not_hold_up_the_others) {
    End first(folder.path(), 1), deaf(folder.path(), 2), third(folder.path(), 3);
    wait_for_acquaintance({&first, &deaf, &third});
    deaf.send(k_everybody, 1);
    third.send(k_everybody, 2);
    ASSERT_TRUE(first.hears(1) && first.hears(2));
    deaf.card.refuse(true);
    const Bytes large = first.frame(deaf.address, 60'000, 3);
    unsigned sent = 0;
    while (sent < 1000 && send_one(*first.network, large) == 1) {
        ++sent;
    }
    ASSERT_LT(sent, 1000U);  // it has refused at last
    ASSERT_TRUE(first.card.wait_for_rooms(1));
    for (unsigned more = 0; more < 1000; ++more) {
        ASSERT_EQ(send_one(*first.network, large), 1U);  // lost, as in a switch
    }
    first.send(third.address, 4);
    EXPECT_TRUE(third.hears(4));
    deaf.card.refuse(false);
    deaf.network->sink_ready();
    ASSERT_TRUE(first.card.wait_for_rooms(2));
    first.send(deaf.address, 5);
    EXPECT_TRUE(deaf.hears(5));
}

TEST_F(PrivateNetworkTest, machines_that_join_at_once_all_find_each_other) {
    for (unsigned round = 0; round < 5; ++round) {
        std::array<std::unique_ptr<End>, 4> ends;
        std::vector<std::thread> threads;
        for (uint8_t index = 0; index < ends.size(); ++index) {
            threads.emplace_back([&, index] { ends[index] = std::make_unique<End>(folder.path(), index); });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        wait_for_acquaintance({ends[0].get(), ends[1].get(), ends[2].get(), ends[3].get()});
    }
}

TEST_F(PrivateNetworkTest, header_that_leads_out_of_its_frame_loses_the_frame) {
    End first(folder.path(), 1), second(folder.path(), 2);
    wait_for_acquaintance({&first, &second});
    const Bytes frame = first.frame(second.address, 60, 1);
    ASSERT_EQ(send_one(*first.network, frame, {.flags = net::k_needs_csum, .csum_start = 50, .csum_offset = 9}), 1U);
    ASSERT_EQ(send_one(*first.network, frame, {.gso_type = net::k_gso_tcp4}), 1U);
    ASSERT_EQ(send_one(*first.network, frame, {.gso_type = net::k_gso_udp, .gso_size = 100}), 1U);
    first.send(second.address, 2);
    EXPECT_TRUE(second.hears(2));
    EXPECT_EQ(second.card.frames().size(), 1U);
}

TEST_F(PrivateNetworkTest, unknown_bits_of_a_header_do_not_arrive) {
    End first(folder.path(), 1), second(folder.path(), 2);
    wait_for_acquaintance({&first, &second});
    const NetHeader header{.flags = 0x60 | net::k_data_valid, .gso_type = net::k_gso_ecn, .num_buffers = 7};
    ASSERT_EQ(send_one(*first.network, first.frame(second.address, 60, 1), header), 1U);
    ASSERT_TRUE(second.hears(1));
    EXPECT_EQ(second.card.headers().front().flags, net::k_data_valid);
    EXPECT_EQ(second.card.headers().front().gso_type, net::k_gso_none);
    EXPECT_EQ(second.card.headers().front().num_buffers, 0);
}

TEST_F(PrivateNetworkTest, intruder_that_speaks_nonsense_is_cut_off) {
    End first(folder.path(), 1);
    const Fd socket = intrude();
    ASSERT_TRUE(eventually([&] { return first.network->others().size() == 1; }));
    const Bytes nonsense(4096, 0xff);
    ASSERT_EQ(send(socket.get(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL), static_cast<ssize_t>(nonsense.size()));
    EXPECT_TRUE(eventually([&] { return first.network->others().empty(); }));
}

TEST_F(PrivateNetworkTest, endless_addresses_of_one_machine_leave_those_of_others_known) {
    End first(folder.path(), 1), flood(folder.path(), 2), third(folder.path(), 3);
    wait_for_acquaintance({&first, &flood, &third});
    third.send(k_everybody, 1);
    ASSERT_TRUE(first.hears(1));
    for (unsigned number = 0; number < 3 * PrivateNetwork::k_most_addresses; ++number) {
        Bytes frame = flood.frame(first.address, 60, 2);
        frame[7] = static_cast<uint8_t>(number >> 8);
        frame[8] = static_cast<uint8_t>(number);
        while (send_one(*flood.network, frame) == 0) {
        }
    }
    flood.send(first.address, 3);
    ASSERT_TRUE(first.hears(3));
    first.send(third.address, 4);
    EXPECT_TRUE(third.hears(4));
    first.send(k_everybody, 5);
    ASSERT_TRUE(flood.hears(5));
    EXPECT_FALSE(flood.has_heard(4));
}

TEST_F(PrivateNetworkTest, folder_that_is_not_there_is_said) {
    NetThread thread;
    const auto joined = PrivateNetwork::join(thread, folder.path() / "nothing", "machine");
    ASSERT_FALSE(joined);
    EXPECT_NE(joined.error().message.find("nothing"), std::string::npos);
}

}  // namespace
}  // namespace skep::test
