// SPDX-License-Identifier: GPL-3.0-or-later
// GuestWindow.
#include "ui/library/guest_window.hpp"

#include <QCloseEvent>
#include <QMenuBar>
#include <QVBoxLayout>

namespace skep::ui {

GuestWindow::GuestWindow(QWidget* view, const QString& view_name, FillMenu fill_machine, FillMenu fill_view)
    : QWidget(nullptr), m_view(view) {
    setObjectName(QStringLiteral("guestWindow"));
    setAttribute(Qt::WA_QuitOnClose, false);  // Skep ends with its main window
    auto* bar = new QMenuBar(this);
    bar->setObjectName(QStringLiteral("guestMenuBar"));
    const auto add = [&](const QString& title, FillMenu fill) {
        QMenu* menu = bar->addMenu(title);
        const auto refill = [menu, fill = std::move(fill)] {
            menu->clear();
            fill(menu);
        };
        connect(menu, &QMenu::aboutToShow, this, refill);
        refill();  // its keys count before it was ever open
    };
    add(tr("&Machine"), std::move(fill_machine));
    add(view_name, std::move(fill_view));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setMenuBar(bar);
    layout->addWidget(view);
    view->show();  // another parent has hidden it
    setFocusProxy(view);
}

QWidget* GuestWindow::give_back() {
    setFocusProxy(nullptr);
    layout()->removeWidget(m_view);
    m_view->setParent(nullptr);
    return m_view;
}

void GuestWindow::closeEvent(QCloseEvent* event) {
    if (event->spontaneous()) {  // the user, not Skep that ends
        event->ignore();         // the view is not to go with the window
        emit closed();
    }
}

}  // namespace skep::ui
