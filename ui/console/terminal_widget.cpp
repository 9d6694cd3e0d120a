// SPDX-License-Identifier: GPL-3.0-or-later
// TerminalWidget: geometry, scrolling, frames, keys. The mouse is in terminal_mouse.cpp, painting in
// terminal_paint.cpp.
#include "ui/console/terminal_widget.hpp"

#include <QAccessible>
#include <QAccessibleWidget>
#include <QApplication>
#include <QClipboard>
#include <QFontDatabase>
#include <QFontInfo>
#include <QInputMethodEvent>
#include <QKeyEvent>
#include <QMessageBox>
#include <QScrollBar>
#include <algorithm>
#include <cmath>

namespace skep::ui {

namespace {

// For screen readers (and tests that ask as one): the widget is a terminal whose value is the visible text.
class TerminalAccessible : public QAccessibleWidget {
  public:
    explicit TerminalAccessible(TerminalWidget* terminal) : QAccessibleWidget(terminal, QAccessible::Terminal) {}
    [[nodiscard]] QString text(QAccessible::Text kind) const override {
        return kind == QAccessible::Value ? static_cast<TerminalWidget*>(widget())->text()
                                          : QAccessibleWidget::text(kind);
    }
};

QAccessibleInterface* make_accessible(const QString&, QObject* object) {
    auto* terminal = qobject_cast<TerminalWidget*>(object);
    return terminal != nullptr ? new TerminalAccessible(terminal) : nullptr;
}

}  // namespace

TerminalWidget::TerminalWidget(QWidget* parent) : QAbstractScrollArea(parent) {
    static const bool installed = (QAccessible::installFactory(&make_accessible), true);
    (void)installed;
    setObjectName(QStringLiteral("terminal"));
    setAccessibleName(tr("Serial console"));
    setAccessibleDescription(tr("All keys go to the guest. Ctrl+Shift+Escape moves the focus out."));
    setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOn);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setFocusPolicy(Qt::StrongFocus);
    setAttribute(Qt::WA_InputMethodEnabled);
    setFrameShape(QFrame::NoFrame);
    viewport()->setCursor(Qt::IBeamCursor);
    viewport()->setMouseTracking(true);
    viewport()->setAttribute(Qt::WA_OpaquePaintEvent);
    QFont font = QFontDatabase::systemFont(QFontDatabase::FixedFont);
    font.setStyleHint(QFont::Monospace);
    font.setFixedPitch(true);
    if (!QFontInfo(font).fixedPitch()) {
        font.setFamily(QStringLiteral("DejaVu Sans Mono"));
    }
    font.setPointSize(m_default_points);
    setFont(font);
    m_palette = TerminalPalette(palette(), m_scheme);
    metrics_changed();
    m_frame_timer.setSingleShot(true);
    m_frame_timer.setInterval(k_frame_ms);
    connect(&m_frame_timer, &QTimer::timeout, this, &TerminalWidget::flush_frame);
    connect(&m_blink_timer, &QTimer::timeout, this, [this] {
        m_blink_on = !m_blink_on;
        viewport()->update();
    });
    m_grid_timer.setSingleShot(true);
    m_grid_timer.setInterval(k_resize_ms);
    connect(&m_grid_timer, &QTimer::timeout, this, &TerminalWidget::update_grid);
    m_scroll_timer.setInterval(50);
    connect(&m_scroll_timer, &QTimer::timeout, this, &TerminalWidget::auto_scroll);
    connect(&m_pacer, &PastePacer::chunk, this, &TerminalWidget::send_to_guest);
    connect_screen();
    m_click_timer.start();
}

void TerminalWidget::connect_screen() {
    TerminalScreen::Events events;
    events.damaged = [this](int first, int last) {
        m_dirty_first = m_dirty_last < 0 ? first : std::min(m_dirty_first, first);
        m_dirty_last = std::max(m_dirty_last, last);
    };
    events.scrolled = [this] { m_all_dirty = true; };
    events.cursor_changed = [this] { m_all_dirty = true; };
    events.bell = [this] { ring_bell(); };
    events.title_changed = [this](const QString& title) { emit title_changed(title); };
    events.output = [this](const QByteArray& bytes) { emit send_to_guest(bytes); };
    m_screen.set_events(std::move(events));
}

