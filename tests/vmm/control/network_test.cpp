// SPDX-License-Identifier: GPL-3.0-or-later
// Networks that change while a machine runs: which requests that takes, descriptors on their way, and what cannot be opened.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/support/fake_control.hpp"
#include "tests/support/temp_folder.hpp"
#include "vmm/control/network_changes.hpp"
#include "vmm/control/network_control.hpp"
#include "vmm/control/network_plug.hpp"
#include "vmm/control/runtime_dir.hpp"
#include "vmm/control/server.hpp"
#include "vmm/spec/network_forward.hpp"

namespace skep {
namespace {

VmSpec with_card(NetworkBackend backend, const std::string& network = "") {
    VmSpec spec;
    NetworkSpec& card = add_network(spec);
    card.backend = backend;
    card.network = network;
    return spec;
}

std::vector<MessageType> types(const std::vector<NetworkChange>& changes) {
    std::vector<MessageType> all;
    for (const NetworkChange& change : changes) {
        all.push_back(change.type);
    }
    return all;
}

TEST(NetworkChanges, new_connection_comes_first_and_then_all_its_forwards) {
    const VmSpec before = with_card(NetworkBackend::socket, "lab");
    VmSpec after = with_card(NetworkBackend::user);
    after.networks[0].forwards = {"2222:22"};
    after.networks[0].link = false;
    EXPECT_EQ(types(network_changes(before, after)),
              (std::vector{MessageType::network_plug, MessageType::network_link, MessageType::network_forward}));
    EXPECT_EQ(types(network_changes(after, before)), (std::vector{MessageType::network_plug, MessageType::network_link}));
}

TEST(NetworkChanges, only_what_the_back_end_looks_at_moves_the_cable) {
    VmSpec before = with_card(NetworkBackend::user);
    VmSpec after = with_card(NetworkBackend::user, "lab");
    EXPECT_TRUE(network_changes(before, after).empty());
    after.networks[0].restricted = true;
    EXPECT_EQ(types(network_changes(before, after)), std::vector{MessageType::network_plug});
    before = with_card(NetworkBackend::socket, "lab");
    EXPECT_EQ(types(network_changes(before, with_card(NetworkBackend::socket, "other"))), std::vector{MessageType::network_plug});
}

// Remembers where the cable was plugged in, and which file it got for that.
class FakeNetworks final : public FakeMachineControl, public NetworkControl {
  public:
    NetworkControl* network() override { return this; }
    Status change_forward(const std::string&, ForwardAction action, const std::string& forward) override {
        m_asked.push_back((action == ForwardAction::add ? "add " : "remove ") + forward);
        return forward == "1:1" ? Status(fail(ErrorKind::in_use, "Port 1 is taken.")) : Status();
    }
    Status set_link(const std::string&, bool up) override {
        m_asked.emplace_back(up ? "up" : "down");
        return {};
    }
    Status plug(const NetworkSpec& into, Fd descriptor) override {
        struct stat info{};
        m_got_null = descriptor.valid() && fstat(descriptor.get(), &info) == 0 && S_ISCHR(info.st_mode);
        m_asked.push_back(describe_connection(into));
        return {};
    }
    bool m_got_null = false;
};

class NetworkRequestTest : public ::testing::Test {
  protected:
    NetworkRequestTest() {
        EXPECT_TRUE(m_server.listen(m_folder / "ctl.sock"));
        m_thread = std::thread([this] { m_loop.run(); });
    }
    ~NetworkRequestTest() override {
        m_loop.quit();
        m_thread.join();
    }
    ControlClient client() { return std::move(*ControlClient::connect(m_folder / "ctl.sock", "test")); }
    TempFolder m_folder;
    EventLoop m_loop;
    FakeNetworks m_machine;
    ControlServer m_server{m_loop, m_machine, {}, {}};
    std::thread m_thread;
};

TEST_F(NetworkRequestTest, descriptor_travels_with_its_request) {
    ControlClient one = client();
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    const MessageValues values{{"card", "net0"}, {"backend", "tap"}, {"network", "br0"}};
    EXPECT_TRUE(one.command(MessageType::network_plug, values, null));
    EXPECT_TRUE(m_machine.m_got_null);
    EXPECT_EQ(m_machine.m_asked, std::vector<std::string>{"'br0' of this computer"});
    const Status without = one.command(MessageType::network_plug, values);
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().kind, ErrorKind::protocol);
    EXPECT_FALSE(one.command(MessageType::network_plug, {{"card", "net0"}, {"backend", "socket"}, {"network", "../x"}}));
    EXPECT_FALSE(one.command(MessageType::network_plug, {{"card", "net0"}, {"backend", "moon"}}));
}

TEST_F(NetworkRequestTest, sender_of_endless_descriptors_loses_its_link) {
    ControlClient one = client();
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    Status still;
    for (unsigned count = 0; count <= ControlServer::k_max_passed && still; ++count) {
        still = one.command(MessageType::status, {}, null);
    }
    EXPECT_FALSE(still);
    EXPECT_TRUE(client().status());
}

TEST_F(NetworkRequestTest, what_is_refused_takes_back_what_was_done_before) {
    ControlClient one = client();
    const VmSpec before = with_card(NetworkBackend::socket, "lab");
    VmSpec after = with_card(NetworkBackend::socket, "other");
    EXPECT_TRUE(apply_network_changes(one, before, after));
    EXPECT_EQ(m_machine.m_asked, std::vector<std::string>{"private network 'other'"});
    m_machine.m_asked.clear();
    VmSpec open = with_card(NetworkBackend::user);
    VmSpec taken = open;
    taken.networks[0].forwards = {"2:2", "1:1"};
    const Status refused = apply_network_changes(one, open, taken);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::in_use);
    EXPECT_EQ(m_machine.m_asked, (std::vector<std::string>{"add 2:2", "add 1:1", "remove 2:2", "remove 1:1"}));
}

