// SPDX-License-Identifier: GPL-3.0-or-later
// VmBars.
#include "ui/library/vm_bars.hpp"

#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>
#include <array>

#include "ui/model/background.hpp"
#include "ui/model/vm_session.hpp"
#include "ui/widgets/message_bar.hpp"

namespace skep::ui {

namespace {

// The firmware's words when it has tried everything: SeaBIOS' (src/boot.c; "Retrying in 60 seconds." may follow) and OVMF's
// (edk2, BdsDxe).
const std::array k_nothing_to_boot{"No bootable device.", "BdsDxe: No bootable option or device was found.",
                                   "BdsDxe: Press any key to enter the Boot Manager Menu."};

}  // namespace

VmBars::VmBars(VmSession* session, VmBarActions actions, QWidget* parent)
    : QWidget(parent), m_session(session), m_actions(std::move(actions)) {
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    const auto add = [this, layout](const char* name, MessageLevel level) {
        auto* bar = new MessageBar(QString::fromLatin1(name), level, this);
        layout->addWidget(bar);
        return bar;
    };
    m_crash = add("crashBar", MessageLevel::critical);
    m_crash->add_button(QStringLiteral("crashRestart"), tr("&Restart"), [this] { m_session->start(); });
    m_crash->add_button(QStringLiteral("crashLog"), tr("Show &log"), m_actions.show_log);
    m_crash->add_button(QStringLiteral("crashReport"), tr("Save re&port…"), m_actions.save_report);
    m_crash->add_button(QStringLiteral("crashDismiss"), tr("Dismiss"), [this] { m_session->dismiss_crash(); });
    m_failed = add("failedBar", MessageLevel::warning);
    m_failed->add_button(QStringLiteral("failedStart"), tr("&Start again"), [this] { m_session->start(); });
    m_failed->add_button(QStringLiteral("failedSettings"), tr("S&ettings…"), m_actions.edit_settings);
    m_failed->add_button(QStringLiteral("failedLog"), tr("Show &log"), m_actions.show_log);
    m_failed->add_button(QStringLiteral("failedDismiss"), tr("Dismiss"), [this] { m_session->dismiss_crash(); });
    m_broken = add("brokenBar", MessageLevel::critical);
    m_broken->add_button(QStringLiteral("brokenFolder"), tr("&Open folder"), m_actions.open_folder);
    m_restore = m_broken->add_button(QStringLiteral("brokenRestore"), tr("&Restore previous version"),
                                     [this] { m_session->restore_previous(); });
    m_broken->add_button(QStringLiteral("brokenDelete"), tr("Delete…"), m_actions.delete_machine);
    m_space = add("noSpaceBar", MessageLevel::warning);
    m_space->add_button(QStringLiteral("noSpaceRetry"), tr("&Retry"), [this] { m_session->retry(); });
    m_boot = add("bootBar", MessageLevel::warning);
    m_insert = m_boot->add_button(QStringLiteral("bootInsert"), tr("&Insert a CD and try again…"),
                                  m_actions.insert_and_reset);
    m_boot->add_button(QStringLiteral("bootSettings"), tr("S&ettings…"), m_actions.edit_settings);
    m_notice = add("noticeBar", MessageLevel::information);
    m_notice->add_button(QStringLiteral("noticeDismiss"), tr("Dismiss"), [this] { m_session->dismiss_notice(); });
    m_later = add("nextStartBar", MessageLevel::information);
    refresh();
}

void VmBars::set_last_line(const QString& line) {
    const bool nothing = std::ranges::any_of(k_nothing_to_boot, [&](const char* words) { return line.startsWith(QLatin1String(words)); });
    if (nothing != m_nothing_to_boot) {
        m_nothing_to_boot = nothing;
        refresh();
    }
}

// Why the firmware found nothing, as far as the drives tell, and what to do.
QString VmBars::boot_advice() const {
    const VmSpec& spec = *m_session->spec();
    if (spec.cds.empty()) {
        return spec.disks.empty()
                   ? tr("It has neither a disk nor a CD drive: turn it off and add one in its settings.")
                   : tr("Nothing that starts is on its disk, and it has no CD drive for an installer: turn it off and "
                        "add one in its settings.");
    }
    const QString file = m_session->cd_file(to_qstring(spec.cds.front().id)).section(u'/', -1);
    if (!file.isEmpty()) {
        const QString firmware = spec.firmware == Firmware::uefi ? tr("UEFI") : tr("BIOS");
        return tr("“%1” does not start on a PC with %2 firmware, and nothing else does: insert another CD image.").arg(file, firmware);
    }
    return spec.disks.empty() ? tr("Its CD drive is empty and it has no disk: insert the CD image of an installer.")
                              : tr("Its CD drive is empty and nothing that starts is on its disk: insert the CD image of "
                                   "an installer.");
}

void VmBars::refresh() {
    const VmState state = m_session->state();
    const QString& name = m_session->name();
    const QString& reason = m_session->reason();
    const auto show = [](MessageBar* bar, bool on, const QString& title, const QString& text) {
        bar->set_text(on ? title : QString(), text);
    };
    show(m_crash, state == VmState::crashed, tr("“%1” stopped unexpectedly").arg(name), reason);
    show(m_failed, state == VmState::failed || state == VmState::refused,
         state == VmState::failed ? tr("“%1” ended with an error").arg(name) : tr("“%1” was not started").arg(name), reason);
    show(m_broken, state == VmState::broken, tr("The settings of “%1” cannot be read").arg(name), reason);
    const bool previous = m_session->bundle() && m_session->bundle()->has_previous();
    m_restore->setEnabled(previous);
    m_restore->setToolTip(previous ? QString() : tr("No earlier version of the settings was kept"));
    show(m_space, state == VmState::no_space, tr("“%1” waits for disk space").arg(name), reason);
    const auto& spec = m_session->spec();
    const bool lost = m_nothing_to_boot && state == VmState::running && spec && boots_from_drives(spec->firmware);
    show(m_boot, lost, tr("“%1” has nothing to start from").arg(name), lost ? boot_advice() : QString());
    m_insert->setVisible(spec && !spec->cds.empty());
    show(m_notice, !m_session->notice().isEmpty(), name, m_session->notice());
    show(m_later, m_session->changed_while_running(), tr("Changed settings take effect at the next start"), {});
}

}  // namespace skep::ui
