// SPDX-License-Identifier: GPL-3.0-or-later
// VmPage: everything it does goes through the session; here are only buttons and their risks.
#include "ui/library/vm_page.hpp"

#include <QApplication>
#include <QAction>
#include <QDesktopServices>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QStyle>
#include <QToolBar>
#include <QToolButton>
#include <QUrl>
#include <QVBoxLayout>

#include "ui/library/overview_tab.hpp"
#include "ui/library/text_dialog.hpp"
#include "ui/library/vm_bars.hpp"
#include "ui/library/vm_tabs.hpp"
#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"
#include "ui/settings/settings_dialog.hpp"
#include "ui/widgets/dialogs.hpp"
#include "ui/widgets/media_icon.hpp"
#include "vmm/control/host_check.hpp"
#include "vmm/spec/spec_yaml.hpp"

namespace skep::ui {

VmPage::VmPage(VmSession* session, QWidget* parent)
    : QWidget(parent),
      m_session(session),
      m_toolbar(new QToolBar(this)),
      m_name(new QLabel(this)),
      m_badge(new QLabel(this)),
      m_bars(new VmBars(session, bar_actions(), this)),
      m_tabs(new VmTabs(session, this)) {
    setObjectName(QStringLiteral("vmPage"));
    build_toolbar();
    m_tabs->set_machine_menu([this](QMenu* menu) { fill_machine_menu(menu); });
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_toolbar);
    layout->addWidget(m_bars);
    layout->addWidget(m_tabs, 1);
    connect(m_tabs->overview(), &OverviewTab::log_requested, this, &VmPage::show_log);
    connect(m_tabs->overview(), &OverviewTab::folder_requested, this, &VmPage::open_folder);
    connect(m_tabs, &VmTabs::last_line_changed, m_bars, &VmBars::set_last_line);
    connect(m_tabs, &VmTabs::keyboard_given_back, this, &VmPage::focus_buttons);
    connect(m_tabs, &QTabWidget::currentChanged, this, &VmPage::name_console_button);
    connect(m_session, &VmSession::changed, this, &VmPage::update_page);
    connect(m_session, &VmSession::failed, this,
            [this](const QString& title, const QString& message) { show_error(window(), title, message); });
    name_console_button();
    update_page();
}

QAction* VmPage::add_action(const QString& name, const QString& text, const QString& tip, const QKeySequence& keys) {
    auto* action = new QAction(text, this);
    action->setObjectName(name);
    action->setShortcut(keys);
    const QString shown = keys.toString(QKeySequence::NativeText);
    action->setToolTip(keys.isEmpty() ? tip : tr("%1 (%2)").arg(tip, shown));
    return action;
}

void VmPage::build_toolbar() {
    m_toolbar->setObjectName(QStringLiteral("vmToolbar"));
    m_toolbar->setAccessibleName(tr("Machine"));
    m_toolbar->setMovable(false);
    m_toolbar->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_toolbar->setIconSize({18, 18});
    for (QLabel* label : {m_name, m_badge}) {
        label->setTextFormat(Qt::PlainText);
        label->setMargin(6);
    }
    QFont bold = m_name->font();
    bold.setBold(true);
    m_name->setFont(bold);
    m_name->setObjectName(QStringLiteral("vmName"));
    m_badge->setObjectName(QStringLiteral("vmState"));
    m_badge->setAccessibleName(tr("State"));
    add_power_actions();
    m_cd_menu = new QMenu(this);
    m_cd = new QToolButton(this);
    m_cd->setObjectName(QStringLiteral("cdButton"));
    m_cd->setText(tr("Devices"));
    m_cd->setAccessibleName(tr("CD drives and USB sticks"));
    m_cd->setToolTip(tr("Insert or eject a CD image or a USB stick"));
    m_cd->setIcon(style()->standardIcon(QStyle::SP_DriveCDIcon));
    m_cd->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_cd->setPopupMode(QToolButton::InstantPopup);
    m_cd->setMenu(m_cd_menu);
    connect(m_cd_menu, &QMenu::aboutToShow, this, &VmPage::fill_cd_menu);
    m_toolbar->addWidget(m_cd);
    m_console_menu = new QMenu(this);
    m_console_button = new QToolButton(this);
    m_console_button->setObjectName(QStringLiteral("consoleButton"));
    m_console_button->setText(tr("Console"));
    m_console_button->setAccessibleName(tr("Actions of the screen or console"));
    m_console_button->setToolTip(tr("What can be done with the screen or console in front"));
    m_console_button->setPopupMode(QToolButton::InstantPopup);
    m_console_button->setMenu(m_console_menu);
    connect(m_console_menu, &QMenu::aboutToShow, this, &VmPage::fill_console_menu);
    m_toolbar->addWidget(m_console_button);
    m_settings = add_action(QStringLiteral("actionSettings"), tr("S&ettings…"), tr("Change the machine"),
                            QKeySequence(tr("Ctrl+Shift+E")));
    m_settings->setIconText(tr("Settings"));
    connect(m_settings, &QAction::triggered, this, &VmPage::edit_settings);
    m_toolbar->addAction(m_settings);
    auto* spacer = new QWidget(this);
    spacer->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    m_toolbar->addWidget(spacer);
    m_toolbar->addWidget(m_name);
    m_toolbar->addWidget(m_badge);
}

