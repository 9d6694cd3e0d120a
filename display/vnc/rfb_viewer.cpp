// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/rfb_viewer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace skep {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

RfbViewer::RfbViewer(Screen& screen, InputHub& input, RfbSession::Config config, std::function<void()> gone)
    : m_socket(fcntl(config.socket.get(), F_DUPFD_CLOEXEC, 0)),
      m_thread([this, &screen, &input, config = std::move(config), gone = std::move(gone)]() mutable {
          {
              RfbSession session(screen, input, std::move(config));
              if (m_socket && session.connect(steady_clock::now())) {
                  serve(session);
              }
          }
          gone();
      }) {}

RfbViewer::~RfbViewer() {
    ::shutdown(m_socket.get(), SHUT_RDWR);
    m_thread.join();
}

void RfbViewer::serve(RfbSession& session) const {
    constexpr milliseconds k_longest{10'000};
    while (session.alive()) {
        const auto now = steady_clock::now();
        const auto wake = session.wake_time(now);
        int timeout = -1;
        if (wake != RfbSession::Time::max()) {
            timeout = static_cast<int>(std::clamp(std::chrono::ceil<milliseconds>(wake - now), milliseconds(0), k_longest).count());
        }
        pollfd ready{m_socket.get(), session.wake_events(), 0};
        ::poll(&ready, 1, timeout);
        session.turn(steady_clock::now());
    }
}

}  // namespace skep