void TerminalWidget::feed(const QByteArray& bytes, Answers answers) {
    m_screen.feed({bytes.constData(), static_cast<size_t>(bytes.size())}, answers);
    if (!m_frame_timer.isActive()) {
        m_frame_timer.start();
    }
}

void TerminalWidget::flush_frame() {
    update_scroll_bar();
    if (!m_find.query().isEmpty()) {
        m_find.refresh(m_screen);
        m_all_dirty = true;
    }
    if (m_all_dirty || !m_following) {
        viewport()->update();
    } else if (m_dirty_last >= m_dirty_first) {
        viewport()->update(0, m_dirty_first * m_cell_height, viewport()->width(),
                           (m_dirty_last - m_dirty_first + 1) * m_cell_height);
    }
    m_all_dirty = false;
    m_dirty_last = -1;
    emit text_changed();
}

void TerminalWidget::metrics_changed() {
    QFont plain = font();
    plain.setLetterSpacing(QFont::AbsoluteSpacing, 0);
    const QFontMetricsF metrics(plain);
    const double advance = metrics.horizontalAdvance(u'M');
    m_cell_width = std::max(1, static_cast<int>(std::lround(advance)));
    m_cell_height = std::max(1, static_cast<int>(std::ceil(metrics.height())));
    m_ascent = static_cast<int>(std::lround(metrics.ascent()));
    // Whole-pixel cells: let the font itself advance by exactly one cell.
    plain.setLetterSpacing(QFont::AbsoluteSpacing, m_cell_width - advance);
    if (plain != font()) {
        setFont(plain);
    }
    update_grid();
}

void TerminalWidget::update_grid() {
    const QSize before(m_screen.columns(), m_screen.rows());
    if (isVisible()) {
        m_screen.resize(viewport()->width() / m_cell_width, viewport()->height() / m_cell_height);
    }
    if (before != QSize(m_screen.columns(), m_screen.rows())) {
        m_selection.clear();  // the lines have other numbers now
        m_find.refresh(m_screen);
        m_following = true;
        emit grid_changed(m_screen.columns(), m_screen.rows());
    }
    update_scroll_bar();
    viewport()->update();
}

void TerminalWidget::update_scroll_bar() {
    m_updating_bar = true;
    const int64_t first = m_screen.first_line();
    m_pinned_top = std::clamp(m_pinned_top, first, m_screen.screen_top());
    QScrollBar* bar = verticalScrollBar();
    bar->setRange(0, static_cast<int>(m_screen.screen_top() - first));
    bar->setPageStep(m_screen.rows());
    bar->setSingleStep(1);
    bar->setValue(static_cast<int>(view_top() - first));
    m_updating_bar = false;
}

int64_t TerminalWidget::view_top() const {
    return m_following ? m_screen.screen_top() : m_pinned_top;
}

void TerminalWidget::scrollContentsBy(int, int) {
    if (!m_updating_bar) {
        const QScrollBar* bar = verticalScrollBar();
        m_following = bar->value() == bar->maximum();
        m_pinned_top = m_screen.first_line() + bar->value();
    }
    viewport()->update();
}

// While a window edge is being dragged the text is laid out anew a few times a second, not for every pixel.
void TerminalWidget::resizeEvent(QResizeEvent*) {
    m_grid_timer.start();
    viewport()->update();
}

QSize TerminalWidget::size_for(int columns, int rows) const {
    return {columns * m_cell_width + verticalScrollBar()->sizeHint().width(), rows * m_cell_height};
}

QSize TerminalWidget::sizeHint() const {
    return size_for(TerminalScreen::k_default_columns, TerminalScreen::k_default_rows);
}

