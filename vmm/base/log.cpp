// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/log.hpp"

#include <spdlog/spdlog.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <chrono>

#include "vmm/base/log_file.hpp"

namespace skep {
namespace {

constexpr uint32_t k_lines_per_second = 5;
std::atomic<LogFileLimit*> g_limit{nullptr};

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>("skep", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%Y-%m-%d %H:%M:%S.%e %L %v");
        made->set_level(spdlog::level::info);
        made->flush_on(spdlog::level::info);
        return made;
    }();
    return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warning: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

}  // namespace

void log_line(LogLevel level, std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte < 0x20 || byte == 0x7f) {
            clean += fmt::format("\\x{:02x}", byte);
        } else {
            clean += character;
        }
    }
    logger().log(to_spdlog(level), clean);
    if (LogFileLimit* const limit = g_limit.load(std::memory_order_acquire)) {
        limit->check();
    }
}

void limit_log_file(const std::filesystem::path& file, uint64_t most) {
    static LogFileLimit limit(file, STDERR_FILENO, most);
    g_limit.store(&limit, std::memory_order_release);
}

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

bool GuestErrorLog::admit() {
    using std::chrono::steady_clock;
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now().time_since_epoch()).count();
    const auto second = static_cast<uint64_t>(now);
    if (m_window.exchange(second, std::memory_order_relaxed) != second) {
        m_in_window.store(0, std::memory_order_relaxed);
    }
    return m_in_window.fetch_add(1, std::memory_order_relaxed) < k_lines_per_second;
}

}  // namespace skep
