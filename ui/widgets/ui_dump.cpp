// SPDX-License-Identifier: GPL-3.0-or-later
// UiDump: a walk over the visible widgets. It reads through properties, so that it knows no widget of ours.
#include "ui/widgets/ui_dump.hpp"

#include <QAbstractItemView>
#include <QAction>
#include <QApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QMenu>
#include <QMenuBar>
#include <QSaveFile>
#include <QTabBar>
#include <QToolButton>
#include <chrono>

namespace skep::ui {

namespace {

constexpr int k_max_items = 200;

QString text_of(const QWidget& widget) {
    for (const char* property : {"text", "plainText", "currentText", "title", "windowTitle"}) {
        const QString text = widget.property(property).toString();
        if (!text.isEmpty()) {
            return text;
        }
    }
    return {};
}

QString name_of(const QWidget& widget) {
    const auto* button = qobject_cast<const QToolButton*>(&widget);
    if (widget.objectName().isEmpty() && button != nullptr && button->defaultAction() != nullptr) {
        return button->defaultAction()->objectName();
    }
    return widget.objectName();
}

// `area` is in the widget's coordinates.
QJsonObject place(const QWidget& widget, const QRect& area) {
    const QPoint corner = widget.mapToGlobal(area.topLeft());
    return {{QStringLiteral("x"), corner.x()},
            {QStringLiteral("y"), corner.y()},
            {QStringLiteral("width"), area.width()},
            {QStringLiteral("height"), area.height()}};
}

QJsonObject item(const QWidget& widget, const QRect& area, const QString& name, const QString& text, bool enabled) {
    QJsonObject entry = place(widget, area & widget.rect());
    entry.insert(QStringLiteral("name"), name);
    entry.insert(QStringLiteral("text"), text);
    entry.insert(QStringLiteral("enabled"), enabled);
    return entry;
}

template <typename Menu>
QJsonArray actions_of(Menu* menu) {
    QJsonArray items;
    for (QAction* action : menu->actions()) {
        if (action->isVisible() && !action->isSeparator()) {
            items.append(
                item(*menu, menu->actionGeometry(action), action->objectName(), action->text(), action->isEnabled()));
        }
    }
    return items;
}

QJsonArray rows_of(QAbstractItemView* view) {
    QJsonArray items;
    const QAbstractItemModel* model = view->model();
    const int rows = model == nullptr ? 0 : std::min(model->rowCount(view->rootIndex()), k_max_items);
    for (int row = 0; row < rows; ++row) {
        QStringList words;
        for (int column = 0; column < model->columnCount(view->rootIndex()); ++column) {
            words << model->index(row, column, view->rootIndex()).data().toString();
        }
        const QModelIndex first = model->index(row, 0, view->rootIndex());
        QJsonObject entry = item(*view->viewport(), view->visualRect(first), {}, words.join(u'\t'),
                                 first.flags().testFlag(Qt::ItemIsEnabled));
        entry.insert(QStringLiteral("selected"), view->selectionModel()->isSelected(first));
        items.append(entry);
    }
    return items;
}

QJsonArray items_of(QWidget* widget) {
    if (auto* menu = qobject_cast<QMenu*>(widget)) {
        return actions_of(menu);
    }
    if (auto* bar = qobject_cast<QMenuBar*>(widget)) {
        return actions_of(bar);
    }
    if (auto* view = qobject_cast<QAbstractItemView*>(widget)) {
        return rows_of(view);
    }
    QJsonArray items;
    if (auto* tabs = qobject_cast<QTabBar*>(widget)) {
        for (int tab = 0; tab < tabs->count(); ++tab) {
            items.append(item(*tabs, tabs->tabRect(tab), {}, tabs->tabText(tab), tabs->isTabEnabled(tab)));
        }
    }
    return items;
}

// The part that no parent cuts off, in the widget's coordinates.
QRect seen_part(const QWidget& widget) {
    QRect seen = widget.rect();
    for (const QWidget* above = &widget; !above->isWindow() && above->parentWidget() != nullptr;) {
        above = above->parentWidget();
        seen &= QRect(widget.mapFrom(above, QPoint(0, 0)), above->size());
    }
    return seen;
}

void add_widget(QWidget* widget, QJsonArray& widgets) {
    if (!widget->isVisible()) {
        return;
    }
    QJsonObject entry = place(*widget, seen_part(*widget));
    entry.insert(QStringLiteral("name"), name_of(*widget));
    entry.insert(QStringLiteral("class"), QString::fromLatin1(widget->metaObject()->className()));
    entry.insert(QStringLiteral("label"), widget->accessibleName());
    entry.insert(QStringLiteral("text"), text_of(*widget));
    entry.insert(QStringLiteral("enabled"), widget->isEnabled());
    entry.insert(QStringLiteral("focus"), widget->hasFocus());
    entry.insert(QStringLiteral("window"), widget->window()->objectName());
    if (const QVariant paints = widget->property("paints"); paints.isValid()) {
        entry.insert(QStringLiteral("paints"), paints.toLongLong());
    }
    if (const QJsonArray items = items_of(widget); !items.isEmpty()) {
        entry.insert(QStringLiteral("items"), items);
    }
    widgets.append(entry);
    for (QObject* child : widget->children()) {
        auto* child_widget = qobject_cast<QWidget*>(child);
        if (child_widget != nullptr && !child_widget->isWindow()) {
            add_widget(child_widget, widgets);
        }
    }
}

double monotonic_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

QJsonObject describe_windows() {
    QJsonArray widgets;
    for (QWidget* window : QApplication::topLevelWidgets()) {
        add_widget(window, widgets);
    }
    return {{QStringLiteral("widgets"), widgets}};
}

UiDump::UiDump(QString file, QObject* parent) : QObject(parent), m_file(std::move(file)) {
    m_timer.setInterval(k_interval_ms);
    connect(&m_timer, &QTimer::timeout, this, &UiDump::write);
    m_timer.start();
}

std::unique_ptr<UiDump> UiDump::from_environment() {
    const QString file = qEnvironmentVariable("SKEP_UI_DUMP");
    return file.isEmpty() ? nullptr : std::make_unique<UiDump>(file);
}

void UiDump::write() {
    QJsonObject now = describe_windows();
    const QByteArray widgets = QJsonDocument(now).toJson(QJsonDocument::Compact);
    if (widgets == m_written) {
        return;
    }
    now.insert(QStringLiteral("time"), monotonic_seconds());
    QSaveFile file(m_file);
    if (file.open(QIODevice::WriteOnly) && file.write(QJsonDocument(now).toJson(QJsonDocument::Compact)) > 0 &&
        file.commit()) {
        m_written = widgets;
    }
}

}  // namespace skep::ui
