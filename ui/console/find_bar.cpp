// SPDX-License-Identifier: GPL-3.0-or-later
// FindBar: Enter goes up (towards older output), Shift+Enter down, Escape closes.
#include "ui/console/find_bar.hpp"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QToolButton>

#include "ui/console/terminal_widget.hpp"

namespace skep::ui {

namespace {

QToolButton* make_button(QWidget* parent, const QString& name, const QString& text, const QString& tip) {
    auto* button = new QToolButton(parent);
    button->setObjectName(name);
    button->setText(text);
    button->setToolTip(tip);
    button->setAccessibleName(tip);
    button->setAutoRaise(true);
    return button;
}

}  // namespace

FindBar::FindBar(TerminalWidget* terminal, QWidget* parent)
    : QWidget(parent), m_terminal(terminal), m_query(new QLineEdit(this)), m_count(new QLabel(this)) {
    setObjectName(QStringLiteral("findBar"));
    setAccessibleName(tr("Find in the console"));
    m_query->setObjectName(QStringLiteral("findQuery"));
    m_query->setAccessibleName(tr("Text to find"));
    m_query->setPlaceholderText(tr("Find"));
    m_query->setClearButtonEnabled(true);
    m_count->setObjectName(QStringLiteral("findCount"));
    m_count->setAccessibleName(tr("Matches"));
    auto* previous = make_button(this, QStringLiteral("findPrevious"), tr("Previous"), tr("Previous match"));
    auto* next = make_button(this, QStringLiteral("findNext"), tr("Next"), tr("Next match"));
    auto* close = make_button(this, QStringLiteral("findClose"), tr("Close"), tr("Close the find bar"));
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(6, 3, 6, 3);
    layout->addWidget(m_query, 1);
    layout->addWidget(m_count);
    layout->addWidget(previous);
    layout->addWidget(next);
    layout->addWidget(close);
    connect(m_query, &QLineEdit::textChanged, this, &FindBar::search);
    connect(previous, &QToolButton::clicked, this, [this] { step(-1); });
    connect(next, &QToolButton::clicked, this, [this] { step(1); });
    connect(close, &QToolButton::clicked, this, &FindBar::close_bar);
    connect(m_terminal, &TerminalWidget::text_changed, this, &FindBar::show_count);
    hide();
}

void FindBar::open() {
    show();
    m_query->setFocus();
    m_query->selectAll();
    search(m_query->text());
}

void FindBar::close_bar() {
    hide();
    m_terminal->find().clear();
    m_terminal->show_find_result();
    m_terminal->setFocus();
}

void FindBar::search(const QString& query) {
    TerminalFind& find = m_terminal->find();
    find.set_query(query);
    find.refresh(m_terminal->screen());
    if (!find.current()) {
        find.select_before(m_terminal->screen().cursor());
    }
    m_terminal->show_find_result();
    show_count();
}

void FindBar::step(int direction) {
    TerminalFind& find = m_terminal->find();
    if (direction > 0) {
        find.next();
    } else {
        find.previous();
    }
    m_terminal->show_find_result();
    show_count();
}

void FindBar::show_count() {
    const TerminalFind& find = m_terminal->find();
    if (m_query->text().isEmpty()) {
        m_count->clear();
    } else if (find.matches().empty()) {
        m_count->setText(tr("Nothing found"));
    } else {
        m_count->setText(tr("%1 of %2").arg(find.current_number()).arg(find.matches().size()));
    }
}

void FindBar::keyPressEvent(QKeyEvent* event) {
    if (event->key() == Qt::Key_Escape) {
        close_bar();
    } else if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) {
        step((event->modifiers() & Qt::ShiftModifier) != 0 ? 1 : -1);
    } else {
        QWidget::keyPressEvent(event);
    }
}

}  // namespace skep::ui