TEST(NetworkPlug, interface_that_is_not_there_and_one_that_is_no_tap_are_said) {
    const auto nothing = open_tap("skep-none-such");
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error().message, "This host has no network interface 'skep-none-such'; choose an existing tap or bridge.");
    const auto loopback = open_tap("lo");
    ASSERT_FALSE(loopback);
    EXPECT_EQ(std::ranges::count(loopback.error().message, '\n'), 0);
}

TEST(NetworkPlug, program_that_is_not_there_is_said) {
    const auto started = start_network_process("/nonexistent/skep-net", PlugMessages::here);
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("/nonexistent/skep-net"), std::string::npos);
}

TEST(NetworkPlug, started_program_holds_nothing_of_a_caller_that_may_be_gone) {
    const TempFolder folder;
    const std::filesystem::path program = folder / "program";
    std::ofstream(program) << "#!/bin/sh\nsleep 3 &\n";  // it goes on
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);  // like the pipe to whoever reads a command's errors
    const Fd reader(ends[0]);
    const int before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    fcntl(reader.get(), F_SETFD, FD_CLOEXEC);
    const auto started = start_network_process(program, PlugMessages::nowhere);
    dup2(before, STDERR_FILENO);
    close(before);
    ASSERT_TRUE(started);
    pollfd waiting{reader.get(), POLLIN, 0};
    EXPECT_EQ(poll(&waiting, 1, 0), 1);
    EXPECT_NE(waiting.revents & POLLHUP, 0);
}

TEST(NetworkPlug, private_network_has_a_folder_of_its_own_that_is_closed_to_others) {
    const TempFolder runtime;
    const ScopedEnvironment variable("XDG_RUNTIME_DIR", runtime.path().string());
    const auto folder = prepare_network_folder("lab");
    ASSERT_TRUE(folder) << folder.error().message;
    EXPECT_EQ(*folder, runtime.path() / "skep" / "networks" / "lab");
    EXPECT_EQ(std::filesystem::status(*folder).permissions() & std::filesystem::perms::all, std::filesystem::perms::owner_all);
    EXPECT_EQ(prepare_network_folder("lab").value_or(""), *folder);
}

}  // namespace
}  // namespace skep
