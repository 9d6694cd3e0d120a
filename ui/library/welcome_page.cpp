// SPDX-License-Identifier: GPL-3.0-or-later
// WelcomePage: the empty state and the drop zone (the window takes the drop).
#include "ui/library/welcome_page.hpp"

#include <QIcon>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>

namespace skep::ui {

WelcomePage::WelcomePage(QWidget* parent)
    : QWidget(parent),
      m_title(new QLabel(this)),
      m_text(new QLabel(this)),
      m_try(new QPushButton(tr("&Try a small Linux"), this)) {
    setObjectName(QStringLiteral("welcomePage"));
    setAccessibleName(tr("Welcome"));
    auto* picture = new QLabel(this);
    picture->setPixmap(QIcon(QStringLiteral(":/icons/skep.svg")).pixmap(96, 96));
    QFont big = m_title->font();
    big.setPointSizeF(big.pointSizeF() * 1.6);
    m_title->setFont(big);
    m_title->setObjectName(QStringLiteral("welcomeTitle"));
    m_text->setObjectName(QStringLiteral("welcomeText"));
    auto* create = new QPushButton(tr("New &virtual machine…"), this);
    create->setObjectName(QStringLiteral("welcomeNew"));
    create->setAccessibleName(tr("New virtual machine"));
    m_try->setObjectName(QStringLiteral("tryButton"));
    m_try->setAccessibleName(tr("Try a small Linux"));
    auto* hint = new QLabel(tr("A minute's look at a running guest: made from this computer's own kernel, no download."), this);
    hint->setObjectName(QStringLiteral("tryHint"));
    const int width = std::max(create->sizeHint().width(), m_try->sizeHint().width()) + 24;
    for (QPushButton* button : {create, m_try}) {
        button->setMinimumWidth(width);
    }
    auto* layout = new QVBoxLayout(this);
    layout->addStretch(2);
    layout->addWidget(picture, 0, Qt::AlignHCenter);
    layout->addWidget(m_title, 0, Qt::AlignHCenter);
    layout->addWidget(m_text);  // the whole width: an aligned label would not be given a second line
    layout->addSpacing(12);
    layout->addWidget(create, 0, Qt::AlignHCenter);
    layout->addSpacing(12);
    layout->addWidget(m_try, 0, Qt::AlignHCenter);
    layout->addWidget(hint);
    for (QLabel* label : {m_text, hint}) {
        label->setAlignment(Qt::AlignHCenter);
        label->setWordWrap(true);
    }
    layout->addStretch(3);
    connect(create, &QPushButton::clicked, this, &WelcomePage::new_requested);
    connect(m_try, &QPushButton::clicked, this, &WelcomePage::try_requested);
    set_library_empty(true);
}

void WelcomePage::set_library_empty(bool empty) {
    m_title->setText(empty ? tr("No virtual machines yet") : tr("Choose a machine"));
    m_text->setText(empty ? tr("Drop an installer's CD image here, or press New and pick one.")
                          : tr("Pick one from the list, or drop an installer's CD image here."));
}

void WelcomePage::set_try_reason(const QString& reason) {
    m_try->setEnabled(reason.isEmpty());
    m_try->setToolTip(reason.isEmpty() ? tr("Makes a bootable CD from this computer's own kernel, in seconds")
                                       : reason);
}

}  // namespace skep::ui
