// SPDX-License-Identifier: GPL-3.0-or-later
// StreamPace: how many frames of a stream have fallen due by the guest's clock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vmm/base/clock.hpp"
#include "vmm/device/state_io.hpp"

namespace skep {

class StreamPace {
  public:
    // What falls due while nobody looks is forgotten beyond this: the host has run dry by then, and the guest, which
    // may keep no more ready than this, should not be raced.
    static constexpr Nanoseconds k_longest_debt = 40'000'000;

    void start(Nanoseconds now) {
        m_last = now;
        m_credit = 0;
    }
    // rate: frames a second, below 2^20. ppm: how much faster than that.
    [[nodiscard]] uint64_t due(Nanoseconds now, uint32_t rate, int32_t ppm) {
        const Nanoseconds passed = now > m_last ? std::min(now - m_last, k_longest_debt) : 0;
        const int64_t corrected = static_cast<int64_t>(passed) + static_cast<int64_t>(passed) * ppm / 1'000'000;
        m_last = now;
        m_credit = std::min(m_credit + static_cast<uint64_t>(std::max<int64_t>(corrected, 0)) * rate, k_longest_debt * rate);
        return m_credit / k_second;
    }
    // frames: no more than were due.
    void spend(uint64_t frames) { m_credit -= std::min(frames * k_second, m_credit); }
    // The host cannot take (or has not got) what is due: the stream then goes at the host's pace.
    void forgive() { m_credit %= k_second; }
    // Until so many more frames are due than now.
    [[nodiscard]] Nanoseconds until(uint64_t frames, uint32_t rate) const {
        const uint64_t wanted = frames * k_second;
        return wanted <= m_credit ? 0 : (wanted - m_credit + rate - 1) / rate;
    }

    void save(StateWriter& writer) const {
        writer.put(m_last);
        writer.put(m_credit);
    }
    void load(StateReader& reader) {
        reader.get(m_last);
        m_credit = std::min(reader.get<uint64_t>(), k_longest_debt << 20);
    }

  private:
    static constexpr uint64_t k_second = 1'000'000'000;
    Nanoseconds m_last = 0;
    uint64_t m_credit = 0;  // frames times 10^9
};

}  // namespace skep
