// SPDX-License-Identifier: GPL-3.0-or-later
// MessageBar.
#include "ui/widgets/message_bar.hpp"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QStyle>
#include <QVBoxLayout>

namespace skep::ui {

MessageBar::MessageBar(const QString& object_name, MessageLevel level, QWidget* parent)
    : QFrame(parent), m_title(new QLabel(this)), m_text(new QLabel(this)), m_buttons(new QHBoxLayout) {
    setObjectName(object_name);
    setFrameShape(QFrame::StyledPanel);
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::AlternateBase);
    auto* icon = new QLabel(this);
    const auto pixmap = level == MessageLevel::information ? QStyle::SP_MessageBoxInformation
                        : level == MessageLevel::warning   ? QStyle::SP_MessageBoxWarning
                                                           : QStyle::SP_MessageBoxCritical;
    icon->setPixmap(style()->standardIcon(pixmap).pixmap(24, 24));
    m_title->setObjectName(object_name + QStringLiteral("Title"));
    m_text->setObjectName(object_name + QStringLiteral("Text"));
    for (QLabel* label : {m_title, m_text}) {
        label->setTextFormat(Qt::PlainText);
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
        label->setFocusPolicy(Qt::NoFocus);
    }
    QFont bold = m_title->font();
    bold.setBold(true);
    m_title->setFont(bold);
    auto* words = new QVBoxLayout;
    words->setSpacing(2);
    words->addWidget(m_title);
    words->addWidget(m_text);
    words->addLayout(m_buttons);
    m_buttons->addStretch(1);
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(10, 8, 10, 8);
    layout->addWidget(icon, 0, Qt::AlignTop);
    layout->addLayout(words, 1);
    hide();
}

void MessageBar::set_text(const QString& title, const QString& text) {
    m_title->setText(title);
    m_text->setText(text);
    m_text->setVisible(!text.isEmpty());
    setAccessibleName(title);
    setAccessibleDescription(text);
    setVisible(!title.isEmpty());
}

QPushButton* MessageBar::add_button(const QString& object_name, const QString& text, std::function<void()> action) {
    auto* button = new QPushButton(text, this);
    button->setObjectName(object_name);
    button->setAccessibleName(text);
    QObject::connect(button, &QPushButton::clicked, this, [action = std::move(action)] { action(); });
    m_buttons->addWidget(button);
    return button;
}

}  // namespace skep::ui
