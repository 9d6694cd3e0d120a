// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/newvm/unattended_box.hpp"

#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QVBoxLayout>

namespace skep::ui {

namespace {

std::string text_of(const QLineEdit* line) {
    return line->text().toStdString();
}

}  // namespace

UnattendedBox::UnattendedBox(QWidget* parent) : QGroupBox(tr("Install &without questions"), parent) {
    setObjectName(QStringLiteral("unattended"));
    setAccessibleName(tr("Install without questions"));
    setCheckable(true);
    setChecked(false);
    m_reason = new QLabel(this);
    m_reason->setObjectName(QStringLiteral("unattendedReason"));
    m_reason->setTextFormat(Qt::PlainText);
    m_reason->setWordWrap(true);
    m_fields = new QWidget(this);
    auto* form = new QFormLayout(m_fields);
    form->setContentsMargins(0, 0, 0, 0);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_full_name = add_row(form, "unattendedFullName", tr("Full name:"), full_name_problem);
    m_user = add_row(form, "unattendedUser", tr("User name:"), user_problem);
    m_password = add_row(form, "unattendedPassword", tr("Password:"), password_problem);
    m_again = add_row(form, "unattendedAgain", tr("Password again:"), nullptr);
    m_host_name = add_row(form, "unattendedHostName", tr("Host name:"), host_name_problem);
    connect(m_host_name.line, &QLineEdit::textEdited, this, [this] { m_host_name_typed = true; });
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(m_reason);
    layout->addWidget(m_fields);
    connect(this, &QGroupBox::toggled, this, &UnattendedBox::show_problems);
    set_reason({});
}

UnattendedBox::Row UnattendedBox::add_row(QFormLayout* form, const char* name, const QString& label, Check check) {
    const Row row{new QLineEdit(m_fields), new QLabel(m_fields), check};
    const bool secret = check == nullptr || check == password_problem;
    row.line->setObjectName(QString::fromLatin1(name));
    row.line->setAccessibleName(label.chopped(1));
    row.line->setEchoMode(secret ? QLineEdit::Password : QLineEdit::Normal);
    row.note->setObjectName(QStringLiteral("note_") + QString::fromLatin1(name));
    row.note->setTextFormat(Qt::PlainText);
    row.note->setWordWrap(true);
    auto* column = new QVBoxLayout;
    column->setSpacing(2);
    column->addWidget(row.line);
    column->addWidget(row.note);
    auto* title = new QLabel(label, m_fields);
    title->setBuddy(row.line);
    form->addRow(title, column);
    connect(row.line, &QLineEdit::textChanged, this, &UnattendedBox::show_problems);
    return row;
}

void UnattendedBox::set_reason(const QString& reason) {
    setEnabled(reason.isEmpty());
    if (!reason.isEmpty()) {
        setChecked(false);
    }
    m_reason->setText(reason.isEmpty() ? tr("Debian's installer and cloud images take these answers beforehand; the rest is as on this "
                                            "computer. The disk is overwritten without asking.")
                                       : reason);
    show_problems();
}

void UnattendedBox::set_machine_name(const QString& name) {
    if (!m_host_name_typed) {
        const QSignalBlocker blocker(m_host_name.line);
        m_host_name.line->setText(QString::fromStdString(suggest_host_name(name.toStdString())));
    }
}

std::optional<AnswerForm> UnattendedBox::form() const {
    if (!isChecked()) {
        return std::nullopt;
    }
    return AnswerForm{.full_name = text_of(m_full_name.line),
                      .user = text_of(m_user.line),
                      .password = text_of(m_password.line),
                      .host_name = text_of(m_host_name.line)};
}

QString UnattendedBox::problem_of(const Row& row) const {
    const std::string text = text_of(row.line);
    if (row.check != nullptr) {
        return QString::fromStdString(row.check(text));
    }
    return text == text_of(m_password.line) ? QString() : tr("The two passwords are not the same.");
}

bool UnattendedBox::acceptable() const {
    if (!isChecked()) {
        return true;
    }
    for (const Row& row : {m_full_name, m_user, m_password, m_again, m_host_name}) {
        if (!problem_of(row).isEmpty()) {
            return false;
        }
    }
    return true;
}

// What was not filled in yet is not wrong; it only keeps the buttons off.
void UnattendedBox::show_problems() {
    m_fields->setVisible(isChecked());
    for (const Row& row : {m_full_name, m_user, m_password, m_again, m_host_name}) {
        const QString problem = problem_of(row);
        const bool is_said = !problem.isEmpty() && !row.line->text().isEmpty();
        row.note->setText(QStringLiteral("✖ ") + problem);
        row.note->setVisible(is_said);
    }
    emit edited();
}

}  // namespace skep::ui
