// SPDX-License-Identifier: GPL-3.0-or-later
// VmTabs.
#include "ui/library/vm_tabs.hpp"

#include <QMenu>

#include "ui/console/console_view.hpp"
#include "ui/console/screen_view.hpp"
#include "ui/library/overview_tab.hpp"
#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"

namespace skep::ui {

VmTabs::VmTabs(VmSession* session, QWidget* parent)
    : QTabWidget(parent), m_session(session), m_overview(new OverviewTab(session, this)), m_windows(this, session) {
    setObjectName(QStringLiteral("vmTabs"));
    setDocumentMode(true);
    addTab(m_overview, tr("Overview"));
    refresh();
    setCurrentIndex(0);
    m_session->set_console_receiver([this](unsigned port, ConsoleLink link) { take_console(port, std::move(link)); });
    m_session->set_screen_receiver([this](Result<Fd> socket) {
        if (m_screen != nullptr && socket && socket->valid()) {
            m_screen->attach(std::move(*socket));
        } else if (m_screen != nullptr) {
            m_screen->refuse(socket ? QString() : to_qstring(socket.error().message));
        }
    });
    connect(m_session, &VmSession::link_up, this, &VmTabs::open_links);
    connect(this, &QTabWidget::tabBarClicked, this, [this](int index) {
        setCurrentIndex(index);
        if (QWidget* view = m_windows.view_of(currentWidget()); view != nullptr && !m_windows.is_out(view)) {
            focus_guest();  // who chooses a console wants to type there
        }
    });
    if (m_session->attached()) {
        open_links();
    }
}

ConsoleView* VmTabs::console(unsigned port) const {
    return port < m_consoles.size() ? m_consoles[port] : nullptr;
}

QString VmTabs::off_text() const {
    const VmState state = m_session->state();
    return is_active(state)           ? QString()
           : state == VmState::broken ? tr("This machine cannot be started")
                                      : tr("“%1” is off: Start turns it on").arg(m_session->name());
}

void VmTabs::refresh() {
    sync_screen();
    sync_consoles();
    for (ConsoleView* view : m_consoles) {
        view->set_off(off_text());
    }
    if (m_screen != nullptr) {
        m_screen->set_vm_name(m_session->name());
        m_screen->set_off(off_text());
    }
    if (is_active(m_session->state())) {
        m_windows.refresh();
    } else {
        m_windows.bring_all_back();
    }
}

// A machine that runs has what it was started with, whatever its settings say by now.
void VmTabs::sync_screen() {
    const auto& spec = m_session->running_spec();
    const bool wanted = spec ? spec->display != DisplayKind::none : m_screen != nullptr;
    if (wanted && m_screen == nullptr) {
        m_screen = new ScreenView(m_session->name(), this);
        insertTab(0, m_screen, tr("Screen"));
        connect(m_screen, &ScreenView::socket_requested, this, &VmTabs::open_screen);
        connect(m_screen, &ScreenView::text_requested, m_session, &VmSession::read_screen_text);
        connect(m_session, &VmSession::screen_text, m_screen, &ScreenView::take_text);
        connect(m_screen, &ScreenView::keyboard_given_back, this, [this] {
            if (m_windows.is_out(m_screen)) {
                m_screen->focus_bar();
            } else {
                emit keyboard_given_back();
            }
        });
        connect(m_screen, &ScreenView::thumbnail_taken, m_session, &VmSession::set_thumbnail);
        m_screen->set_place_action(
            m_windows.add(m_screen, QStringLiteral("screen"), [view = m_screen](QMenu* menu) { view->fill_menu(menu); }));
    } else if (!wanted && m_screen != nullptr) {
        m_windows.remove(m_screen);
        delete m_screen;
        m_screen = nullptr;
        m_session->set_thumbnail({});
    }
}

void VmTabs::sync_consoles() {
    const size_t wanted = m_session->spec() ? m_session->spec()->serial_ports : m_consoles.size();
    while (m_consoles.size() < wanted) {
        const auto port = static_cast<unsigned>(m_consoles.size());
        auto* view = new ConsoleView(port, m_session->name(), this);
        insertTab(indexOf(m_overview), view, tr("Serial %1").arg(port + 1));
        if (port == 0) {
            connect(view, &ConsoleView::text_changed, this, [this, view] {
                m_session->set_last_line(view->last_line());
                emit last_line_changed(view->last_line());
            });
        }
        view->set_place_action(
            m_windows.add(view, QStringLiteral("serial%1").arg(port + 1), [view](QMenu* menu) { view->fill_menu(menu); }));
        m_consoles.push_back(view);
    }
    while (m_consoles.size() > wanted && !is_active(m_session->state())) {
        m_windows.remove(m_consoles.back());
        delete m_consoles.back();
        m_consoles.pop_back();
    }
}

void VmTabs::open_links() {
    refresh();
    for (unsigned port = 0; port < m_consoles.size(); ++port) {
        m_session->open_console(port);
    }
    open_screen();
    m_windows.restore();
    if (QWidget* guest = m_screen != nullptr ? static_cast<QWidget*>(m_screen) : console(0)) {
        setCurrentWidget(m_windows.tab_of(guest));
        if (isVisible()) {
            focus_guest();
        }
    }
}

void VmTabs::open_screen() {
    if (m_screen != nullptr) {
        m_session->open_screen();
    }
}

void VmTabs::take_console(unsigned port, ConsoleLink link) {
    if (ConsoleView* view = console(port)) {
        view->attach(std::move(link));
    }
}

// The tab in front when it is the guest's.
QWidget* VmTabs::guest_view() const {
    if (QWidget* front = m_windows.view_of(currentWidget())) {
        return front;
    }
    return m_screen != nullptr ? static_cast<QWidget*>(m_screen) : console(0);
}

bool VmTabs::focus_guest() {
    QWidget* guest = guest_view();
    if (!is_active(m_session->state()) || guest == nullptr) {
        return false;
    }
    m_windows.show_window(guest);
    guest->setFocus();  // a proxy for the widget that takes the keys
    return true;
}

QString VmTabs::menu_title() const {
    return guest_view() != nullptr && guest_view() == m_screen ? tr("Screen") : tr("Console");
}

void VmTabs::fill_menu(QMenu* menu) {
    QWidget* guest = guest_view();
    if (guest == nullptr) {
        menu->addAction(tr("This machine has neither a screen nor a serial port"))->setEnabled(false);
    } else if (guest == m_screen) {
        m_screen->fill_menu(menu);
    } else {
        static_cast<ConsoleView*>(guest)->fill_menu(menu);
    }
}

void VmTabs::read_preferences() {
    for (ConsoleView* view : m_consoles) {
        view->read_preferences();
    }
}

}  // namespace skep::ui
