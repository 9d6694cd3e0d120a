// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/start_wait.hpp"

#include <gmock/gmock.h>

namespace skep {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Optional;

class StartWaitTest : public testing::Test {
  protected:
    [[nodiscard]] auto at(seconds time) const { return m_begin + time; }

    StartWait::Clock::time_point m_begin{};
    StartWait m_wait{{.still = seconds(60), .whole = seconds(600), .quiet = seconds(4)}, m_begin};
};

TEST_F(StartWaitTest, worker_that_uses_its_processor_a_little_is_waited_for) {
    for (int time = 0; time <= 590; time += 59) {
        m_wait.look(at(seconds(time)), StartStage::preparing, nanoseconds(1 + time));
        EXPECT_EQ(m_wait.over(at(seconds(time))), std::nullopt) << time;
    }
    EXPECT_THAT(m_wait.over(at(seconds(601))), Optional(HasSubstr("still putting the machine together after 601 seconds")));
}

TEST_F(StartWaitTest, worker_that_does_nothing_is_given_up) {
    m_wait.look(at(seconds(10)), StartStage::preparing, milliseconds(100));
    m_wait.look(at(seconds(70)), StartStage::preparing, milliseconds(100));
    EXPECT_EQ(m_wait.over(at(seconds(70))), std::nullopt);
    m_wait.look(at(seconds(71)), StartStage::preparing, milliseconds(100));
    EXPECT_THAT(m_wait.over(at(seconds(71))), Optional(HasSubstr("done nothing for 61 seconds")));
}

TEST_F(StartWaitTest, next_stage_is_progress_without_processor_time) {
    m_wait.look(at(seconds(50)), StartStage::preparing, nanoseconds(0));
    m_wait.look(at(seconds(100)), StartStage::answering, nanoseconds(0));
    EXPECT_EQ(m_wait.over(at(seconds(150))), std::nullopt);
    EXPECT_NE(m_wait.over(at(seconds(161))), std::nullopt);
}

TEST_F(StartWaitTest, what_is_waited_for_is_said_late_and_once_a_stage) {
    EXPECT_EQ(m_wait.news(at(seconds(3))), std::nullopt);
    EXPECT_THAT(m_wait.news(at(seconds(4))), Optional(HasSubstr("not taken the machine")));
    EXPECT_EQ(m_wait.news(at(seconds(5))), std::nullopt);
    m_wait.look(at(seconds(6)), StartStage::answering, nanoseconds(0));
    EXPECT_THAT(m_wait.news(at(seconds(6))), Optional(HasSubstr("does not answer yet")));
    EXPECT_EQ(m_wait.news(at(seconds(60))), std::nullopt);
}

}  // namespace
}  // namespace skep
