// SPDX-License-Identifier: GPL-3.0-or-later
// HostCheckDialog.
#include "ui/library/host_check_dialog.hpp"

#include <QApplication>
#include <QClipboard>
#include <QDialogButtonBox>
#include <QFrame>
#include <QGridLayout>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QStyle>
#include <QVBoxLayout>

#include "ui/model/background.hpp"

namespace skep::ui {

HostCheckDialog::HostCheckDialog(QWidget* parent) : QDialog(parent) {
    setObjectName(QStringLiteral("hostCheckDialog"));
    setWindowTitle(tr("Host check"));
    setAccessibleName(windowTitle());
    auto* page = new QWidget;
    m_cards = new QVBoxLayout(page);
    auto* scroll = new QScrollArea(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidget(page);
    auto* box = new QDialogButtonBox(QDialogButtonBox::Close, this);
    QPushButton* again = box->addButton(tr("&Re-check"), QDialogButtonBox::ActionRole);
    again->setObjectName(QStringLiteral("hostRecheck"));
    connect(again, &QPushButton::clicked, this, &HostCheckDialog::check);
    connect(box, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(scroll, 1);
    layout->addWidget(box);
    resize(600, 460);
    check();
}

void HostCheckDialog::check() {
    in_background(
        this, [] { return check_host(probe_host()); },
        [this](const std::vector<HostFinding>& findings) { show_findings(findings); });
}

void HostCheckDialog::show_findings(const std::vector<HostFinding>& findings) {
    while (QLayoutItem* item = m_cards->takeAt(0)) {
        delete item->widget();
        delete item;
    }
    for (const HostFinding& finding : findings) {
        m_cards->addWidget(make_card(finding));
    }
    m_cards->addStretch(1);
}

QWidget* HostCheckDialog::make_card(const HostFinding& finding) {
    auto* card = new QFrame;
    card->setObjectName(QStringLiteral("finding_") + to_qstring(finding.id));
    card->setAccessibleName(to_qstring(finding.title));
    card->setFrameShape(QFrame::StyledPanel);
    auto* grid = new QGridLayout(card);
    grid->setColumnStretch(1, 1);
    auto* icon = new QLabel(card);
    const auto sign = finding.level == CheckLevel::ok        ? QStyle::SP_DialogApplyButton
                      : finding.level == CheckLevel::warning ? QStyle::SP_MessageBoxWarning
                                                             : QStyle::SP_MessageBoxCritical;
    icon->setPixmap(style()->standardIcon(sign).pixmap(22, 22));
    grid->addWidget(icon, 0, 0, Qt::AlignTop);
    int row = 0;
    const auto add_text = [&](const std::string& text, bool bold) {
        if (text.empty()) {
            return;
        }
        auto* label = new QLabel(to_qstring(text), card);
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        QFont font = label->font();
        font.setBold(bold);
        label->setFont(font);
        grid->addWidget(label, row++, 1, 1, 2);
    };
    add_text(finding.title, true);
    add_text(finding.cause, false);
    add_text(finding.cure, false);
    if (!finding.command.empty()) {
        auto* command = new QLabel(to_qstring(finding.command), card);
        command->setTextFormat(Qt::PlainText);
        command->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
        auto* copy = new QPushButton(tr("Copy command"), card);
        copy->setObjectName(QStringLiteral("copy_") + to_qstring(finding.id));
        copy->setAccessibleName(tr("Copy the command for %1").arg(to_qstring(finding.title)));
        connect(copy, &QPushButton::clicked, card,
                [text = to_qstring(finding.command)] { QApplication::clipboard()->setText(text); });
        grid->addWidget(command, row, 1);
        grid->addWidget(copy, row, 2);
    }
    return card;
}

QString blocking_finding(const std::vector<HostFinding>& findings) {
    for (const HostFinding& finding : findings) {
        if (finding.level == CheckLevel::error) {
            return to_qstring(finding.cause);
        }
    }
    return {};
}

}  // namespace skep::ui
