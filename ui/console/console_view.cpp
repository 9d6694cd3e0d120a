// SPDX-License-Identifier: GPL-3.0-or-later
// ConsoleView: glue between a socket and a terminal.
#include "ui/console/console_view.hpp"

#include <QDir>
#include <QFileDialog>
#include <QLabel>
#include <QMenu>
#include <QMessageBox>
#include <QSaveFile>
#include <QSettings>
#include <QVBoxLayout>

#include "ui/console/console_connection.hpp"
#include "ui/console/find_bar.hpp"

namespace skep::ui {

ConsoleView::ConsoleView(unsigned port, QString vm_name, QWidget* parent)
    : QWidget(parent),
      m_port(port),
      m_vm_name(std::move(vm_name)),
      m_terminal(new TerminalWidget(this)),
      m_find_bar(new FindBar(m_terminal, this)),
      m_notice(new QLabel(this)) {
    setObjectName(QStringLiteral("consoleView%1").arg(port + 1));
    m_terminal->setObjectName(QStringLiteral("terminal%1").arg(port + 1));
    m_terminal->setAccessibleName(tr("Serial console %1").arg(port + 1));
    m_notice->setObjectName(QStringLiteral("consoleNotice"));
    m_notice->setTextFormat(Qt::PlainText);
    m_notice->setWordWrap(true);
    m_notice->setMargin(6);
    m_notice->hide();
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_terminal, 1);
    layout->addWidget(m_find_bar);
    layout->addWidget(m_notice);
    setFocusProxy(m_terminal);
    connect(m_terminal, &TerminalWidget::find_requested, m_find_bar, &FindBar::open);
    connect(m_terminal, &TerminalWidget::text_changed, this, &ConsoleView::text_changed);
    connect(m_terminal, &TerminalWidget::context_menu_requested, this, [this](const QPoint& at) {
        QMenu menu;
        menu.setObjectName(QStringLiteral("terminalMenu"));
        fill_menu(&menu);
        menu.exec(at);
    });
    connect(m_terminal, &TerminalWidget::point_size_changed, this,
            [](int points) { QSettings().setValue(QStringLiteral("terminal/pointSize"), points); });
    read_preferences();
}

ConsoleView::~ConsoleView() = default;

void ConsoleView::read_preferences() {
    const QSettings settings;
    m_terminal->set_point_size(settings.value(QStringLiteral("terminal/pointSize"), m_terminal->point_size()).toInt());
    const QString scheme = settings.value(QStringLiteral("terminal/scheme")).toString();
    m_terminal->set_scheme(scheme == QStringLiteral("dark")    ? TerminalScheme::dark
                           : scheme == QStringLiteral("light") ? TerminalScheme::light
                                                               : TerminalScheme::system);
}

void ConsoleView::attach(ConsoleLink link) {
    delete m_connection;
    m_terminal->screen().reset();
    m_terminal->screen().clear_scrollback();
    m_connection = new ConsoleConnection(std::move(link), this);
    connect(m_connection, &ConsoleConnection::received, m_terminal, &TerminalWidget::feed);
    connect(m_connection, &ConsoleConnection::closed, this, &ConsoleView::link_lost);
    connect(m_terminal, &TerminalWidget::send_to_guest, m_connection, &ConsoleConnection::send);
    set_off({});
}

bool ConsoleView::attached() const {
    return m_connection != nullptr && m_connection->open();
}

void ConsoleView::set_off(const QString& text) {
    const bool blank = last_line().isEmpty();
    m_terminal->set_line(text.isEmpty() ? TerminalWidget::Line::alive : TerminalWidget::Line::dead, blank ? text : QString());
    m_notice->setText(tr("The machine is off. Its last output stays here until it starts again."));
    m_notice->setVisible(!text.isEmpty() && !blank);
}

QString ConsoleView::last_line() const {
    const QStringList lines = m_terminal->text().split(u'\n', Qt::SkipEmptyParts);
    return lines.isEmpty() ? QString() : lines.last().trimmed();
}

