// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenFullWindow.
#include "ui/console/screen_full.hpp"

#include <QCloseEvent>
#include <QFrame>
#include <QHBoxLayout>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

namespace skep::ui {

namespace {

constexpr int k_reveal_edge = 2;   // pixels at the top that bring the bar
constexpr int k_linger_ms = 600;   // it stays that long when the pointer has left
constexpr int k_forgiveness = 24;  // and this far below

}  // namespace

ScreenFullWindow::ScreenFullWindow(const QString& vm_name, QWidget* stage, std::function<void(QMenu*)> fill_menu)
    : QWidget(nullptr), m_stage(stage), m_bar(new QFrame(this)) {
    setObjectName(QStringLiteral("fullScreenWindow"));
    setWindowTitle(vm_name);
    setAccessibleName(tr("Full screen of “%1”").arg(vm_name));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(stage);
    build_bar(vm_name, std::move(fill_menu));
    m_hide.setSingleShot(true);
    connect(&m_hide, &QTimer::timeout, m_bar, &QWidget::hide);
    m_hide.start(k_first_ms);
}

void ScreenFullWindow::build_bar(const QString& vm_name, std::function<void(QMenu*)> fill_menu) {
    m_bar->setObjectName(QStringLiteral("revealBar"));
    m_bar->setAccessibleName(tr("Full screen"));
    m_bar->setFrameShape(QFrame::StyledPanel);
    m_bar->setAutoFillBackground(true);
    auto* name = new QLabel(vm_name, m_bar);
    name->setTextFormat(Qt::PlainText);
    auto* menu = new QMenu(m_bar);
    connect(menu, &QMenu::aboutToShow, this, [menu, fill_menu = std::move(fill_menu)] {
        menu->clear();
        fill_menu(menu);
    });
    auto* more = new QToolButton(m_bar);
    more->setObjectName(QStringLiteral("fullScreenMenu"));
    more->setText(tr("Screen"));
    more->setAccessibleName(tr("Screen actions"));
    more->setPopupMode(QToolButton::InstantPopup);
    more->setMenu(menu);
    auto* leave = new QPushButton(tr("&Leave full screen"), m_bar);
    leave->setObjectName(QStringLiteral("leaveFullScreen"));
    leave->setAccessibleName(tr("Leave full screen"));
    leave->setToolTip(tr("Ctrl+Alt+Enter"));
    connect(leave, &QPushButton::clicked, this, &ScreenFullWindow::leave_requested);
    auto* layout = new QHBoxLayout(m_bar);
    layout->addWidget(name);
    layout->addWidget(more);
    layout->addWidget(leave);
}

QWidget* ScreenFullWindow::give_back() {
    layout()->removeWidget(m_stage);
    return m_stage;
}

void ScreenFullWindow::pointer_at(QPoint global) {
    const int y = mapFromGlobal(global).y();
    if (y < k_reveal_edge) {
        m_hide.stop();
        place_bar();
        m_bar->show();
    } else if (y > m_bar->height() + k_forgiveness && m_bar->isVisible() &&
               (!m_hide.isActive() || m_hide.interval() > k_linger_ms)) {
        m_hide.start(k_linger_ms);
    }
}

void ScreenFullWindow::reveal() {
    m_hide.stop();
    place_bar();
    m_bar->show();
    m_bar->findChild<QPushButton*>(QStringLiteral("leaveFullScreen"))->setFocus();
}

void ScreenFullWindow::closeEvent(QCloseEvent* event) {
    event->ignore();  // the stage is not to go with the window
    emit leave_requested();
}

void ScreenFullWindow::resizeEvent(QResizeEvent*) {
    place_bar();
}

void ScreenFullWindow::place_bar() {
    const QSize size = m_bar->sizeHint();
    m_bar->setGeometry((width() - size.width()) / 2, 0, size.width(), size.height());
    m_bar->raise();
}

}  // namespace skep::ui
