// SPDX-License-Identifier: GPL-3.0-or-later
// The views of one machine, each in its tab or in a window of its own. Where each was is remembered with the machine's id.
#pragma once

#include <QObject>
#include <map>
#include <memory>

#include "ui/library/guest_window.hpp"

class QAction;
class QTabWidget;

namespace skep::ui {

class VmSession;

class GuestWindows : public QObject {
    Q_OBJECT
  public:
    // Both outlive this.
    GuestWindows(QTabWidget* tabs, VmSession* session);
    ~GuestWindows() override;

    void set_machine_menu(GuestWindow::FillMenu fill) { m_fill_machine = std::move(fill); }
    // A view that has a tab. `key` names it in the settings; `fill` its menu. Returns the action that moves it out and back,
    // which belongs to the view.
    QAction* add(QWidget* view, const QString& key, GuestWindow::FillMenu fill);
    // Before a view goes.
    void remove(QWidget* view);

    [[nodiscard]] bool is_out(QWidget* view) const;
    // What stands in the tabs for the view: itself, or a page that says where it is.
    [[nodiscard]] QWidget* tab_of(QWidget* view) const;
    // The other way round; null for a tab that is no view's.
    [[nodiscard]] QWidget* view_of(QWidget* tab) const;
    void show_window(QWidget* view);

    // The machine runs: views go where they were the last time.
    void restore();
    // It runs no more: all come back, which is not remembered.
    void bring_all_back();
    // Titles, after the session has changed.
    void refresh();

  private:
    struct Place {
        QString key;
        GuestWindow::FillMenu fill;
        QAction* action;
        QWidget* page = nullptr;  // in the tabs while the window has the view
        std::unique_ptr<GuestWindow> window;
    };
    void move_out(QWidget* view);
    [[nodiscard]] std::unique_ptr<GuestWindow> bring_back(QWidget* view);  // its window, empty and hidden
    void move_by_user(QWidget* view, bool out);
    QWidget* make_page(QWidget* view, const QString& view_name);
    void swap_tab(QWidget* from, QWidget* to);
    void name_window(QWidget* view);
    [[nodiscard]] QString setting(const QString& key, const char* what) const;

    QTabWidget* m_tabs;
    VmSession* m_session;
    GuestWindow::FillMenu m_fill_machine;
    std::map<QWidget*, Place> m_places;
};

}  // namespace skep::ui