QAction* ConsoleView::add_command(QMenu* menu, const QString& name, const QString& text, const QString& keys,
                                  TerminalCommand command) {
    // The key is shown, not bound: the terminal itself answers to it.
    QAction* action = menu->addAction(keys.isEmpty() ? text : text + u'\t' + keys);
    action->setObjectName(name);
    connect(action, &QAction::triggered, m_terminal, [this, command] { m_terminal->run(command); });
    return action;
}

void ConsoleView::fill_menu(QMenu* menu) {
    auto* copy =
        add_command(menu, QStringLiteral("actionCopy"), tr("&Copy"), tr("Ctrl+Shift+C"), TerminalCommand::copy);
    copy->setEnabled(!m_terminal->selected_text().isEmpty());
    add_command(menu, QStringLiteral("actionPaste"), tr("&Paste"), tr("Ctrl+Shift+V"), TerminalCommand::paste)
        ->setEnabled(attached());
    if (m_terminal->pasting()) {
        connect(menu->addAction(tr("Stop pasting")), &QAction::triggered, m_terminal, &TerminalWidget::cancel_paste);
    }
    add_command(menu, QStringLiteral("actionSelectAll"), tr("Select &all"), tr("Ctrl+Shift+A"),
                TerminalCommand::select_all);
    menu->addSeparator();
    add_command(menu, QStringLiteral("actionFind"), tr("&Find…"), tr("Ctrl+Shift+F"), TerminalCommand::find);
    add_command(menu, QStringLiteral("actionZoomIn"), tr("Zoom &in"), tr("Ctrl++"), TerminalCommand::zoom_in);
    add_command(menu, QStringLiteral("actionZoomOut"), tr("Zoom &out"), tr("Ctrl+-"), TerminalCommand::zoom_out);
    add_command(menu, QStringLiteral("actionZoomReset"), tr("&Normal size"), tr("Ctrl+0"), TerminalCommand::zoom_reset);
    menu->addSeparator();
    QAction* size = menu->addAction(tr("Send terminal &size"));
    size->setObjectName(QStringLiteral("actionSendSize"));
    size->setToolTip(tr("Types “stty cols … rows …”: use it at a shell prompt"));
    size->setEnabled(attached());
    connect(size, &QAction::triggered, this, &ConsoleView::send_terminal_size);
    QAction* save = menu->addAction(tr("Save &log…"));
    save->setObjectName(QStringLiteral("actionSaveLog"));
    connect(save, &QAction::triggered, this, &ConsoleView::save_log);
    QAction* clear = menu->addAction(tr("C&lear scrollback"));
    clear->setObjectName(QStringLiteral("actionClearScrollback"));
    connect(clear, &QAction::triggered, m_terminal, [this] {
        m_terminal->screen().clear_scrollback();
        m_terminal->feed({});
    });
    if (m_place != nullptr) {
        menu->addSeparator();
        menu->addAction(m_place);
    }
}

void ConsoleView::send_terminal_size() {
    const TerminalScreen& screen = m_terminal->screen();
    emit m_terminal->send_to_guest(
        QStringLiteral("stty cols %1 rows %2\r").arg(screen.columns()).arg(screen.rows()).toUtf8());
}

void ConsoleView::save_log() {
    QString name = m_vm_name + QStringLiteral("-console.txt");
    name.replace(u'/', u'_');
    const QString path = QFileDialog::getSaveFileName(this, tr("Save the console's text"), QDir::home().filePath(name));
    if (path.isEmpty()) {
        return;
    }
    QSaveFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(m_terminal->screen().all_text().toUtf8()) < 0 ||
        !file.commit()) {
        QMessageBox box(
            QMessageBox::Warning, tr("Save log"),
            tr("The console's text was not saved to '%1': %2. Choose another place.").arg(path, file.errorString()),
            QMessageBox::Ok, this);
        box.setTextFormat(Qt::PlainText);
        box.exec();
    }
}

}  // namespace skep::ui
