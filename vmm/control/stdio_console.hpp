// SPDX-License-Identifier: GPL-3.0-or-later
// StdioConsole: a serial port on two file descriptors (`skepctl run`, `skep-vmm --stdio`), which may be terminals,
// pipes or files. End of file on the input is not the guest's end.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/control/firmware_wrap.hpp"

namespace skep {

// write, read and set_input_ready have the contract of CharBackend: any thread, never block.
class StdioConsole {
  public:
    static constexpr size_t k_output_bytes = 64 * 1024 * 1024;  // then the oldest are dropped
    static constexpr size_t k_input_bytes = 64 * 1024;          // then the reader waits
    static constexpr size_t k_gathered_bytes = 4096;            // are written at once, fewer a millisecond after the first

    // The descriptors stay the caller's. An output that is a terminal wraps long lines also after the firmware.
    StdioConsole(int input, int output);
    ~StdioConsole();  // flushes for at most two seconds

    void write(std::span<const std::byte> data);
    size_t read(std::byte* to, size_t size);
    void set_input_ready(std::function<void()> ready);

  private:
    void run_reader();
    void run_writer();
    [[nodiscard]] bool write_out(std::span<const std::byte> bytes);

    int m_input_fd;
    int m_output_fd;
    FirmwareWrap m_wrap;  // the writer's
    Fd m_quit;  // eventfd: wakes the threads' polls
    std::mutex m_mutex;
    std::condition_variable m_input_changed;   // its reader waits here
    std::condition_variable m_output_changed;  // its writer, and who waits for the writer's end
    std::deque<std::byte> m_input;
    std::deque<std::byte> m_output;
    std::function<void()> m_input_ready;
    bool m_stop = false;
    bool m_writer_done = false;
    std::thread m_reader;
    std::thread m_writer;
};

}  // namespace skep
