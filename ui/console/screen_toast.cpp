// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenToast: in the colours of tool tips.
#include "ui/console/screen_toast.hpp"

#include <QEvent>
#include <algorithm>

namespace skep::ui {

namespace {

constexpr int k_distance = 12;  // from the edge

}  // namespace

ScreenToast::ScreenToast(const QString& object_name, Edge edge, QWidget* over) : QLabel(over), m_edge(edge) {
    setObjectName(object_name);
    setTextFormat(Qt::PlainText);
    setAttribute(Qt::WA_TransparentForMouseEvents);
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::ToolTipBase);
    setForegroundRole(QPalette::ToolTipText);
    setFrameShape(QFrame::Box);
    setMargin(6);
    hide();
    m_timer.setSingleShot(true);
    connect(&m_timer, &QTimer::timeout, this, &QWidget::hide);
    over->installEventFilter(this);
}

void ScreenToast::say(const QString& text, int milliseconds) {
    setText(text);
    setVisible(!text.isEmpty());
    m_timer.stop();
    if (milliseconds > 0) {
        m_timer.start(milliseconds);
    }
    place();
    raise();
}

bool ScreenToast::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() == QEvent::Resize) {
        place();
    }
    return QLabel::eventFilter(watched, event);
}

void ScreenToast::place() {
    const QSize room = parentWidget()->size();
    const QSize size = sizeHint().boundedTo(room);
    const int y = m_edge == Edge::top ? k_distance : room.height() - size.height() - k_distance;
    setGeometry(QRect(QPoint((room.width() - size.width()) / 2, std::max(0, y)), size));
}

}  // namespace skep::ui
