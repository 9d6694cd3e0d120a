// SPDX-License-Identifier: GPL-3.0-or-later
// BareDesktop.
#include "ui/widgets/bare_desktop.hpp"

#include <QApplication>
#include <QDialog>
#include <QEvent>
#include <QLayout>
#include <QMouseEvent>
#include <QPainter>
#include <QScreen>
#include <QStyle>

namespace skep::ui {

namespace {

// Lies under everything else in the dialog: a border all around and the title above.
class TitleFrame : public QWidget {
  public:
    explicit TitleFrame(QDialog* dialog) : QWidget(dialog) {
        setObjectName(QStringLiteral("titleFrame"));
        QMargins margins = dialog->layout()->contentsMargins();
        margins.setTop(margins.top() + title_height());
        dialog->layout()->setContentsMargins(margins);
        dialog->resize(dialog->width(), dialog->height() + title_height());
        lower();
        show();
    }
    [[nodiscard]] int title_height() const { return fontMetrics().height() + 12; }

  protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        const QRect title(0, 0, width(), title_height());
        painter.fillRect(title, palette().color(QPalette::Highlight));
        painter.setPen(palette().color(QPalette::HighlightedText));
        painter.drawText(title, Qt::AlignCenter, window()->windowTitle());
        painter.setPen(palette().color(QPalette::Dark));
        painter.drawRect(rect().adjusted(0, 0, -1, -1));
    }
    void mousePressEvent(QMouseEvent* event) override { m_grip = event->globalPosition().toPoint() - window()->pos(); }
    void mouseMoveEvent(QMouseEvent* event) override { window()->move(event->globalPosition().toPoint() - m_grip); }

  private:
    QPoint m_grip;
};

void keep_on_screen(QDialog& dialog) {
    const QRect screen = dialog.screen()->availableGeometry();
    dialog.resize(dialog.size().boundedTo(screen.size()));
    QRect place(dialog.pos(), dialog.size());
    if (dialog.parentWidget() != nullptr) {
        place.moveCenter(dialog.parentWidget()->window()->geometry().center());
    }
    place.moveRight(std::min(place.right(), screen.right()));
    place.moveBottom(std::min(place.bottom(), screen.bottom()));
    place.moveTopLeft({std::max(place.left(), screen.left()), std::max(place.top(), screen.top())});
    dialog.move(place.topLeft());
}

}  // namespace

bool BareDesktop::needed() {
    const QString platform = QGuiApplication::platformName();
    return platform == QStringLiteral("vnc") || platform == QStringLiteral("linuxfb") ||
           platform == QStringLiteral("eglfs");
}

BareDesktop::BareDesktop(QObject* parent) : QObject(parent) {
    if (QApplication::style()->name() == QStringLiteral("windows")) {
        QApplication::setStyle(QStringLiteral("fusion"));
    }
    qApp->installEventFilter(this);
}

bool BareDesktop::eventFilter(QObject* watched, QEvent* event) {
    auto* dialog = qobject_cast<QDialog*>(watched);
    if (dialog == nullptr || !dialog->isWindow() || dialog->layout() == nullptr) {
        return false;
    }
    auto* frame = dialog->findChild<QWidget*>(QStringLiteral("titleFrame"), Qt::FindDirectChildrenOnly);
    if (event->type() == QEvent::Show && frame == nullptr) {
        frame = new TitleFrame(dialog);
        keep_on_screen(*dialog);
    }
    const bool redraw = event->type() == QEvent::Resize || event->type() == QEvent::Show;
    if (frame != nullptr && redraw) {
        frame->setGeometry(dialog->rect());
    }
    if (frame != nullptr && event->type() == QEvent::WindowTitleChange) {
        frame->update();
    }
    return false;
}

}  // namespace skep::ui
