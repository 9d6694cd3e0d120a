// SPDX-License-Identifier: GPL-3.0-or-later
// The description of the windows that outside tests click by.
#include "ui/widgets/ui_dump.hpp"

#include <gtest/gtest.h>

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QTemporaryDir>
#include <QVBoxLayout>
#include <QtTest/QTest>

namespace skep::ui {
namespace {

QJsonObject named(const QJsonObject& dump, const QString& name) {
    for (const QJsonValue& value : dump[QStringLiteral("widgets")].toArray()) {
        if (value[QStringLiteral("name")].toString() == name) {
            return value.toObject();
        }
    }
    return {};
}

class UiDumpTest : public testing::Test {
  protected:
    UiDumpTest() {
        auto* layout = new QVBoxLayout(&m_window);
        for (QWidget* widget : {static_cast<QWidget*>(m_button), static_cast<QWidget*>(m_field),
                                static_cast<QWidget*>(m_hidden), static_cast<QWidget*>(m_list)}) {
            layout->addWidget(widget);
        }
        m_button->setObjectName(QStringLiteral("go"));
        m_button->setAccessibleName(QStringLiteral("Go on"));
        m_button->setEnabled(false);
        m_field->setObjectName(QStringLiteral("field"));
        m_hidden->setObjectName(QStringLiteral("hidden"));
        m_hidden->hide();
        m_list->setObjectName(QStringLiteral("list"));
        m_list->addItems({QStringLiteral("one"), QStringLiteral("two")});
        m_window.show();
        (void)QTest::qWaitForWindowExposed(&m_window);
    }

    QWidget m_window;
    QPushButton* m_button = new QPushButton(QStringLiteral("Go"));
    QLineEdit* m_field = new QLineEdit(QStringLiteral("words"));
    QPushButton* m_hidden = new QPushButton(QStringLiteral("Hidden"));
    QListWidget* m_list = new QListWidget;
};

TEST_F(UiDumpTest, visible_widgets_are_told_with_text_state_and_place) {
    const QJsonObject dump = describe_windows();
    const QJsonObject button = named(dump, QStringLiteral("go"));
    EXPECT_EQ(button[QStringLiteral("text")].toString(), QStringLiteral("Go"));
    EXPECT_EQ(button[QStringLiteral("label")].toString(), QStringLiteral("Go on"));
    EXPECT_FALSE(button[QStringLiteral("enabled")].toBool(true));
    EXPECT_EQ(button[QStringLiteral("x")].toInt(), m_button->mapToGlobal(QPoint(0, 0)).x());
    EXPECT_EQ(button[QStringLiteral("width")].toInt(), m_button->width());
    EXPECT_EQ(named(dump, QStringLiteral("field"))[QStringLiteral("text")].toString(), QStringLiteral("words"));
}

TEST_F(UiDumpTest, hidden_widget_is_not_told) {
    EXPECT_TRUE(named(describe_windows(), QStringLiteral("hidden")).isEmpty());
}

TEST_F(UiDumpTest, list_rows_are_told_with_their_place) {
    const QJsonArray items = named(describe_windows(), QStringLiteral("list"))[QStringLiteral("items")].toArray();
    ASSERT_EQ(items.size(), 2);
    EXPECT_EQ(items[1][QStringLiteral("text")].toString(), QStringLiteral("two"));
    EXPECT_GT(items[1][QStringLiteral("y")].toInt(), items[0][QStringLiteral("y")].toInt());
    EXPECT_GT(items[1][QStringLiteral("height")].toInt(), 0);
}

TEST_F(UiDumpTest, file_follows_the_window) {
    const QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("window.json"));
    UiDump dump(path);
    const auto field_text = [&path] {
        QFile file(path);
        EXPECT_TRUE(file.open(QIODevice::ReadOnly));
        const QJsonObject read = QJsonDocument::fromJson(file.readAll()).object();
        EXPECT_GT(read[QStringLiteral("time")].toDouble(), 0);
        return named(read, QStringLiteral("field"))[QStringLiteral("text")].toString();
    };
    dump.write();
    EXPECT_EQ(field_text(), QStringLiteral("words"));
    m_field->setText(QStringLiteral("other words"));
    dump.write();
    EXPECT_EQ(field_text(), QStringLiteral("other words"));
}

TEST(UiDumpEnvironment, variable_not_set_makes_none) {
    qunsetenv("SKEP_UI_DUMP");
    EXPECT_EQ(UiDump::from_environment(), nullptr);
}

}  // namespace
}  // namespace skep::ui
