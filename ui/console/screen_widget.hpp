// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's screen: its picture, and keys and pointer for it. Asks for the next frame only after the last one is
// painted, so that an idle guest, or one that nobody sees, costs nothing.
#pragma once

#include <QAbstractScrollArea>
#include <QPointer>
#include <QTimer>
#include <optional>

#include "ui/console/screen_decoder.hpp"
#include "ui/console/screen_geometry.hpp"
#include "ui/console/screen_keys.hpp"
#include "ui/console/screen_pointer.hpp"

namespace skep::ui {

class ScreenClient;

class ScreenWidget : public QAbstractScrollArea {
    Q_OBJECT
    Q_PROPERTY(QString text READ description)
    Q_PROPERTY(qulonglong paints READ paints)
  public:
    // After this rest of a window that is being resized the guest is told its size.
    static constexpr int k_follow_ms = 150;

    explicit ScreenWidget(QWidget* parent = nullptr);
    ~ScreenWidget() override;

    // Not owned. Null: the last picture stays, nothing is sent.
    void attach(ScreenClient* client);

    [[nodiscard]] ScaleMode mode() const { return m_mode; }
    void set_mode(ScaleMode mode);
    [[nodiscard]] ScreenGeometry geometry_now() const;
    [[nodiscard]] QImage picture() const;  // null before the first frame
    // Said in the middle while there is no picture.
    void set_notice(const QString& notice);
    // "800 × 600", or the notice.
    [[nodiscard]] QString description() const;
    // How often something was painted.
    [[nodiscard]] uint64_t paints() const { return m_paints; }

    // The guest has no pointer with a place: a click hands the host's over until the host key is pressed.
    [[nodiscard]] bool pointer_needs_grab() const { return !m_absolute; }
    [[nodiscard]] bool grabbed() const { return m_grabbed; }
    // Gives keyboard and pointer back; nothing stays down in the guest.
    void let_go();
    // Presses the keys one after the other and releases them.
    void send_chord(const std::vector<KeyCode>& keys);

  signals:
    void picture_size_changed(QSize size);
    void frame_shown();
    // A finished frame that is not painted: the view is hidden.
    void hidden_frame();
    void grab_changed();
    // The host key: the user wants out.
    void host_key_pressed();
    void full_screen_requested();
    void pointer_at(QPoint global);

  protected:
    bool event(QEvent* event) override;
    bool focusNextPrevChild(bool) override { return false; }  // Tab is the guest's
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void scrollContentsBy(int dx, int dy) override;
    void keyPressEvent(QKeyEvent* event) override;
    void keyReleaseEvent(QKeyEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override { mousePressEvent(event); }
    void mouseMoveEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;

  private:
    void take_frame();
    void take_size(QSize size);
    void update_scroll_bars();
    void wish_size();
    void show_cursor();
    void set_pointer_kind(bool absolute);
    void grab();
    void motion(const QMouseEvent& event);
    void button(const QMouseEvent& event, bool down);
    [[nodiscard]] QRectF area_now() const;
    [[nodiscard]] ScreenGeometry geometry_in(const QRectF& area) const;
    [[nodiscard]] QRegion logical(const QRegion& guest) const;

    QPointer<ScreenClient> m_client;
    ScaleMode m_mode = ScaleMode::follow;
    QString m_notice;
    QSize m_guest{0, 0};
    HeldKeys m_keys;
    PointerPacer m_pointer;
    std::optional<ScreenCursor> m_cursor;
    QTimer m_follow;
    QTimer m_unseen;  // a frame that changed nothing in sight
    QPoint m_wheel;   // angles short of a notch
    uint64_t m_paints = 0;
    bool m_request_due = false;
    bool m_may_wish = false;  // the server has said so
    bool m_absolute = true;
    bool m_grabbed = false;
};

}  // namespace skep::ui
