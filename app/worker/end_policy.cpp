// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/end_policy.hpp"

namespace skep {
namespace {

EndAction action(AtEnd choice) {
    return choice == AtEnd::restart ? EndAction::restart : EndAction::exit;
}

EndAction action(OnPanic choice) {
    switch (choice) {
        case OnPanic::keep: return EndAction::keep;
        case OnPanic::pause: return EndAction::pause;
        case OnPanic::exit: return EndAction::exit;
        case OnPanic::restart: return EndAction::restart;
    }
    return EndAction::keep;
}

}  // namespace

EndPolicy::EndPolicy(const VmSpec& spec)
    : m_on_reboot(spec.on_reboot),
      m_on_power_off(spec.on_power_off),
      m_on_halt(spec.on_halt),
      m_on_crash(spec.on_crash),
      m_on_panic(spec.on_panic) {}

EndAction EndPolicy::wanted(GuestEnd end) const {
    switch (end) {
        case GuestEnd::reboot: return m_on_reboot == OnReboot::restart ? EndAction::restart : EndAction::exit;
        case GuestEnd::power_off: return m_asked ? EndAction::exit : action(m_on_power_off);
        case GuestEnd::halt: return m_asked ? EndAction::exit : action(m_on_halt);
        case GuestEnd::crash: return action(m_on_crash);
        case GuestEnd::panic: return action(m_on_panic);
    }
    return EndAction::exit;
}

EndAction EndPolicy::decide(GuestEnd end, Nanoseconds uptime) {
    const EndAction first = wanted(end);
    if (first != EndAction::restart) {
        return first;
    }
    const bool soon = uptime - m_started < k_soon;
    m_started = uptime;
    m_asked = false;
    if (end == GuestEnd::reboot || !soon) {  // a guest may reboot as often as it likes
        m_soon = 0;
        return EndAction::restart;
    }
    ++m_soon;
    return m_soon < k_most_soon ? EndAction::restart : EndAction::exit;
}

}  // namespace skep
