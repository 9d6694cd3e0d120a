// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <random>
#include <thread>
#include <type_traits>

#include "tests/support/temp_folder.hpp"
#include "vmm/control/console_hub.hpp"
#include "vmm/control/stdio_console.hpp"

namespace skep {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// Reads until `size` bytes have come or two seconds have passed.
std::string read_some(int fd, size_t size) {
    std::string all;
    while (all.size() < size) {
        pollfd waiting{fd, POLLIN, 0};
        if (poll(&waiting, 1, 2000) <= 0) {
            break;
        }
        std::array<char, 65536> chunk;
        const ssize_t got = read(fd, chunk.data(), std::min(chunk.size(), size - all.size()));
        if (got <= 0) {
            break;
        }
        all.append(chunk.data(), static_cast<size_t>(got));
    }
    return all;
}

TEST(ByteHistory, keeps_the_last_bytes_in_order) {
    ByteHistory history(8);
    std::string all;
    std::mt19937 random(5);
    for (int round = 0; round < 500; ++round) {
        std::string piece(random() % 12, 'x');
        for (char& character : piece) {
            character = static_cast<char>('a' + random() % 26);
        }
        history.append(bytes_of(piece));
        all += piece;
        std::array<std::byte, 16> out{};
        ASSERT_EQ(history.end(), all.size());
        const size_t kept = history.end() - history.begin();
        ASSERT_EQ(kept, std::min<size_t>(8, all.size()));
        ASSERT_EQ(history.copy(history.begin(), out.data(), out.size()), kept);
        ASSERT_EQ(std::string(reinterpret_cast<char*>(out.data()), kept), all.substr(all.size() - kept));
        ASSERT_EQ(history.copy(history.end(), out.data(), out.size()), 0u);
    }
}

class ConsoleHubTest : public testing::Test {
  protected:
    void SetUp() override { m_thread = std::thread([this] { m_loop.run(); }); }
    void TearDown() override {
        on_loop([&] { m_hub.reset(); });
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
    Fd open(ConsoleReplay replay = ConsoleReplay::with_history) {
        ConsoleLink link = on_loop([&] { return m_hub->open_viewer(replay).value(); });
        m_history_bytes = link.history_bytes;
        return std::move(link.socket);
    }
    std::string take_input(size_t size) {
        std::string taken;
        for (int tries = 0; taken.size() < size && tries < 2000; ++tries) {
            std::array<std::byte, 1000> chunk;
            const size_t count = m_hub->read(chunk.data(), chunk.size());
            taken.append(reinterpret_cast<char*>(chunk.data()), count);
            if (count == 0) {
                std::this_thread::yield();
                poll(nullptr, 0, 1);
            }
        }
        return taken;
    }

    EventLoop m_loop;
    std::unique_ptr<ConsoleHub> m_hub = std::make_unique<ConsoleHub>(m_loop, 64 * 1024);
    std::thread m_thread;
    uint64_t m_history_bytes = 0;  // of the viewer opened last
};

TEST_F(ConsoleHubTest, viewer_gets_history_then_live_bytes) {
    m_hub->write(bytes_of("boot: "));
    const Fd viewer = open();
    EXPECT_EQ(m_history_bytes, 6U);
    EXPECT_EQ(read_some(viewer.get(), 6), "boot: ");
    m_hub->write(bytes_of("linux"));
    EXPECT_EQ(read_some(viewer.get(), 5), "linux");
    const Fd late = open();
    EXPECT_EQ(m_history_bytes, 11U);
    EXPECT_EQ(read_some(late.get(), 11), "boot: linux");
    const Fd live = open(ConsoleReplay::live_only);
    EXPECT_EQ(m_history_bytes, 0U);
    m_hub->write(bytes_of("!"));
    EXPECT_EQ(read_some(live.get(), 1), "!");
}

TEST_F(ConsoleHubTest, input_of_all_viewers_reaches_the_guest) {
    std::promise<void> ready;
    std::atomic<bool> once{false};
    m_hub->set_input_ready([&] {
        if (!once.exchange(true)) {
            ready.set_value();
        }
    });
    const Fd one = open();
    const Fd two = open();
    ASSERT_EQ(write(one.get(), "ab", 2), 2);
    ready.get_future().wait();
    EXPECT_EQ(take_input(2), "ab");
    ASSERT_EQ(write(two.get(), "c", 1), 1);
    EXPECT_EQ(take_input(1), "c");
}

TEST_F(ConsoleHubTest, slow_viewer_loses_the_oldest_bytes_and_the_guest_never_waits) {
    const Fd slow = open();
    std::string all;
    for (int count = 0; count < 60'000; ++count) {
        const std::string line = fmt::format("{:08}\n", count);
        all += line;
        m_hub->write(bytes_of(line));  // would hang here if a viewer could block it
    }
    m_hub->write(bytes_of("END"));
    std::string got;
    while (!got.ends_with("END")) {
        const std::string more = read_some(slow.get(), 3);
        ASSERT_FALSE(more.empty());
        got += more;
    }
    EXPECT_LT(got.size(), all.size());
    EXPECT_EQ(got.substr(got.size() - 10'003), all.substr(all.size() - 10'000) + "END");
}

TEST_F(ConsoleHubTest, flood_of_input_waits_in_the_viewers_socket) {
    const Fd viewer = open();
    fcntl(viewer.get(), F_SETFL, O_NONBLOCK);
    const std::string chunk(1000, 'i');
    size_t sent = 0;
    for (int tries = 0; tries < 3000; ++tries) {
        const ssize_t written = write(viewer.get(), chunk.data(), chunk.size());
        sent += written > 0 ? static_cast<size_t>(written) : 0;
    }
    EXPECT_LT(sent, 3'000'000u);
    EXPECT_EQ(take_input(sent).size(), sent);
}

TEST_F(ConsoleHubTest, closed_viewer_is_forgotten_and_their_number_bounded) {
    std::vector<Fd> viewers;
    for (size_t count = 0; count < ConsoleHub::k_max_viewers; ++count) {
        viewers.push_back(open());
    }
    EXPECT_FALSE(on_loop([&] { return m_hub->open_viewer().has_value(); }));
    viewers.clear();
    for (int tries = 0; tries < 2000 && on_loop([&] { return m_hub->viewer_count(); }) != 0; ++tries) {
        poll(nullptr, 0, 1);
    }
    EXPECT_EQ(on_loop([&] { return m_hub->viewer_count(); }), 0u);
}

TEST_F(ConsoleHubTest, closing_hands_out_what_is_left) {
    const Fd viewer = open();
    m_hub->write(bytes_of("last words"));
    on_loop([&] { m_hub->close(); });
    EXPECT_EQ(read_some(viewer.get(), 100), "last words");
}

TEST(StdioConsole, bytes_go_both_ways_and_end_of_input_is_not_the_end) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    ASSERT_EQ(pipe(in.data()), 0);
    ASSERT_EQ(pipe(out.data()), 0);
    {
        StdioConsole console(in[0], out[1]);
        std::promise<void> ready;
        console.set_input_ready([&] { ready.set_value(); });
        ASSERT_EQ(write(in[1], "hi", 2), 2);
        ready.get_future().wait();
        std::array<std::byte, 8> got{};
        EXPECT_EQ(console.read(got.data(), got.size()), 2u);
        close(in[1]);
        console.write(bytes_of("still here"));
        EXPECT_EQ(read_some(out[0], 10), "still here");
        console.write(bytes_of("flushed"));
    }
    EXPECT_EQ(read_some(out[0], 7), "flushed");
    close(in[0]);
    close(out[0]);
    close(out[1]);
}

TEST(StdioConsole, output_to_a_file_is_complete) {
    const TempFolder folder;
    const Fd out(open((folder / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const Fd in(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::string text(300'000, 'y');
    {
        StdioConsole console(in.get(), out.get());
        console.write(bytes_of(text));
    }
    EXPECT_EQ(std::filesystem::file_size(folder / "out"), text.size());
}

}  // namespace
}  // namespace skep
