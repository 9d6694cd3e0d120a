// SPDX-License-Identifier: GPL-3.0-or-later
// Logging: one process-wide spdlog sink (standard error or the bundle's log file), and rate-limited
// reports of guest nonsense.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace skep {

enum class LogLevel { debug, info, warning, error };

// Any thread. Text is one line; control characters are escaped by the sink.
void log_line(LogLevel level, std::string_view text);
void set_log_level(LogLevel level);
// When standard error is `file`, the file never grows much beyond `most` bytes: then the newer half is kept and the rest
// forgotten. Otherwise (a terminal, a pipe, another file) nothing happens. Once, before other threads log.
void limit_log_file(const std::filesystem::path& file, uint64_t most);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

// Counts what a guest did wrong to one device and logs the first few of each second: the guest must
// not be able to fill the host's disk with log lines. Any thread.
class GuestErrorLog {
  public:
    explicit GuestErrorLog(std::string device) : m_device(std::move(device)) {}

    template <typename... Args>
    void report(fmt::format_string<Args...> format, Args&&... args) {
        m_count.fetch_add(1, std::memory_order_relaxed);
        if (admit()) {
            log_line(LogLevel::warning, m_device + ": guest error: " + fmt::format(format, std::forward<Args>(args)...));
        }
    }
    [[nodiscard]] uint64_t count() const { return m_count.load(std::memory_order_relaxed); }

  private:
    bool admit();

    std::string m_device;
    std::atomic<uint64_t> m_count{0};
    std::atomic<uint64_t> m_window{0};      // second in which lines are being counted
    std::atomic<uint32_t> m_in_window{0};
};

}  // namespace skep
