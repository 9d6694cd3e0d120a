// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/event_loop.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <string>

namespace skep {
namespace {

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{-1, -1};
        EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
        read_end.reset(ends[0]);
        write_end.reset(ends[1]);
    }
    void fill() const { EXPECT_EQ(::write(write_end.get(), "x", 1), 1); }
    void empty() const {
        char byte = 0;
        EXPECT_EQ(::read(read_end.get(), &byte, 1), 1);
    }
    Fd read_end, write_end;
};

TEST(EventLoop, event_reaches_the_callback_of_its_descriptor) {
    EventLoop loop;
    Pipe pipe;
    unsigned calls = 0;
    loop.add(pipe.read_end.get(), EPOLLIN, [&](uint32_t events) {
        EXPECT_TRUE(events & EPOLLIN);
        calls += 1;
        pipe.empty();
        loop.quit();
    });
    pipe.fill();
    loop.run();
    EXPECT_EQ(calls, 1U);
}

TEST(EventLoop, removed_source_is_not_called_for_an_event_already_fetched) {
    EventLoop loop;
    std::array<Pipe, 2> pipes;
    unsigned calls = 0;
    for (Pipe& pipe : pipes) {
        loop.add(pipe.read_end.get(), EPOLLIN, [&](uint32_t) {
            calls += 1;
            loop.remove(pipes[0].read_end.get());
            loop.remove(pipes[1].read_end.get());
            loop.post([&] { loop.quit(); });
        });
        pipe.fill();
    }
    loop.run();
    EXPECT_EQ(calls, 1U);
}

// Both pipes are readable in one batch; the first callback puts a new, empty pipe in the place of the other.
TEST(EventLoop, event_of_a_closed_descriptor_does_not_reach_the_next_owner_of_its_number) {
    EventLoop loop;
    std::array<Pipe, 2> old;
    Pipe fresh;
    unsigned old_calls = 0;
    unsigned fresh_calls = 0;
    const auto replace = [&](const Pipe& other) {
        const int number = other.read_end.get();
        loop.remove(number);
        ASSERT_EQ(dup3(fresh.read_end.get(), number, O_CLOEXEC), number);
        loop.add(number, EPOLLIN, [&](uint32_t) {
            fresh_calls += 1;
            loop.quit();
        });
        loop.after(std::chrono::milliseconds(1), [&] { loop.quit(); });
    };
    for (unsigned index = 0; index < old.size(); ++index) {
        loop.add(old[index].read_end.get(), EPOLLIN, [&, index](uint32_t) {
            old_calls += 1;
            loop.remove(old[index].read_end.get());
            replace(old[1 - index]);
        });
        old[index].fill();
    }
    loop.run();
    EXPECT_EQ(old_calls, 1U);
    EXPECT_EQ(fresh_calls, 0U);
}

TEST(EventLoop, replaced_source_gets_its_own_events_after_modify) {
    EventLoop loop;
    Pipe pipe;
    unsigned calls = 0;
    const int fd = pipe.read_end.get();
    loop.add(fd, EPOLLIN, [](uint32_t) { FAIL() << "this one was removed"; });
    loop.remove(fd);
    loop.add(fd, 0, [&](uint32_t) {
        calls += 1;
        loop.quit();
    });
    loop.modify(fd, EPOLLIN);
    pipe.fill();
    loop.run();
    EXPECT_EQ(calls, 1U);
}

TEST(EventLoop, posted_task_and_cancelled_delay) {
    EventLoop loop;
    std::string order;
    const uint64_t cancelled = loop.after(std::chrono::milliseconds(0), [&] { order += 'x'; });
    loop.post([&] {
        order += 'a';
        loop.cancel_after(cancelled);
        loop.after(std::chrono::milliseconds(1), [&] {
            order += 'b';
            loop.quit();
        });
    });
    loop.run();
    EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace skep
