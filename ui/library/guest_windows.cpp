// SPDX-License-Identifier: GPL-3.0-or-later
// GuestWindows.
#include "ui/library/guest_windows.hpp"

#include <QAction>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QScreen>
#include <QSettings>
#include <QTabWidget>
#include <QVBoxLayout>
#include <utility>

#include "ui/console/screen_actions.hpp"
#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"

namespace skep::ui {

namespace {

constexpr QSize k_first_size(1040, 840);  // around a screen of 1024 × 768

}  // namespace

GuestWindows::GuestWindows(QTabWidget* tabs, VmSession* session)
    : m_tabs(tabs), m_session(session), m_fill_machine([](QMenu*) {}) {}

GuestWindows::~GuestWindows() {
    for (auto& [view, place] : m_places) {
        if (place.window) {
            static_cast<void>(bring_back(view));
        }
    }
}

QString GuestWindows::setting(const QString& key, const char* what) const {
    const QString machine = m_session->spec() ? to_qstring(m_session->spec()->id) : m_session->name();
    return QStringLiteral("machines/%1/%2/%3").arg(machine, key, QLatin1String(what));
}

QAction* GuestWindows::add(QWidget* view, const QString& key, GuestWindow::FillMenu fill) {
    auto* action = new QAction(tr("In a window of its &own"), view);
    action->setObjectName(QStringLiteral("actionOwnWindow"));
    action->setIconText(tr("Own window"));
    action->setCheckable(true);
    action->setShortcut(QKeySequence(tr("Ctrl+Shift+D")));
    action->setToolTip(tip_with_keys(tr("Move it into a window of its own, or back"), action->shortcut()));
    view->addAction(action);  // for its keys
    connect(action, &QAction::triggered, this, [this, view](bool out) { move_by_user(view, out); });
    m_places[view] = {key, std::move(fill), action, nullptr, nullptr};
    return action;
}

void GuestWindows::remove(QWidget* view) {
    if (is_out(view)) {
        bring_back(view).release()->deleteLater();
    }
    m_places.erase(view);
}

bool GuestWindows::is_out(QWidget* view) const {
    const auto it = m_places.find(view);
    return it != m_places.end() && it->second.window != nullptr;
}

QWidget* GuestWindows::tab_of(QWidget* view) const {
    return is_out(view) ? m_places.at(view).page : view;
}

QWidget* GuestWindows::view_of(QWidget* tab) const {
    for (const auto& [view, place] : m_places) {
        if (tab != nullptr && (tab == view || tab == place.page)) {
            return view;
        }
    }
    return nullptr;
}

void GuestWindows::show_window(QWidget* view) {
    if (is_out(view)) {
        GuestWindow& window = *m_places.at(view).window;
        window.show();
        window.raise();
        window.activateWindow();
        view->setFocus();
    }
}

void GuestWindows::move_by_user(QWidget* view, bool out) {
    const QString& key = m_places.at(view).key;
    QSettings().setValue(setting(key, "own_window"), out);
    if (out) {
        move_out(view);
        show_window(view);
    } else {
        // A button or menu of the window's may have asked for it.
        bring_back(view).release()->deleteLater();
        m_tabs->window()->raise();
        m_tabs->window()->activateWindow();
        m_tabs->setCurrentWidget(view);
        view->setFocus();
    }
}

void GuestWindows::swap_tab(QWidget* from, QWidget* to) {
    const int index = m_tabs->indexOf(from);
    const bool current = m_tabs->currentIndex() == index;
    const QString name = m_tabs->tabText(index);
    const QSignalBlocker quiet(m_tabs);  // the same tab stays in front
    m_tabs->removeTab(index);
    m_tabs->insertTab(index, to, name);
    if (current) {
        m_tabs->setCurrentIndex(index);
    }
}

QWidget* GuestWindows::make_page(QWidget* view, const QString& view_name) {
    auto* page = new QWidget(m_tabs);
    page->setObjectName(QStringLiteral("elsewherePage"));
    auto* text = new QLabel(tr("“%1” is in a window of its own.").arg(view_name), page);
    text->setTextFormat(Qt::PlainText);
    text->setAlignment(Qt::AlignCenter);
    auto* show = new QPushButton(tr("&Show the window"), page);
    show->setObjectName(QStringLiteral("showOwnWindow"));
    connect(show, &QPushButton::clicked, this, [this, view] { show_window(view); });
    auto* back = new QPushButton(tr("&Put it back here"), page);
    back->setObjectName(QStringLiteral("putBack"));
    connect(back, &QPushButton::clicked, m_places.at(view).action, &QAction::trigger);
    auto* buttons = new QHBoxLayout;
    buttons->addStretch();
    buttons->addWidget(show);
    buttons->addWidget(back);
    buttons->addStretch();
    auto* layout = new QVBoxLayout(page);
    layout->addStretch();
    layout->addWidget(text);
    layout->addLayout(buttons);
    layout->addStretch();
    page->setFocusProxy(show);
    return page;
}

void GuestWindows::move_out(QWidget* view) {
    Place& place = m_places.at(view);
    const QString name = m_tabs->tabText(m_tabs->indexOf(view));
    place.page = make_page(view, name);
    swap_tab(view, place.page);
    place.window = std::make_unique<GuestWindow>(view, name, [this](QMenu* menu) { m_fill_machine(menu); }, place.fill);
    place.action->setChecked(true);
    connect(place.window.get(), &GuestWindow::closed, place.action, &QAction::trigger);
    const QByteArray geometry = QSettings().value(setting(place.key, "geometry")).toByteArray();
    if (geometry.isEmpty() || !place.window->restoreGeometry(geometry)) {
        place.window->resize(k_first_size.boundedTo(m_tabs->screen()->availableSize() * 0.9));
    }
    name_window(view);
    place.window->show();
}

std::unique_ptr<GuestWindow> GuestWindows::bring_back(QWidget* view) {
    Place& place = m_places.at(view);
    QSettings().setValue(setting(place.key, "geometry"), place.window->saveGeometry());
    place.window->give_back();
    swap_tab(place.page, view);
    view->show();
    std::exchange(place.page, nullptr)->deleteLater();  // one of its buttons may have asked for it
    place.window->hide();
    place.action->setChecked(false);
    return std::move(place.window);
}

void GuestWindows::restore() {
    for (const auto& [view, place] : m_places) {
        if (!place.window && QSettings().value(setting(place.key, "own_window")).toBool()) {
            move_out(view);
        }
    }
}

void GuestWindows::bring_all_back() {
    for (const auto& [view, place] : m_places) {
        if (place.window) {
            bring_back(view).release()->deleteLater();
        }
    }
}

void GuestWindows::name_window(QWidget* view) {
    const Place& place = m_places.at(view);
    const QString name = m_tabs->tabText(m_tabs->indexOf(place.page));
    const VmState state = m_session->state();
    const QString title = tr("%1 — %2").arg(m_session->name(), name);
    place.window->setWindowTitle(state == VmState::running ? title : tr("%1 (%2)").arg(title, state_text(state)));
    place.window->setAccessibleName(title);
}

void GuestWindows::refresh() {
    for (const auto& [view, place] : m_places) {
        if (place.window) {
            name_window(view);
        }
    }
}

}  // namespace skep::ui