void VmPage::add_power_actions() {
    m_start = add_action(QStringLiteral("actionStart"), tr("&Start"), tr("Turn the machine on"),
                         QKeySequence(tr("Ctrl+Shift+R")));
    m_start->setIcon(media_icon(MediaSign::start));
    connect(m_start, &QAction::triggered, m_session, &VmSession::start);
    m_toolbar->addAction(m_start);
    auto* shut_down = add_action(QStringLiteral("actionShutDown"), tr("Shut &down (asks the guest; nothing is lost)"),
                                 tr("Presses the power button: the guest shuts itself down"));
    auto* power_off = add_action(QStringLiteral("actionForceOff"), tr("&Force off… (unsaved data is lost)"),
                                 tr("As pulling the plug"));
    auto* reset =
        add_action(QStringLiteral("actionReset"), tr("&Reset… (unsaved data is lost)"), tr("As the reset button"));
    connect(shut_down, &QAction::triggered, m_session, &VmSession::shut_down);
    connect(power_off, &QAction::triggered, this, &VmPage::confirm_power_off);
    connect(reset, &QAction::triggered, this, &VmPage::confirm_reset);
    auto* menu = new QMenu(this);
    menu->setObjectName(QStringLiteral("stopMenu"));
    menu->addActions({shut_down, power_off, reset});
    m_stop = new QToolButton(this);
    m_stop->setObjectName(QStringLiteral("stopButton"));
    m_stop->setText(tr("Stop"));
    m_stop->setAccessibleName(tr("Stop the machine"));
    m_stop->setToolTip(tr("Shut down, force off or reset the machine"));
    m_stop->setIcon(media_icon(MediaSign::stop));
    m_stop->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_stop->setPopupMode(QToolButton::InstantPopup);
    m_stop->setMenu(menu);
    m_toolbar->addWidget(m_stop);
    m_pause = add_action(QStringLiteral("actionPause"), tr("&Pause"), tr("Stop the guest's time, and let it go on"),
                         QKeySequence(tr("Ctrl+Shift+P")));
    m_pause->setIcon(media_icon(MediaSign::pause));
    connect(m_pause, &QAction::triggered, this, [this] {
        if (m_session->state() == VmState::paused) {
            m_session->resume();
        } else {
            m_session->pause();
        }
    });
    m_toolbar->addAction(m_pause);
}

VmBarActions VmPage::bar_actions() {
    return {.show_log = [this] { show_log(); },
            .save_report = [this] { save_report(); },
            .open_folder = [this] { open_folder(); },
            .edit_settings = [this] { edit_settings(); },
            .delete_machine = [this] { emit delete_requested(); },
            .insert_and_reset = [this] { insert_and_reset(); }};
}

ConsoleView* VmPage::console(unsigned port) const {
    return m_tabs->console(port);
}

ScreenView* VmPage::screen() const {
    return m_tabs->screen();
}

void VmPage::focus_work() {
    QWidget* start = m_toolbar->widgetForAction(m_start);
    if (!m_tabs->focus_guest() && start != nullptr) {
        start->setFocus();
    }
}