void TerminalWidget::set_point_size(int points) {
    points = std::clamp(points, k_min_point_size, k_max_point_size);
    if (points == point_size()) {
        return;
    }
    QFont bigger = font();
    bigger.setPointSize(points);
    setFont(bigger);
    emit point_size_changed(points);
}

void TerminalWidget::set_scheme(TerminalScheme scheme) {
    m_scheme = scheme;
    m_palette = TerminalPalette(palette(), scheme);
    viewport()->update();
}

void TerminalWidget::set_line(Line line, const QString& text) {
    if (line != m_line || text != m_dead_text) {
        m_line = line;
        m_dead_text = text;
        viewport()->update();
    }
}

void TerminalWidget::changeEvent(QEvent* event) {
    QAbstractScrollArea::changeEvent(event);
    if (event->type() == QEvent::FontChange) {
        metrics_changed();
    } else if (event->type() == QEvent::PaletteChange) {
        set_scheme(m_scheme);
    }
}

bool TerminalWidget::event(QEvent* event) {
    // Menu shortcuts must not take keys that belong to the guest; those of the window's own keep theirs.
    if (event->type() == QEvent::ShortcutOverride) {
        const auto& key = static_cast<const QKeyEvent&>(*event);
        const auto both = Qt::ControlModifier | Qt::ShiftModifier;
        if ((key.modifiers() & both) != both || command_for(key) != TerminalCommand::none) {
            event->accept();
            return true;
        }
    }
    if (event->type() == QEvent::Show) {
        m_grid_timer.start();
    }
    return QAbstractScrollArea::event(event);
}

void TerminalWidget::keyPressEvent(QKeyEvent* event) {
    if (event->key() == Qt::Key_Menu) {
        emit context_menu_requested(viewport()->mapToGlobal(cell_rect(m_screen.cursor()).bottomLeft()));
        return;
    }
    const TerminalCommand command = command_for(*event);
    if (command != TerminalCommand::none) {
        run(command);
        return;
    }
    if (send_key_event(m_screen, *event)) {
        m_following = true;
        restart_blinking();
        update_scroll_bar();
        viewport()->update();
        event->accept();
        return;
    }
    event->ignore();
}

void TerminalWidget::run(TerminalCommand command) {
    QScrollBar* bar = verticalScrollBar();
    switch (command) {
        case TerminalCommand::none:
            break;
        case TerminalCommand::copy:
            copy_selection();
            break;
        case TerminalCommand::paste:
            paste_clipboard();
            break;
        case TerminalCommand::paste_selection:
            paste_text(QApplication::clipboard()->text(QClipboard::Selection));
            break;
        case TerminalCommand::find:
            emit find_requested();
            break;
        case TerminalCommand::find_next:
            m_find.next();
            show_find_result();
            break;
        case TerminalCommand::find_previous:
            m_find.previous();
            show_find_result();
            break;
        case TerminalCommand::select_all:
            select_all();
            break;
        case TerminalCommand::zoom_in:
            set_point_size(point_size() + 1);
            break;
        case TerminalCommand::zoom_out:
            set_point_size(point_size() - 1);
            break;
        case TerminalCommand::zoom_reset:
            set_point_size(m_default_points);
            break;
        case TerminalCommand::scroll_line_up:
            bar->setValue(bar->value() - 1);
            break;
        case TerminalCommand::scroll_line_down:
            bar->setValue(bar->value() + 1);
            break;
        case TerminalCommand::scroll_page_up:
            bar->setValue(bar->value() - bar->pageStep());
            break;
        case TerminalCommand::scroll_page_down:
            bar->setValue(bar->value() + bar->pageStep());
            break;
        case TerminalCommand::scroll_top:
            bar->setValue(bar->minimum());
            break;
        case TerminalCommand::scroll_bottom:
            bar->setValue(bar->maximum());
            break;
        case TerminalCommand::leave:
            QWidget::focusNextPrevChild(true);
            break;
    }
}

