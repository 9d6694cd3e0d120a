// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/net_thread.hpp"

#include <pthread.h>

#include <future>

namespace skep {

NetThread::NetThread()
    : m_thread([this] {
          pthread_setname_np(pthread_self(), "network");
          m_loop.run();
      }) {}

NetThread::~NetThread() {
    m_loop.quit();
    m_thread.join();
}

void NetThread::run(const std::function<void()>& task) {
    std::promise<void> done;
    m_loop.post([&] {
        task();
        done.set_value();
    });
    done.get_future().wait();
}

}  // namespace skep
