// SPDX-License-Identifier: GPL-3.0-or-later
// The terminal a person sees: painting, scrolling, selecting, typing. Its text lives in TerminalScreen.
#pragma once

#include <QAbstractScrollArea>
#include <QElapsedTimer>
#include <QTimer>
#include <QUrl>
#include <optional>

#include "ui/console/paste_pacer.hpp"
#include "ui/console/terminal_find.hpp"
#include "ui/console/terminal_keys.hpp"
#include "ui/console/terminal_palette.hpp"
#include "ui/console/terminal_screen.hpp"
#include "ui/console/terminal_selection.hpp"

namespace skep::ui {

class TerminalWidget : public QAbstractScrollArea {
    Q_OBJECT
    Q_PROPERTY(QString text READ text)
  public:
    static constexpr int k_frame_ms = 16;
    static constexpr int k_resize_ms = 40;
    static constexpr int k_min_point_size = 5;
    static constexpr int k_max_point_size = 48;

    explicit TerminalWidget(QWidget* parent = nullptr);

    // Bytes from the guest. Never moves the view of somebody who has scrolled up.
    void feed(const QByteArray& bytes, Answers answers = Answers::send);
    // The visible screen, one line a row.
    [[nodiscard]] QString text() const { return m_screen.screen_text(); }
    [[nodiscard]] TerminalScreen& screen() { return m_screen; }
    [[nodiscard]] const TerminalScreen& screen() const { return m_screen; }
    [[nodiscard]] TerminalFind& find() { return m_find; }

    void set_point_size(int points);
    [[nodiscard]] int point_size() const { return font().pointSize(); }
    void set_scheme(TerminalScheme scheme);
    enum class Line { alive, dead };
    // A dead line has no cursor; `text` stands in the middle of the terminal.
    void set_line(Line line, const QString& text = {});
    [[nodiscard]] QSize cell_size() const { return {m_cell_width, m_cell_height}; }

    void copy_selection();
    void paste_clipboard();
    void paste_text(const QString& text);
    void select_all();
    [[nodiscard]] QString selected_text() const { return m_selection.text(m_screen); }
    [[nodiscard]] bool pasting() const { return m_pacer.active(); }
    void cancel_paste() { m_pacer.cancel(); }
    void run(TerminalCommand command);
    // After the find state changed: repaints, and shows the current match.
    void show_find_result();
    [[nodiscard]] QSize sizeHint() const override;
    // Exactly this many cells, for tests and for the first size of a window.
    [[nodiscard]] QSize size_for(int columns, int rows) const;

  signals:
    void send_to_guest(const QByteArray& bytes);
    void title_changed(const QString& title);
    void bell_rang();
    void find_requested();
    void grid_changed(int columns, int rows);
    void context_menu_requested(const QPoint& global_position);
    void point_size_changed(int points);
    void text_changed();

  protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void scrollContentsBy(int dx, int dy) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;
    bool viewportEvent(QEvent* event) override;
    bool focusNextPrevChild(bool) override { return false; }
    void focusInEvent(QFocusEvent* event) override;
    void focusOutEvent(QFocusEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    void changeEvent(QEvent* event) override;
    void inputMethodEvent(QInputMethodEvent* event) override;
    [[nodiscard]] QVariant inputMethodQuery(Qt::InputMethodQuery query) const override;

  private:
    // How one cell is painted, with selection, matches and link applied.
    struct Look {
        QColor foreground;
        QColor background;
        TerminalStyle style;
        bool operator==(const Look&) const = default;
    };
    struct LineMarks {
        std::pair<int, int> selected;
        std::vector<TerminalMatch> matches;
    };

    void connect_screen();
    void metrics_changed();
    void update_grid();
    void update_scroll_bar();
    void flush_frame();
    void restart_blinking();
    void ring_bell();
    bool confirm_paste(const QString& text);
    [[nodiscard]] int64_t view_top() const;
    [[nodiscard]] TerminalPosition position_at(const QPoint& point) const;
    [[nodiscard]] TerminalPosition cell_under(const QPoint& point) const;
    [[nodiscard]] QRect cell_rect(TerminalPosition position, int cells = 1) const;
    [[nodiscard]] bool guest_wants_mouse(const QMouseEvent& event) const;
    void send_mouse(const QMouseEvent& event, int button, bool pressed);
    void begin_selection(const QMouseEvent& event, SelectionMode mode);
    void finish_selection();
    void auto_scroll();
    void update_link(const QPoint& point, Qt::KeyboardModifiers modifiers);
    [[nodiscard]] Look look_at(int64_t number, int column, const TerminalCell& cell, const LineMarks& marks) const;
    void paint_line(QPainter& painter, int64_t number);
    void paint_run(QPainter& painter, const QRect& area, const QString& run, const Look& look);
    void paint_cursor(QPainter& painter);

    Line m_line = Line::alive;
    QString m_dead_text;
    TerminalScreen m_screen;
    TerminalPalette m_palette;
    TerminalScheme m_scheme = TerminalScheme::system;
    TerminalSelection m_selection;
    TerminalFind m_find;
    PastePacer m_pacer;
    int m_cell_width = 8;
    int m_cell_height = 16;
    int m_ascent = 12;
    int m_default_points = 11;
    bool m_following = true;   // the view sticks to the newest output
    int64_t m_pinned_top = 0;  // the view's first line while not following
    int m_dirty_first = 0;     // screen rows to repaint at the next frame
    int m_dirty_last = -1;
    bool m_all_dirty = false;
    bool m_updating_bar = false;
    bool m_selecting = false;
    bool m_blink_on = true;
    bool m_flash = false;
    QPoint m_drag_point;
    QPoint m_click_point;
    QElapsedTimer m_click_timer;
    QElapsedTimer m_bell_timer;
    QTimer m_frame_timer;
    QTimer m_blink_timer;
    QTimer m_scroll_timer;
    QTimer m_grid_timer;
    QString m_preedit;
    std::optional<std::pair<int64_t, TerminalLink>> m_link;
};

}  // namespace skep::ui