void TerminalWidget::copy_selection() {
    const QString text = selected_text();
    if (!text.isEmpty()) {
        QApplication::clipboard()->setText(text);
    }
}

void TerminalWidget::paste_clipboard() {
    paste_text(QApplication::clipboard()->text());
}

bool TerminalWidget::confirm_paste(const QString& text) {
    QMessageBox box(
        QMessageBox::Question, tr("Paste several lines?"),
        tr("The guest may run each of these %1 lines as a command.").arg(typed_bytes(text).trimmed().count('\r') + 1),
        QMessageBox::Cancel, this);
    box.setObjectName(QStringLiteral("confirmPaste"));
    box.setTextFormat(Qt::PlainText);
    box.setDetailedText(text.left(4000));
    box.addButton(tr("&Paste"), QMessageBox::AcceptRole);
    box.setDefaultButton(QMessageBox::Cancel);
    box.exec();
    return box.buttonRole(box.clickedButton()) == QMessageBox::AcceptRole;
}

void TerminalWidget::paste_text(const QString& text) {
    // A program that asked for bracketed paste does not run the lines by itself.
    const QByteArray start = m_screen.paste_start();
    const QByteArray end = m_screen.paste_end();
    if (text.isEmpty() || (start.isEmpty() && needs_confirmation(text) && !confirm_paste(text))) {
        return;
    }
    if (!m_pacer.add(start + typed_bytes(text) + end)) {
        QMessageBox::warning(this, tr("Paste"), tr("The text is too long to be typed into a serial line."));
    }
    m_following = true;
    update_scroll_bar();
}

void TerminalWidget::select_all() {
    m_selection.select_all(m_screen);
    viewport()->update();
}

void TerminalWidget::show_find_result() {
    if (const auto match = m_find.current()) {
        const int64_t top = view_top();
        if (match->at.line < top || match->at.line >= top + m_screen.rows()) {
            m_pinned_top =
                std::clamp(match->at.line - m_screen.rows() / 2, m_screen.first_line(), m_screen.screen_top());
            m_following = m_pinned_top == m_screen.screen_top();
            update_scroll_bar();
        }
    }
    viewport()->update();
}

void TerminalWidget::ring_bell() {
    constexpr int k_min_gap_ms = 1000;
    if (m_bell_timer.isValid() && m_bell_timer.elapsed() < k_min_gap_ms) {
        return;
    }
    m_bell_timer.start();
    m_flash = true;
    viewport()->update();
    QTimer::singleShot(100, this, [this] {
        m_flash = false;
        viewport()->update();
    });
    emit bell_rang();
}

void TerminalWidget::restart_blinking() {
    m_blink_on = true;
    const int period = QApplication::cursorFlashTime();
    if (period > 0 && hasFocus()) {
        m_blink_timer.start(period / 2);
    } else {
        m_blink_timer.stop();
    }
}

void TerminalWidget::focusInEvent(QFocusEvent*) {
    restart_blinking();
    viewport()->update();
}

void TerminalWidget::focusOutEvent(QFocusEvent*) {
    restart_blinking();
    viewport()->update();
}

void TerminalWidget::inputMethodEvent(QInputMethodEvent* event) {
    m_preedit = event->preeditString();
    for (const char32_t character : event->commitString().toUcs4()) {
        m_screen.send_character(character, {});
    }
    viewport()->update();
    event->accept();
}

QVariant TerminalWidget::inputMethodQuery(Qt::InputMethodQuery query) const {
    switch (query) {
        case Qt::ImEnabled:
            return true;
        case Qt::ImCursorRectangle:
            return cell_rect(m_screen.cursor());
        case Qt::ImFont:
            return font();
        case Qt::ImHints:
            return static_cast<int>(Qt::ImhNoPredictiveText | Qt::ImhNoAutoUppercase);
        default:
            return QAbstractScrollArea::inputMethodQuery(query);
    }
}

}  // namespace skep::ui
