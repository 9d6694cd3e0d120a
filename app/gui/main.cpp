// SPDX-License-Identifier: GPL-3.0-or-later
// main() of `skep`, the desktop application.
#include <QApplication>
#include <QCommandLineParser>
#include <QFileInfo>
#include <QIcon>

#include "ui/library/library_window.hpp"
#include "ui/widgets/bare_desktop.hpp"
#include "ui/widgets/theme.hpp"
#include "ui/widgets/ui_dump.hpp"

int main(int argc, char** argv) {
    QApplication application(argc, argv);
    QApplication::setApplicationName(QStringLiteral("skep"));
    QApplication::setApplicationDisplayName(QStringLiteral("Skep"));
    QApplication::setApplicationVersion(QStringLiteral(SKEP_VERSION));
    QApplication::setOrganizationName(QStringLiteral("skep"));
    QApplication::setDesktopFileName(QStringLiteral("io.github.skep.Skep"));
    QApplication::setWindowIcon(QIcon(QStringLiteral(":/icons/skep.svg")));
    QCommandLineParser parser;
    parser.setApplicationDescription(QApplication::translate("main", "Virtual machines for the Linux desktop"));
    parser.addHelpOption();
    parser.addVersionOption();
    parser.addOption({QStringLiteral("new"), QApplication::translate("main", "Opens the sheet for a new machine")});
    parser.addPositionalArgument(QStringLiteral("file"),
                                 QApplication::translate("main", "CD image, disk or kernel for a new machine"),
                                 QStringLiteral("[file]"));
    parser.process(application);
    skep::ui::apply_theme(skep::ui::saved_theme());
    skep::ui::LibraryWindow window;
    if (skep::ui::BareDesktop::needed()) {
        new skep::ui::BareDesktop(&application);
        window.showMaximized();
    } else {
        window.show();
    }
    const auto dump = skep::ui::UiDump::from_environment();
    if (parser.isSet(QStringLiteral("new"))) {
        window.open_new_sheet();
    }
    for (const QString& file : parser.positionalArguments()) {
        window.open_new_sheet(QFileInfo(file).absoluteFilePath());
    }
    return QApplication::exec();
}
