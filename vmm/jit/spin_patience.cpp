// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/spin_patience.hpp"

#include <algorithm>
#include <thread>

namespace skep::jit {
namespace {

using namespace std::chrono_literals;

constexpr auto k_in_a_row = 300us;  // with other work between them they take longer
constexpr auto k_shortest = 20us, k_longest = 100us;

}  // namespace

bool SpinPatience::ran_out() {
    const Clock::time_point now = Clock::now();
    const bool in_a_row = now - m_last < k_in_a_row;
    m_last = now;
    if (!in_a_row) {
        m_rest = {};
        return false;
    }
    m_rest = std::clamp<std::chrono::microseconds>(m_rest * 2, k_shortest, k_longest);
    std::this_thread::sleep_for(m_rest);
    m_last = Clock::now();
    return true;
}

}  // namespace skep::jit
