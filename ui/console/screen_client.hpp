// SPDX-License-Identifier: GPL-3.0-or-later
// A viewer's connection to a machine's screen: libvncclient shakes hands and carries the bytes on a thread of its own,
// ScreenDecoder reads what comes, the window gets finished frames.
#pragma once

#include <QImage>
#include <QObject>
#include <QRegion>
#include <QSize>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "display/input/input_hub.hpp"
#include "ui/console/screen_decoder.hpp"
#include "vmm/base/fd.hpp"

struct _rfbClient;

namespace skep::ui {

// Used on the window's thread; nothing here blocks. Viewers pull: a frame comes only after request().
class ScreenClient : public QObject {
    Q_OBJECT
  public:
    // A stream socket to the worker's RFB server.
    explicit ScreenClient(Fd socket, QObject* parent = nullptr);
    ~ScreenClient() override;

    // Asks for what has changed since the last frame; the answer comes when something has. Without effect while a
    // request is unanswered.
    void request();
    // The picture as the last finished frame left it; empty before the first.
    void read(const std::function<void(const QImage&)>& read) const;
    [[nodiscard]] QSize size() const { return m_size; }
    // What has changed since the last call, in guest pixels.
    [[nodiscard]] QRegion take_damage();
    // False until the server has said that it takes a wish for another size.
    [[nodiscard]] bool takes_size() const { return m_takes_size; }
    [[nodiscard]] bool connected() const { return m_connected; }

    void send_key(KeyCode code, bool down);
    // In guest pixels; buttons are PointerButton.
    void send_pointer(QPoint at, uint8_t buttons);
    // For a guest whose pointer only moves.
    void send_motion(QPoint by, uint8_t buttons);
    // One notch: down and right are positive.
    void send_wheel(QPoint at, Qt::Orientation orientation, int notches, uint8_t buttons);
    void wish_size(QSize size);

  signals:
    void opened(QSize size);
    // A frame is finished: see take_damage() and size().
    void frame_finished();
    void cursor_changed(const skep::ui::ScreenCursor& cursor);
    void pointer_kind_changed(bool absolute);
    // For good; one sentence for the user.
    void lost(const QString& reason);

  private:
    using Client = ::_rfbClient;
    using Command = std::function<bool(Client*)>;
    void run();
    [[nodiscard]] Status serve(Client* client);
    [[nodiscard]] Status converse(Client* client, ScreenDecoder& decoder);
    void take_frame(ScreenDecoder& decoder);
    void post(Command command);
    [[nodiscard]] bool send_posted(Client* client);
    void tell(std::function<void()> on_window_thread);
    void pointer_message(int x, int y, uint8_t rfb_buttons);

    Fd m_socket;
    Fd m_wake;  // an eventfd: m_commands has something
    mutable std::mutex m_mutex;
    // Under the mutex:
    std::vector<Command> m_commands;
    QImage m_front;
    QRegion m_damage;
    // Of the window's thread:
    QSize m_size;
    bool m_connected = false;
    bool m_requested = false;
    bool m_nothing_seen = true;  // the first answer is to be the whole screen
    bool m_takes_size = false;
    bool m_takes_scancodes = false;
    ScreenDecoder::Layout m_layout;
    std::thread m_thread;
};

}  // namespace skep::ui
