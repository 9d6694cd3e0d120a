// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's keyboard and pointer that note what they hear, for tests whose viewers are on other threads.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>

#include "display/input/input_hub.hpp"

namespace skep::test {

class InputNotes final : public KeyboardSink, public PointerSink {
  public:
    void key(KeyCode code, bool down) override { note(fmt::format("{}{} ", down ? "+" : "-", code)); }
    [[nodiscard]] bool absolute() const override { return is_absolute; }
    std::atomic<bool> is_absolute{true};
    [[nodiscard]] bool listening() const override { return true; }
    void move_to(uint32_t x, uint32_t y, uint8_t buttons) override { note(fmt::format("{},{}:{} ", x, y, buttons)); }
    void move_by(int32_t x, int32_t y, uint8_t buttons) override { note(fmt::format("{:+},{:+}:{} ", x, y, buttons)); }
    void wheel(int32_t v, int32_t h, uint8_t) override { note(fmt::format("w{},{} ", v, h)); }
    // What was heard, once it ends so; all of it when it does not within a few seconds.
    std::string wait_for(const std::string& end) {
        std::unique_lock lock(m_mutex);
        m_change.wait_for(lock, std::chrono::seconds(5), [&] { return m_heard.ends_with(end); });
        return m_heard;
    }

  private:
    void note(const std::string& text) {
        const std::lock_guard lock(m_mutex);
        m_heard += text;
        m_change.notify_all();
    }
    std::mutex m_mutex;
    std::condition_variable m_change;
    std::string m_heard;
};

}  // namespace skep::test
