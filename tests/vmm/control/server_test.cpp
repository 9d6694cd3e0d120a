// SPDX-License-Identifier: GPL-3.0-or-later
// Server and client over a real Unix socket, and peers that speak nonsense.
#include "vmm/control/server.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <random>
#include <thread>
#include <type_traits>

#include "tests/support/fake_control.hpp"
#include "tests/support/temp_folder.hpp"
#include "vmm/base/log.hpp"
#include "vmm/control/client.hpp"
#include "vmm/control/runtime_dir.hpp"
#include "vmm/control/socket.hpp"

namespace skep {
namespace {

using std::chrono::milliseconds;

constexpr const char* k_id = "0b54aa8e-3d5c-4c4e-9d3c-6b8f1c2a7e10";

class ServerTest : public testing::Test {
  protected:
    void SetUp() override {
        set_log_level(LogLevel::error);  // the refusals are the point here
        ASSERT_TRUE(m_server->listen(m_socket));
        m_thread = std::thread([this] { m_loop.run(); });
    }
    void TearDown() override {
        on_loop([&] {
            m_server.reset();
            m_hub.close();
        });
        m_loop.quit();
        m_thread.join();
    }
    template <typename Function>
    std::invoke_result_t<Function> on_loop(Function function) {
        std::packaged_task<std::invoke_result_t<Function>()> task(function);
        auto result = task.get_future();
        m_loop.post([&] { task(); });
        return result.get();
    }
    ControlClient connect() {
        auto client = ControlClient::connect(m_socket, "test");
        EXPECT_TRUE(client) << client.error().message;
        return std::move(*client);
    }
    // Sends bytes as a peer that is no client; true when the server then closes the link.
    bool is_closed_after(const std::string& bytes) {
        const Fd fd = connect_unix(m_socket).value();
        for (size_t sent = 0; sent < bytes.size();) {
            pollfd waiting{fd.get(), POLLOUT, 0};
            poll(&waiting, 1, 2000);
            const ssize_t count = send(fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (count < 0) {
                return true;
            }
            sent += static_cast<size_t>(count);
        }
        while (true) {
            pollfd waiting{fd.get(), POLLIN, 0};
            std::array<char, 4096> chunk;
            if (poll(&waiting, 1, 2000) <= 0) {
                return false;
            }
            const ssize_t got = recv(fd.get(), chunk.data(), chunk.size(), 0);
            if (got <= 0) {
                return true;
            }
        }
    }

    TempFolder m_folder;
    std::filesystem::path m_socket = m_folder / "ctl.sock";
    EventLoop m_loop;
    FakeMachineControl m_machine;
    ConsoleHub m_hub{m_loop};
    std::unique_ptr<ControlServer> m_server = std::make_unique<ControlServer>(
        m_loop, m_machine, std::vector<ConsoleHub*>{&m_hub}, ServerIdentity{k_id, "Test", "0.1"});
    std::thread m_thread;
};

TEST_F(ServerTest, greeting_tells_who_answers) {
    const ControlClient client = connect();
    EXPECT_EQ(client.greeting().vm_id, k_id);
    EXPECT_EQ(client.greeting().vm_name, "Test");
    EXPECT_EQ(client.greeting().pid, getpid());
    EXPECT_EQ(client.greeting().version, k_protocol_version);
}

TEST_F(ServerTest, what_disks_use_is_asked_for_until_the_worker_has_looked) {
    m_machine.m_info = R"({"disks": [{"id": "disk0", "host_size": 42}]})";
    m_machine.m_infos_without_use = 2;
    ControlClient client = connect();
    EXPECT_EQ(client.info_with_disks(), R"({"disks":[{"host_size":42,"id":"disk0"}]})");
    EXPECT_EQ(m_machine.m_asked.size(), 3U);
    m_machine.m_infos_without_use = 1'000'000;
    EXPECT_EQ(client.info_with_disks(milliseconds(1)), R"({"disks":[{"id":"disk0"}]})");
}

TEST_F(ServerTest, every_command_reaches_the_machine) {
    ControlClient client = connect();
    for (const MessageType type : {MessageType::pause, MessageType::resume, MessageType::power_button, MessageType::reset,
                                   MessageType::retry, MessageType::power_off}) {
        EXPECT_TRUE(client.command(type)) << describe(type).name;
    }
    EXPECT_TRUE(client.command(MessageType::eject));
    EXPECT_TRUE(client.command(MessageType::insert, {{"drive", std::string("cd0")}, {"file", std::string("/x.iso")}}));
    EXPECT_EQ(m_machine.m_asked, (std::vector<std::string>{"pause", "resume", "power_button", "reset", "retry", "power_off",
                                                           "eject ", "insert cd0 /x.iso"}));
    const auto status = client.status();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->state, MachineState::stopped);
    EXPECT_EQ(status->uptime_ms, 1234u);
    EXPECT_EQ(status->cpu_reason, "no KVM");
    EXPECT_EQ(client.request(MessageType::info)->object("info"), R"({"disks":[{"id":"disk0","written":42}]})");
}

TEST_F(ServerTest, error_travels_with_kind_and_sentence) {
    ControlClient client = connect();
    const Status status = client.command(MessageType::eject, {{"drive", std::string("cd9")}});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::not_found);
    EXPECT_EQ(status.error().message, "The machine has no CD drive 'cd9'.");
}

TEST_F(ServerTest, disk_and_size_reach_the_machine) {
    ControlClient client = connect();
    EXPECT_TRUE(client.command(MessageType::disk_resize, {{"disk", std::string("disk1")}, {"size", int64_t{1} << 40}}));
    EXPECT_EQ(m_machine.m_asked.back(), "resize disk1 1099511627776");
}

TEST_F(ServerTest, sticks_come_are_listed_and_go) {
    ControlClient client = connect();
    const auto attached = client.request(MessageType::usb_attach, {{"file", std::string("/s.img")}, {"read_only", true}});
    ASSERT_TRUE(attached);
    EXPECT_EQ(attached->text("stick"), "usb0");
    EXPECT_EQ(client.request(MessageType::usb_list)->object("sticks"), R"({"usb0":{"file":"/s.img","read_only":true}})");
    EXPECT_EQ(client.request(MessageType::usb_detach)->text("stick"), "usb0");
    EXPECT_EQ(client.request(MessageType::usb_detach).error().kind, ErrorKind::not_found);
}

TEST_F(ServerTest, events_reach_every_client_in_order) {
    ControlClient one = connect();
    ControlClient two = connect();
    m_server->state_changed(MachineState::paused, "asked");
    m_server->cd_changed("cd0", "");
    for (ControlClient* client : {&one, &two}) {
        const auto first = client->wait_event(milliseconds(2000));
        ASSERT_TRUE(first);
        EXPECT_EQ(first->type, MessageType::state_changed);
        EXPECT_EQ(first->text("state"), "paused");
        EXPECT_EQ(client->wait_event(milliseconds(2000))->type, MessageType::cd_changed);
    }
    EXPECT_EQ(one.wait_event(milliseconds(10)).error().kind, ErrorKind::cancelled);
}

TEST_F(ServerTest, event_before_a_reply_is_kept_for_later) {
    ControlClient client = connect();
    m_server->guest_reset();
    ASSERT_TRUE(client.status());
    ASSERT_TRUE(client.status());
    EXPECT_EQ(client.wait_event(milliseconds(2000))->type, MessageType::guest_reset);
}

TEST_F(ServerTest, polling_gives_replies_events_and_descriptors) {
    ControlClient client = connect();
    m_hub.write(std::as_bytes(std::span(std::string_view("hello"))));
    const auto id = client.start_request(MessageType::console_open, {{"port", int64_t{0}}});
    ASSERT_TRUE(id);
    std::vector<Incoming> got;
    while (got.empty()) {
        pollfd waiting{client.fd(), POLLIN, 0};
        ASSERT_EQ(poll(&waiting, 1, 2000), 1);
        got = client.poll().value();
    }
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(std::get<Reply>(got[0]).id, *id);
    const Fd console = client.take_fd();
    ASSERT_TRUE(console);
    pollfd waiting{console.get(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 2000), 1);
    std::array<char, 16> text{};
    EXPECT_EQ(read(console.get(), text.data(), text.size()), 5);
    EXPECT_STREQ(text.data(), "hello");
    EXPECT_FALSE(client.take_fd());
}

TEST_F(ServerTest, console_of_a_missing_port_is_an_error) {
    ControlClient client = connect();
    EXPECT_EQ(client.open_console(3).error().message, "The machine has no serial port 3; it has 1.");
    EXPECT_TRUE(client.open_console(0));
    EXPECT_EQ(client.open_console(0, false).value().history_bytes, 0U);
}

TEST_F(ServerTest, screen_brings_a_socket_or_says_that_there_is_none) {
    ControlClient client = connect();
    const auto socket = client.open_screen();
    ASSERT_TRUE(socket);
    ASSERT_EQ(m_machine.m_screen.m_viewers.size(), 1U);
    ASSERT_EQ(write(m_machine.m_screen.m_viewers[0].get(), "RFB", 3), 3);
    std::array<char, 8> text{};
    EXPECT_EQ(read(socket->get(), text.data(), text.size()), 3);
    EXPECT_STREQ(text.data(), "RFB");
    m_machine.m_has_screen = false;
    EXPECT_EQ(client.open_screen().error().kind, ErrorKind::not_found);
}

TEST_F(ServerTest, screen_and_input_requests_reach_the_machine) {
    ControlClient client = connect();
    EXPECT_EQ(client.request(MessageType::screen_info)->integer("width"), 720);
    EXPECT_EQ(client.request(MessageType::screen_text)->integer("cursor_column"), 7);
    EXPECT_EQ(client.request(MessageType::screen_shot)->integer("height"), 2);
    EXPECT_TRUE(client.take_fd());
    EXPECT_EQ(client.request(MessageType::input_keys, {{"keys", "ret f1"}, {"hold_ms", int64_t{10}}})->integer("wait_ms"), 5);
    EXPECT_TRUE(client.request(MessageType::input_type, {{"text", "ls"}}));
    EXPECT_TRUE(client.request(MessageType::input_click, {{"x", int64_t{1}}, {"y", int64_t{2}}}));
    EXPECT_TRUE(client.command(MessageType::screen_resize, {{"width", int64_t{640}}, {"height", int64_t{480}}}));
    EXPECT_EQ(m_machine.m_screen.m_asked,
              (std::vector<std::string>{"keys ret f1 10", "type ls", "click 1 2 left", "resize 640x480"}));
}

TEST_F(ServerTest, impossible_places_and_times_are_refused_at_the_door) {
    ControlClient client = connect();
    EXPECT_FALSE(client.request(MessageType::input_click, {{"x", int64_t{-1}}, {"y", int64_t{2}}}));
    EXPECT_FALSE(client.request(MessageType::screen_resize, {{"width", int64_t{1} << 40}, {"height", int64_t{1}}}));
    EXPECT_FALSE(client.request(MessageType::input_keys, {{"keys", "a"}, {"hold_ms", int64_t{0}}}));
    EXPECT_FALSE(client.request(MessageType::input_keys, {{"keys", "a"}, {"hold_ms", int64_t{10'001}}}));
    EXPECT_TRUE(m_machine.m_screen.m_asked.empty());
    m_machine.m_has_screen = false;
    EXPECT_EQ(client.request(MessageType::input_type, {{"text", "x"}}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(client.request(MessageType::screen_shot).error().kind, ErrorKind::not_found);
}

TEST_F(ServerTest, too_large_an_answer_becomes_an_error) {
    ControlClient client = connect();
    m_machine.m_info = R"({"x":")" + std::string(k_max_message_bytes, 'x') + R"("})";
    EXPECT_FALSE(client.request(MessageType::info));
    EXPECT_TRUE(client.status());
}

TEST_F(ServerTest, nonsense_closes_the_link_and_spares_the_machine) {
    EXPECT_TRUE(is_closed_after("hello\n"));
    EXPECT_TRUE(is_closed_after("GET / HTTP/1.1\r\n"));
    EXPECT_TRUE(is_closed_after("{\"id\":1,\"do\":\"explode\"}\n"));
    EXPECT_TRUE(is_closed_after(std::string(2 * k_max_message_bytes, 'x')));
    std::mt19937 random(9);
    for (int round = 0; round < 50; ++round) {
        std::string bytes(1 + random() % 300, ' ');
        for (char& byte : bytes) {
            byte = static_cast<char>(random());
        }
        EXPECT_TRUE(is_closed_after(bytes + "\n"));
    }
    EXPECT_TRUE(connect().status());
    EXPECT_TRUE(m_machine.m_asked.empty());
}

TEST_F(ServerTest, reader_that_never_reads_is_dropped) {
    const Fd fd = connect_unix(m_socket).value();
    std::string flood;
    for (int id = 1; id < 2000; ++id) {
        flood += fmt::format("{{\"id\":{},\"do\":\"info\"}}\n", id);
    }
    m_machine.m_info = R"({"x":")" + std::string(100'000, 'x') + R"("})";
    bool closed = false;
    for (int tries = 0; tries < 500 && !closed; ++tries) {
        closed = send(fd.get(), flood.data(), flood.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE;
        poll(nullptr, 0, closed ? 0 : 5);
    }
    EXPECT_TRUE(closed);
    EXPECT_TRUE(connect().status());
}

TEST_F(ServerTest, number_of_links_is_bounded) {
    std::vector<ControlClient> clients;
    for (size_t count = 0; count < ControlServer::k_max_links; ++count) {
        clients.push_back(connect());
    }
    EXPECT_FALSE(ControlClient::connect(m_socket, "test", milliseconds(1000)));
    EXPECT_TRUE(clients.front().status());
}

TEST_F(ServerTest, shut_down_sends_exited_and_removes_the_socket) {
    ControlClient client = connect();
    on_loop([&] { m_server->shut_down(1, "The machine is powered off."); });
    const auto event = client.wait_event(milliseconds(2000));
    ASSERT_TRUE(event);
    EXPECT_EQ(event->type, MessageType::exited);
    EXPECT_EQ(event->integer("code"), 1);
    EXPECT_EQ(client.wait_event(milliseconds(2000)).error().kind, ErrorKind::io);
    EXPECT_FALSE(client.poll());
    EXPECT_GE(client.fd(), 0);
    EXPECT_FALSE(std::filesystem::exists(m_socket));
    EXPECT_EQ(ControlClient::connect(m_socket, "test").error().kind, ErrorKind::not_found);
}

TEST_F(ServerTest, socket_is_private_and_not_taken_from_a_living_server) {
    struct stat info{};
    ASSERT_EQ(stat(m_socket.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    EXPECT_EQ(listen_unix(m_socket).error().kind, ErrorKind::in_use);
}

TEST(Socket, one_left_by_a_dead_worker_is_replaced) {
    const TempFolder folder;
    { const auto dead = listen_unix(folder / "s").value(); }
    ASSERT_TRUE(std::filesystem::exists(folder / "s"));
    EXPECT_TRUE(listen_unix(folder / "s"));
    // One that does not answer is busy, not broken: whoever starts a machine goes on asking.
    const Fd busy = listen_unix(folder / "busy").value();
    std::vector<Fd> waiting;
    Result<Fd> next = connect_unix(folder / "busy");
    for (; next && waiting.size() < 1000; next = connect_unix(folder / "busy")) {
        waiting.push_back(std::move(*next));
    }
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().kind, ErrorKind::cancelled) << next.error().message;
    EXPECT_EQ(listen_unix(folder / "busy").error().kind, ErrorKind::in_use);
    EXPECT_EQ(listen_unix(folder / std::string(120, 'x')).error().kind, ErrorKind::invalid_input);
}

// A listening socket whose owner answers with what the test says.
class FalseWorker {
  public:
    explicit FalseWorker(const std::string& answer) : m_listener(listen_unix(m_folder / "s").value()) {
        m_thread = std::thread([this, answer] {
            pollfd waiting{m_listener.get(), POLLIN, 0};
            poll(&waiting, 1, 5000);
            const Fd link(accept(m_listener.get(), nullptr, nullptr));
            [[maybe_unused]] const ssize_t sent = send(link.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
            waiting = {link.get(), POLLIN, 0};
            std::array<char, 4096> chunk;
            while (poll(&waiting, 1, 5000) > 0 && recv(link.get(), chunk.data(), chunk.size(), 0) > 0) {
            }
        });
    }
    ~FalseWorker() { m_thread.join(); }
    [[nodiscard]] Error connect_error() const {
        return ControlClient::connect(m_folder / "s", "test", milliseconds(100)).error();
    }

  private:
    TempFolder m_folder;
    Fd m_listener;
    std::thread m_thread;
};

TEST(Client, silent_worker_is_given_up_after_the_timeout) {
    EXPECT_EQ(FalseWorker("").connect_error().kind, ErrorKind::cancelled);
    EXPECT_EQ(FalseWorker(R"({"event":"greeting","skep":1,"vm":"x","name":"x","pid":1,"build":"x"})" "\n").connect_error().kind,
              ErrorKind::cancelled);
}

TEST(Client, worker_that_speaks_nonsense_is_refused) {
    EXPECT_EQ(FalseWorker("SSH-2.0\n").connect_error().kind, ErrorKind::protocol);
    EXPECT_EQ(FalseWorker("{\"event\":\"guest_reset\"}\n").connect_error().kind, ErrorKind::protocol);
    EXPECT_EQ(FalseWorker(std::string(3 * k_max_message_bytes / 2, 'x')).connect_error().kind, ErrorKind::protocol);
}

TEST(RuntimeDir, folders_are_private_and_strangers_folders_refused) {
    const TempFolder folder;
    const ScopedEnvironment runtime("XDG_RUNTIME_DIR", folder.path().string());
    const auto path = prepare_socket(k_id);
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(*path, folder / "skep" / k_id / "ctl.sock");
    struct stat info{};
    ASSERT_EQ(stat(path->parent_path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    ASSERT_EQ(chmod((folder / "skep").c_str(), 0755), 0);
    EXPECT_EQ(prepare_socket(k_id).error().kind, ErrorKind::permission);
    EXPECT_EQ(socket_path("../../etc").error().kind, ErrorKind::invalid_input);
    const ScopedEnvironment deep("XDG_RUNTIME_DIR", "/" + std::string(100, 'x'));
    EXPECT_NE(socket_path(k_id).error().message.find("too long"), std::string::npos);
}

TEST(RuntimeDir, unset_variable_falls_back_to_tmp) {
    const ScopedEnvironment runtime("XDG_RUNTIME_DIR", "");
    EXPECT_EQ(runtime_root(), fmt::format("/tmp/skep-{}", geteuid()));
}

}  // namespace
}  // namespace skep