// The guest has given the keyboard back: to the first button that can be pressed.
void VmPage::focus_buttons() {
    m_console_button->setFocus();
}

void VmPage::name_console_button() {
    m_console_button->setText(m_tabs->menu_title());
}

void VmPage::update_page() {
    const VmState state = m_session->state();
    const bool active = is_active(state);
    m_name->setText(m_session->name());
    m_badge->setText(state_text(state));
    m_start->setEnabled(!active && state != VmState::broken);
    m_stop->setEnabled(active);
    for (QAction* action : m_stop->menu()->actions()) {
        action->setEnabled(active);
    }
    m_pause->setEnabled(state == VmState::running || state == VmState::paused);
    m_pause->setIcon(media_icon(state == VmState::paused ? MediaSign::start : MediaSign::pause));
    m_pause->setText(state == VmState::paused ? tr("&Resume") : tr("&Pause"));
    m_settings->setEnabled(m_session->spec().has_value());
    m_cd->setEnabled(m_session->spec().has_value());
    m_tabs->refresh();
    const QWidget* focus = QApplication::focusWidget();
    const bool answering = focus != nullptr && m_bars->isAncestorOf(focus);
    m_bars->refresh();
    if (answering && !focus->isVisible()) {
        focus_work();  // the trouble is over; the keys go to the guest again
    }
}

void VmPage::confirm_power_off() {
    ask(window(), QStringLiteral("confirmForceOff"), tr("Force “%1” off?").arg(m_session->name()),
        tr("This is like pulling the plug: what the guest has not written to disk yet is lost."), tr("&Force off"),
        [this] { m_session->power_off(); });
}

void VmPage::confirm_reset() {
    ask(window(), QStringLiteral("confirmReset"), tr("Reset “%1”?").arg(m_session->name()),
        tr("The guest starts again at once: what it has not written to disk yet is lost."), tr("&Reset"),
        [this] { m_session->reset_machine(); });
}

void VmPage::fill_cd_menu() {
    m_cd_menu->clear();
    std::vector<CdSpec> drives;
    if (m_session->spec()) {
        drives = m_session->spec()->cds;
    }
    for (const CdSpec& cd : drives) {
        const QString id = to_qstring(cd.id);
        const QString file = m_session->cd_file(id);
        auto* change = m_cd_menu->addAction(tr("Change the CD in %1…").arg(id));
        change->setObjectName(QStringLiteral("actionChangeCd_") + id);
        connect(change, &QAction::triggered, this, [this, id] { insert_cd(id); });
        auto* eject = m_cd_menu->addAction(file.isEmpty() ? tr("%1 is empty").arg(id)
                                                          : tr("Eject %1").arg(file.section(u'/', -1)));
        eject->setObjectName(QStringLiteral("actionEject_") + id);
        eject->setEnabled(!file.isEmpty());
        connect(eject, &QAction::triggered, this, [this, id] { m_session->eject(id); });
    }
    if (drives.empty()) {
        if (is_active(m_session->state())) {
            m_cd_menu->addAction(tr("This machine has no CD drive: add one in Settings"))->setEnabled(false);
        } else {
            auto* insert = m_cd_menu->addAction(tr("Insert a CD…"));
            connect(insert, &QAction::triggered, this, [this] { insert_cd(QStringLiteral("cd0")); });
        }
    }
    add_stick_actions();
}

void VmPage::add_stick_actions() {
    const bool active = is_active(m_session->state());
    m_cd_menu->addSeparator();
    auto* attach = m_cd_menu->addAction(tr("USB stick from an image file…"));
    attach->setObjectName(QStringLiteral("actionAttachStick"));
    attach->setEnabled(active && m_session->running_spec() && m_session->running_spec()->effective_usb() != UsbKind::none);
    connect(attach, &QAction::triggered, this, [this] {
        const QString file = pick_file(window(), tr("Choose the image of a USB stick"), tr("Disk images (*.img *.raw *.iso);;All files (*)"));
        if (!file.isEmpty()) {
            m_session->attach_stick(file);
        }
    });
    for (const auto& [id, file] : m_session->sticks()) {
        auto* eject = m_cd_menu->addAction(tr("Eject %1 (the guest should unmount it first)").arg(file.section(u'/', -1)));
        eject->setObjectName(QStringLiteral("actionDetachStick_") + id);
        connect(eject, &QAction::triggered, this, [this, stick = id] { m_session->detach_stick(stick); });
    }
}

