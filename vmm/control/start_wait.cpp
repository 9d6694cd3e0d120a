// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/start_wait.hpp"

#include <fmt/format.h>

namespace skep {
namespace {

const char* stage_text(StartStage stage) {
    switch (stage) {
        case StartStage::spawned: return "runs, but has not taken the machine yet";
        case StartStage::preparing: return "is still putting the machine together";
        case StartStage::answering: return "has put the machine together, but does not answer yet";
    }
    return "";
}

int64_t whole_seconds(StartWait::Clock::duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

}  // namespace

void StartWait::look(Clock::time_point now, StartStage stage, std::chrono::nanoseconds used) {
    if (stage != m_stage || used > m_used) {
        m_progress = now;
    }
    m_stage = stage;
    m_used = used;
}

std::optional<std::string> StartWait::over(Clock::time_point now) const {
    if (now - m_progress > m_limits.still) {
        return fmt::format("{} and has done nothing for {} seconds", stage_text(m_stage), whole_seconds(now - m_progress));
    }
    if (now - m_begin > m_limits.whole) {
        return fmt::format("{} after {} seconds", stage_text(m_stage), whole_seconds(now - m_begin));
    }
    return std::nullopt;
}

std::optional<std::string> StartWait::news(Clock::time_point now) {
    if (now - m_begin < m_limits.quiet || m_told == m_stage) {
        return std::nullopt;
    }
    m_told = m_stage;
    return stage_text(m_stage);
}

}  // namespace skep
