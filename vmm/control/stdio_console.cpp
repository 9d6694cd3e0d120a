// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/stdio_console.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace skep {

StdioConsole::StdioConsole(int input, int output)
    : m_input_fd(input), m_output_fd(output), m_quit(eventfd(0, EFD_CLOEXEC)) {
    m_writer = std::thread([this] { run_writer(); });
}

StdioConsole::~StdioConsole() {
    {
        std::unique_lock lock(m_mutex);
        m_stop = true;
        m_input_changed.notify_all();
        m_output_changed.notify_all();
        m_output_changed.wait_for(lock, std::chrono::seconds(2), [&] { return m_writer_done; });
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t woken = ::write(m_quit.get(), &one, sizeof one);
    if (m_reader.joinable()) {
        m_reader.join();
    }
    m_writer.join();
}

void StdioConsole::write(std::span<const std::byte> data) {
    const std::lock_guard lock(m_mutex);
    if (m_writer_done) {
        return;  // the reader of our output has gone
    }
    const size_t before = m_output.size();
    m_output.insert(m_output.end(), data.begin(), data.end());
    const bool matters = before == 0 || (before < k_gathered_bytes && m_output.size() >= k_gathered_bytes);
    if (m_output.size() > k_output_bytes) {
        m_output.erase(m_output.begin(), m_output.end() - static_cast<std::ptrdiff_t>(k_output_bytes));
    }
    if (matters) {
        m_output_changed.notify_all();
    }
}

size_t StdioConsole::read(std::byte* to, size_t size) {
    const std::lock_guard lock(m_mutex);
    const size_t count = std::min(size, m_input.size());
    std::copy_n(m_input.begin(), count, to);
    m_input.erase(m_input.begin(), m_input.begin() + static_cast<std::ptrdiff_t>(count));
    if (count != 0) {
        m_input_changed.notify_all();
    }
    return count;
}

void StdioConsole::set_input_ready(std::function<void()> ready) {
    {
        const std::lock_guard lock(m_mutex);
        m_input_ready = std::move(ready);
    }
    // Not before somebody listens: input that came earlier would wait for ever.
    if (!m_reader.joinable()) {
        m_reader = std::thread([this] { run_reader(); });
    }
}

void StdioConsole::run_reader() {
    std::array<std::byte, 4096> chunk;
    while (true) {
        {
            std::unique_lock lock(m_mutex);
            m_input_changed.wait(lock, [&] { return m_stop || m_input.size() < k_input_bytes; });
            if (m_stop) {
                return;
            }
        }
        std::array<pollfd, 2> waiting{pollfd{m_input_fd, POLLIN, 0}, pollfd{m_quit.get(), POLLIN, 0}};
        if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) {
            return;
        }
        if (waiting[1].revents != 0) {
            return;
        }
        if (waiting[0].revents == 0) {
            continue;
        }
        const ssize_t got = ::read(m_input_fd, chunk.data(), chunk.size());
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
            return;  // end of file: the guest goes on without input
        }
        std::function<void()> ready;
        {
            const std::lock_guard lock(m_mutex);
            m_input.insert(m_input.end(), chunk.begin(), chunk.begin() + std::max<ssize_t>(got, 0));
            ready = m_input_ready;
        }
        if (ready) {
            ready();
        }
    }
}

// False when nobody takes the output any more.
bool StdioConsole::write_out(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        std::array<pollfd, 2> waiting{pollfd{m_output_fd, POLLOUT, 0}, pollfd{m_quit.get(), POLLIN, 0}};
        poll(waiting.data(), waiting.size(), -1);
        if (waiting[1].revents != 0) {
            return false;  // not within the time given
        }
        // A pipe that polls writable takes PIPE_BUF (4096) bytes without blocking.
        const ssize_t written = ::write(m_output_fd, bytes.data(), std::min<size_t>(bytes.size(), 4096));
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        bytes = bytes.subspan(static_cast<size_t>(std::max<ssize_t>(written, 0)));
    }
    return true;
}

void StdioConsole::run_writer() {
    std::array<std::byte, 16 * 1024> chunk;
    const bool to_terminal = isatty(m_output_fd) != 0;
    std::unique_lock lock(m_mutex);
    bool open = true;
    while (open) {
        m_output_changed.wait(lock, [&] { return m_stop || !m_output.empty(); });
        // A guest writes byte by byte: to wake this thread for each would cost both sides more than the byte.
        m_output_changed.wait_for(lock, std::chrono::milliseconds(1),
                                  [&] { return m_stop || m_output.size() >= k_gathered_bytes; });
        if (m_output.empty()) {
            break;
        }
        const size_t count = std::min(chunk.size(), m_output.size());
        std::copy_n(m_output.begin(), count, chunk.begin());
        m_output.erase(m_output.begin(), m_output.begin() + static_cast<std::ptrdiff_t>(count));
        lock.unlock();
        const std::span<const std::byte> bytes = std::span(chunk).first(count);
        if (to_terminal) {
            const std::string wrapped = m_wrap.pass({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            open = write_out(std::as_bytes(std::span(wrapped)));
        } else {
            open = write_out(bytes);
        }
        lock.lock();
    }
    m_output.clear();
    m_writer_done = true;
    m_output_changed.notify_all();
}

}  // namespace skep