QString VmPage::pick_cd() {
    return pick_file(window(), tr("Choose a CD image"), tr("CD images (*.iso);;All files (*)"));
}

void VmPage::insert_cd(const QString& drive) {
    const QString file = pick_cd();
    if (!file.isEmpty()) {
        m_session->insert(drive, file);
    }
}

void VmPage::insert_and_reset() {
    const QString file = pick_cd();
    if (!file.isEmpty() && m_session->spec() && !m_session->spec()->cds.empty()) {
        m_session->insert(to_qstring(m_session->spec()->cds.front().id), file);
        m_session->reset_machine();
    }
}

void VmPage::read_preferences() {
    m_tabs->read_preferences();
}

void VmPage::fill_machine_menu(QMenu* menu) {
    menu->addActions({m_start, m_pause});
    menu->addActions(m_stop->menu()->actions());
    menu->addSeparator();
    menu->addAction(m_settings);
}

void VmPage::fill_console_menu() {
    m_console_menu->clear();
    m_tabs->fill_menu(m_console_menu);
}

void VmPage::show_log() {
    if (!m_session->bundle()) {
        return;
    }
    in_background(
        this, [bundle = *m_session->bundle()] { return log_tail(bundle, 500); },
        [this](const std::string& text) {
            show_text(window(), QStringLiteral("logDialog"), tr("Log of “%1”").arg(m_session->name()),
                      text.empty() ? tr("The log is empty.") : to_qstring(text));
        });
}

void VmPage::open_folder() {
    QDesktopServices::openUrl(QUrl::fromLocalFile(m_session->folder()));
}

void VmPage::save_report() {
    if (!m_session->bundle()) {
        return;
    }
    const QString head = QStringLiteral("%1\nstate: %2\n%3\n")
                             .arg(m_session->name(), state_text(m_session->state()), m_session->reason());
    const std::string yaml = m_session->spec() ? print_spec(*m_session->spec()) : std::string();
    in_background(
        this,
        [bundle = *m_session->bundle(), yaml] {
            std::string text = "\n== vm.yaml\n" + yaml + "\n== host\n";
            for (const HostFinding& finding : check_host(probe_host())) {
                text += finding.id + ": " + finding.cause + "\n";
            }
            return text + "\n== log\n" + log_tail(bundle, 500);
        },
        [this, head](const std::string& text) {
            save_text(window(), tr("Save report"), m_session->name() + QStringLiteral("-report.txt"),
                      head + to_qstring(text));
        });
}

void VmPage::edit_settings() {
    if (!m_session->spec()) {
        return;
    }
    const auto activity = is_active(m_session->state()) ? MachineActivity::running : MachineActivity::off;
    auto* dialog = new SettingsDialog(*m_session->spec(), m_session->folder().toStdString(), read_host_facts(),
                                      activity, window());
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &QDialog::accepted, this, [this, dialog] { save_settings(dialog); });
    dialog->open();
}

void VmPage::save_settings(SettingsDialog* dialog) {
    VmSpec wanted = dialog->edited();
    const QString new_name = to_qstring(wanted.name);
    wanted.name = dialog->original().name;
    m_session->update_spec(tr("The settings were not saved"),
                           [wanted, original = dialog->original(), disks = dialog->new_disks(),
                            bundle = *m_session->bundle()](VmSpec& spec) -> Status {
                               if (spec != original) {
                                   return fail(ErrorKind::in_use,
                                               "'{}' was changed elsewhere meanwhile: open its settings again.",
                                               original.name);
                               }
                               spec = wanted;
                               for (const NewDisk& disk : disks) {
                                   if (auto made = bundle.create_disk(spec, disk); !made) {
                                       return tl::unexpected(made.error());
                                   }
                               }
                               return {};
                           },
                           [this, original = dialog->original(), wanted] {
                               m_session->change_networks(original, wanted);
                               m_session->change_media(original, wanted);
                           });
    if (new_name != m_session->name()) {
        m_session->rename(new_name);
    }
}

}  // namespace skep::ui
