// SPDX-License-Identifier: GPL-3.0-or-later
// StartWait: how long a worker that has not answered yet is waited for. Not by the clock alone: on a computer with much else
// to do, a start takes as long as it takes, and as long as it gets on there is nothing wrong with it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace skep {

// How far a worker has come, as seen from outside. They come in this order.
enum class StartStage {
    spawned,    // its process runs and does not hold the machine's lock
    preparing,  // it holds the lock and does not listen
    answering,  // it listens and has not greeted
};

struct StartLimits {
    std::chrono::milliseconds still = std::chrono::seconds(60);  // without any progress
    std::chrono::milliseconds whole = std::chrono::minutes(10);  // with it
    std::chrono::milliseconds quiet = std::chrono::seconds(4);   // before it is said what is waited for
};

class StartWait {
  public:
    using Clock = std::chrono::steady_clock;
    StartWait(StartLimits limits, Clock::time_point now) : m_limits(limits), m_begin(now), m_progress(now) {}

    // What is seen at `now`: the stage, and the processor time that the worker has used since it began. Both are progress.
    void look(Clock::time_point now, StartStage stage, std::chrono::nanoseconds used);

    // Why it is not worth waiting any longer, the end of a sentence: "has ... for 60 seconds".
    [[nodiscard]] std::optional<std::string> over(Clock::time_point now) const;
    // What is being waited for, a sentence's end as well ("has started, but ..."): once it has taken a while, and again for
    // each stage. Nothing when it was said already.
    [[nodiscard]] std::optional<std::string> news(Clock::time_point now);

  private:
    StartLimits m_limits;
    Clock::time_point m_begin;
    Clock::time_point m_progress;
    StartStage m_stage = StartStage::spawned;
    std::chrono::nanoseconds m_used{0};
    std::optional<StartStage> m_told;
};

}  // namespace skep
