// SPDX-License-Identifier: GPL-3.0-or-later
// LibraryWindow: actions on several machines, deleting with Undo, closing while machines run.
#include <QCheckBox>
#include <QCloseEvent>
#include <QDesktopServices>
#include <QListView>
#include <QMenu>
#include <QMessageBox>
#include <QPushButton>
#include <QSettings>
#include <QSortFilterProxyModel>
#include <QTimer>

#include "ui/library/library_window.hpp"
#include "ui/library/vm_page.hpp"
#include "ui/model/background.hpp"
#include "ui/widgets/dialogs.hpp"
#include "ui/widgets/message_bar.hpp"

namespace skep::ui {

std::vector<VmSession*> LibraryWindow::selected_sessions() const {
    std::vector<VmSession*> sessions;
    for (const QModelIndex& index : m_list->selectionModel()->selectedIndexes()) {
        if (auto* session = index.data(VmListModel::session_role).value<VmSession*>()) {
            sessions.push_back(session);
        }
    }
    return sessions;
}

void LibraryWindow::list_menu(const QPoint& at) {
    const auto sessions = selected_sessions();
    if (sessions.empty()) {
        return;
    }
    QMenu menu;
    menu.setObjectName(QStringLiteral("listMenu"));
    const auto add = [&](const QString& name, const QString& text, auto wanted, auto action) {
        const bool any = std::any_of(sessions.begin(), sessions.end(), wanted);
        QAction* entry = menu.addAction(text);
        entry->setObjectName(name);
        entry->setEnabled(any);
        connect(entry, &QAction::triggered, this, [sessions, wanted, action] {
            for (VmSession* session : sessions) {
                if (wanted(session)) {
                    action(session);
                }
            }
        });
    };
    const auto can_start = [](VmSession* s) { return !is_active(s->state()) && s->state() != VmState::broken; };
    const auto active = [](VmSession* s) { return is_active(s->state()); };
    const auto one_readable = [&sessions](VmSession* s) { return sessions.size() == 1 && s->spec().has_value(); };
    const auto one_off = [&sessions](VmSession* s) { return sessions.size() == 1 && !is_active(s->state()); };
    add(QStringLiteral("listStart"), tr("&Start"), can_start, [](VmSession* s) { s->start(); });
    add(QStringLiteral("listShutDown"), tr("Shut &down"), active, [](VmSession* s) { s->shut_down(); });
    add(QStringLiteral("listForceOff"), tr("&Force off…"), active,
        [this](VmSession* s) { page_of(s)->confirm_power_off(); });
    menu.addSeparator();
    add(QStringLiteral("listSettings"), tr("S&ettings…"), one_readable,
        [this](VmSession* s) { page_of(s)->edit_settings(); });
    add(
        QStringLiteral("listFolder"), tr("Open f&older"), [n = sessions.size()](VmSession*) { return n == 1; },
        [this](VmSession* s) { page_of(s)->open_folder(); });
    add(QStringLiteral("listDelete"), tr("De&lete…"), one_off, [this](VmSession* s) { delete_machine(s); });
    menu.exec(m_list->viewport()->mapToGlobal(at));
}

void LibraryWindow::delete_machine(VmSession* session) {
    if (!session->bundle()) {
        return;
    }
    if (is_active(session->state())) {
        show_error(this, tr("“%1” was not deleted").arg(session->name()),
                   tr("It is running: turn it off, then delete it."));
        return;
    }
    in_background(
        this, [bundle = *session->bundle()] { return std::pair(bundle, bundle.files()); },
        [this, name = session->name()](const std::pair<Bundle, std::vector<BundleFile>>& found) {
            auto* dialog = new DeleteDialog(name, to_qstring(found.first.folder().string()), found.second, this);
            dialog->setAttribute(Qt::WA_DeleteOnClose);
            connect(dialog, &QDialog::accepted, this,
                    [this, dialog, bundle = found.first] { do_delete(bundle, dialog->disk_fate(), DeleteMode::trash); });
            dialog->open();
        });
}

void LibraryWindow::do_delete(const Bundle& bundle, DiskFate fate, DeleteMode mode) {
    in_background(
        this, [bundle, fate, mode] { return delete_bundle(bundle, fate, mode); },
        [this, bundle, fate, mode](const Result<Deleted>& deleted) {
            m_model.rescan();
            if (!deleted && deleted.error().kind == ErrorKind::unsupported && mode == DeleteMode::trash) {
                ask_permanently(bundle, fate, to_qstring(deleted.error().message));
                return;
            }
            if (!deleted) {
                show_error(this, tr("The machine was not deleted"), to_qstring(deleted.error().message));
                return;
            }
            m_deleted = *deleted;
            const QString kept =
                deleted->kept.empty()
                    ? QString()
                    : tr("Its disks are in %1.").arg(to_qstring(deleted->kept.front().second.parent_path().string()));
            const QString name = to_qstring(deleted->name);
            const bool for_good = deleted->trashed.empty();
            m_undo_bar->set_text(for_good ? tr("“%1” is deleted").arg(name) : tr("“%1” is in the trash").arg(name), kept);
            m_undo_bar->findChild<QPushButton*>(QStringLiteral("undoDelete"))->setVisible(!for_good);
        });
}

void LibraryWindow::ask_permanently(const Bundle& bundle, DiskFate fate, const QString& why) {
    ask(this, QStringLiteral("confirmPermanently"), tr("Delete “%1” for good?").arg(to_qstring(bundle.folder_name())),
        why + u'\n' + tr("There is no Undo."), tr("&Delete for good"),
        [this, bundle, fate] { do_delete(bundle, fate, DeleteMode::permanently); });
}

void LibraryWindow::undo() {
    if (!m_deleted) {
        return;
    }
    in_background(
        this, [deleted = *m_deleted] { return undo_delete(deleted); },
        [this](const Result<Bundle>& bundle) {
            if (!bundle) {
                show_error(this, tr("The machine was not put back"), to_qstring(bundle.error().message));
                return;
            }
            m_deleted.reset();
            m_undo_bar->hide();
            start_new(to_qstring(bundle->folder().string()), false);
        });
}

void LibraryWindow::closeEvent(QCloseEvent* event) {
    QSettings settings;
    settings.setValue(QStringLiteral("window/geometry"), saveGeometry());
    bool active = false;
    for (int row = 0; row < m_model.rowCount(); ++row) {
        active = active || is_active(m_model.session(row)->state());
    }
    const QString action = settings.value(QStringLiteral("quitAction")).toString();
    if (m_may_close || !active) {
        event->accept();
        return;
    }
    event->ignore();
    if (action.isEmpty()) {
        ask_before_closing();
    } else {
        close_with(action);
    }
}

void LibraryWindow::ask_before_closing() {
    auto* box = new QMessageBox(QMessageBox::Question, tr("Close Skep"), tr("Machines are running."),
                                QMessageBox::Cancel, this);
    box->setObjectName(QStringLiteral("quitDialog"));
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->setTextFormat(Qt::PlainText);
    box->setInformativeText(
        tr("They can go on without the window; open Skep again to see them. Forcing them off loses "
           "what the guests have not written to disk."));
    auto* remember = new QCheckBox(tr("&Remember this choice"), box);
    remember->setObjectName(QStringLiteral("quitRemember"));
    box->setCheckBox(remember);
    const auto add = [&](const QString& name, const QString& text, const QString& action) {
        QPushButton* button = box->addButton(text, QMessageBox::AcceptRole);
        button->setObjectName(name);
        connect(button, &QPushButton::clicked, this, [this, action, remember] {
            if (remember->isChecked()) {
                QSettings().setValue(QStringLiteral("quitAction"), action);
            }
            close_with(action);
        });
        return button;
    };
    box->setDefaultButton(add(QStringLiteral("quitKeep"), tr("&Keep running"), QStringLiteral("keep")));
    add(QStringLiteral("quitShutDown"), tr("&Shut down"), QStringLiteral("shutdown"));
    add(QStringLiteral("quitForceOff"), tr("&Force off"), QStringLiteral("off"));
    box->open();
}

void LibraryWindow::close_with(const QString& action) {
    for (int row = 0; row < m_model.rowCount(); ++row) {
        VmSession* session = m_model.session(row);
        if (!is_active(session->state())) {
            continue;
        }
        if (action == QStringLiteral("shutdown")) {
            session->shut_down();
        } else if (action == QStringLiteral("off")) {
            session->power_off();
        }
    }
    m_may_close = true;
    QTimer::singleShot(100, this, [this] { close(); });
}

}  // namespace skep::ui
