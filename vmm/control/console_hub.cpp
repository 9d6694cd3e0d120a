// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/console_hub.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace skep {

void ByteHistory::append(std::span<const std::byte> data) {
    m_end += data.size();
    if (data.size() >= m_capacity) {
        const auto last = data.last(m_capacity);
        m_bytes.assign(last.begin(), last.end());
        m_head = 0;
        return;
    }
    const size_t room = std::min(m_capacity - m_bytes.size(), data.size());
    m_bytes.insert(m_bytes.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(room));
    for (const std::byte byte : data.subspan(room)) {
        m_bytes[m_head] = byte;
        m_head = m_head + 1 == m_capacity ? 0 : m_head + 1;
    }
}

size_t ByteHistory::copy(uint64_t position, std::byte* to, size_t size) const {
    const uint64_t offset = position - begin();
    if (position < begin() || position >= m_end) {
        return 0;
    }
    const size_t count = std::min<uint64_t>(size, m_end - position);
    for (size_t done = 0; done < count;) {
        const size_t at = (m_head + offset + done) % m_bytes.size();
        const size_t run = std::min(count - done, m_bytes.size() - at);
        std::memcpy(to + done, m_bytes.data() + at, run);
        done += run;
    }
    return count;
}

// A viewer's unread bytes are not copied: it reads along the history, and jumps forward when it has fallen behind it.
struct ConsoleHub::Viewer {
    Fd fd;
    uint64_t position = 0;
    bool wants_write = false;
    bool input_paused = false;
};

ConsoleHub::ConsoleHub(EventLoop& loop, size_t history_bytes)
    : m_loop(loop), m_alive(std::make_shared<bool>(true)), m_history(history_bytes) {}

ConsoleHub::~ConsoleHub() { close(); }

void ConsoleHub::write(std::span<const std::byte> data) {
    bool post = false;
    {
        const std::lock_guard lock(m_mutex);
        m_history.append(data);
        post = !std::exchange(m_flush_posted, true);
    }
    if (post) {
        m_loop.post([this, alive = m_alive] {
            if (*alive) {
                flush_all();
            }
        });
    }
}

size_t ConsoleHub::read(std::byte* to, size_t size) {
    size_t count = 0;
    bool post = false;
    {
        const std::lock_guard lock(m_mutex);
        count = std::min(size, m_input.size());
        std::copy_n(m_input.begin(), count, to);
        m_input.erase(m_input.begin(), m_input.begin() + static_cast<std::ptrdiff_t>(count));
        if (m_input_full && m_input.size() < k_input_bytes / 2) {
            m_input_full = false;
            post = !std::exchange(m_take_posted, true);
        }
    }
    if (post) {
        m_loop.post([this, alive = m_alive] {
            if (*alive) {
                take_all_input();
            }
        });
    }
    return count;
}

void ConsoleHub::set_input_ready(std::function<void()> ready) {
    const std::lock_guard lock(m_mutex);
    m_input_ready = std::move(ready);
}

Result<ConsoleLink> ConsoleHub::open_viewer(ConsoleReplay replay) {
    if (m_viewers.size() >= k_max_viewers) {
        return fail(ErrorKind::in_use, "The console has {} viewers already; close one of them.", k_max_viewers);
    }
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
        return fail_errno(errno, "Cannot open a console connection");
    }
    auto viewer = std::make_unique<Viewer>();
    viewer->fd.reset(pair[0]);
    ConsoleLink link{Fd(pair[1])};
    {
        const std::lock_guard lock(m_mutex);
        viewer->position = replay == ConsoleReplay::with_history ? m_history.begin() : m_history.end();
        link.history_bytes = m_history.end() - viewer->position;
    }
    m_loop.add(pair[0], EPOLLIN, [this, fd = pair[0]](uint32_t events) { on_ready(fd, events); });
    Viewer& added = *(m_viewers[pair[0]] = std::move(viewer));
    flush(added);
    return link;
}

