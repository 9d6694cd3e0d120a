// SPDX-License-Identifier: GPL-3.0-or-later
// A worker's screen without a worker: libvncserver behind one end of a socket pair, on a thread of its own. It draws
// what the test says and remembers what the viewer sent.
#pragma once

#include <QImage>
#include <QPoint>
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "vmm/base/fd.hpp"

struct _rfbScreenInfo;
struct _rfbClientRec;

namespace skep::ui {

class ScreenServer {
  public:
    struct Key {
        uint32_t scancode;
        bool down;
        bool operator==(const Key&) const = default;
    };
    struct Pointer {
        int x;
        int y;
        int buttons;
        bool operator==(const Pointer&) const = default;
    };

    ScreenServer(int width, int height);
    ~ScreenServer();

    // The viewer's end.
    [[nodiscard]] Fd take_socket() { return std::move(m_viewer); }

    // Draws and tells the viewer; returns when the server's thread has done it.
    void fill(const QRect& rect, uint32_t pixel);
    void draw(const QImage& picture);  // of the screen's size
    void resize(int width, int height);
    void set_cursor(int width, int height, QPoint hot);
    // Tells the viewer whether the guest's pointer has a place.
    void set_absolute(bool absolute);
    void hang_up();

    [[nodiscard]] std::vector<Key> keys() const;
    [[nodiscard]] std::vector<Pointer> pointers() const;
    [[nodiscard]] std::vector<QSize> wishes() const;
    void forget_input();

  private:
    friend struct ScreenServerHooks;
    void run();
    void call(std::function<void()> on_server_thread);

    mutable std::mutex m_mutex;
    std::vector<std::function<void()>> m_calls;
    std::vector<Key> m_keys;
    std::vector<Pointer> m_pointers;
    std::vector<QSize> m_wishes;
    std::atomic<bool> m_leave = false;
    Fd m_viewer;
    int m_server_fd = -1;
    _rfbScreenInfo* m_screen = nullptr;
    _rfbClientRec* m_client = nullptr;
    std::vector<uint32_t> m_pixels;
    std::thread m_thread;
};

}  // namespace skep::ui