void ConsoleHub::close() {
    *m_alive = false;
    for (auto& [fd, viewer] : m_viewers) {
        flush(*viewer);
        m_loop.remove(fd);
    }
    m_viewers.clear();
}

size_t ConsoleHub::viewer_count() const { return m_viewers.size(); }

void ConsoleHub::flush_all() {
    {
        const std::lock_guard lock(m_mutex);
        m_flush_posted = false;
    }
    for (auto& [fd, viewer] : m_viewers) {
        flush(*viewer);
    }
}

void ConsoleHub::flush(Viewer& viewer) {
    std::array<std::byte, 16 * 1024> chunk;
    // At most one history's worth a call: another thread may write as fast as we send.
    for (size_t rounds = 0; rounds < k_history_bytes / chunk.size() + 1; ++rounds) {
        size_t count = 0;
        {
            const std::lock_guard lock(m_mutex);
            viewer.position = std::max(viewer.position, m_history.begin());
            count = m_history.copy(viewer.position, chunk.data(), chunk.size());
        }
        if (count == 0) {
            break;
        }
        const ssize_t sent = send(viewer.fd.get(), chunk.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            const bool full = errno == EAGAIN;  // a dead viewer is noticed by EPOLLHUP
            if (viewer.wants_write != full) {
                viewer.wants_write = full;
                watch(viewer);
            }
            return;
        }
        viewer.position += static_cast<size_t>(sent);
    }
    bool more = false;
    {
        const std::lock_guard lock(m_mutex);
        more = viewer.position < m_history.end();
    }
    if (viewer.wants_write != more) {
        viewer.wants_write = more;
        watch(viewer);
    }
}

void ConsoleHub::watch(Viewer& viewer) {
    m_loop.modify(viewer.fd.get(), (viewer.input_paused ? 0U : static_cast<uint32_t>(EPOLLIN)) |
                                       (viewer.wants_write ? static_cast<uint32_t>(EPOLLOUT) : 0U));
}

void ConsoleHub::on_ready(int fd, uint32_t events) {
    const auto found = m_viewers.find(fd);
    if (found == m_viewers.end()) {
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        flush(*found->second);
    }
    const bool hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (hung_up && found->second->input_paused) {
        drop(fd);  // nobody is there, and its input cannot be taken now: do not spin on the hang-up
    } else if (hung_up || (events & EPOLLIN) != 0) {
        take_input(*found->second);  // may drop the viewer
    }
}

void ConsoleHub::take_input(Viewer& viewer) {
    std::array<std::byte, 4096> chunk;
    std::function<void()> ready;
    bool gone = false;
    {
        const std::lock_guard lock(m_mutex);
        const size_t room = k_input_bytes - std::min(k_input_bytes, m_input.size());
        if (room == 0) {
            m_input_full = true;
            viewer.input_paused = true;
        } else {
            const ssize_t got = recv(viewer.fd.get(), chunk.data(), std::min(room, chunk.size()), MSG_DONTWAIT);
            gone = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
            if (got > 0) {
                m_input.insert(m_input.end(), chunk.begin(), chunk.begin() + got);
                ready = m_input_ready;
            }
        }
    }
    if (gone) {
        drop(viewer.fd.get());
    } else if (viewer.input_paused) {
        watch(viewer);
    }
    if (ready) {
        ready();
    }
}

void ConsoleHub::take_all_input() {
    {
        const std::lock_guard lock(m_mutex);
        m_take_posted = false;
    }
    for (auto& [fd, viewer] : m_viewers) {
        if (viewer->input_paused) {
            viewer->input_paused = false;
            watch(*viewer);  // level triggered: waiting bytes come as the next event
        }
    }
}

void ConsoleHub::drop(int fd) {
    m_loop.remove(fd);
    m_viewers.erase(fd);
}

}  // namespace skep
