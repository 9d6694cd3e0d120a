// SPDX-License-Identifier: GPL-3.0-or-later
// A screen or console of a machine in a window of its own. It owns its view no more than a tab does: see GuestWindows.
#pragma once

#include <QWidget>
#include <functional>

class QMenu;

namespace skep::ui {

class GuestWindow : public QWidget {
    Q_OBJECT
  public:
    using FillMenu = std::function<void(QMenu*)>;

    // `view` becomes a child until give_back(). The menus are filled when they open.
    GuestWindow(QWidget* view, const QString& view_name, FillMenu fill_machine, FillMenu fill_view);
    QWidget* give_back();

  signals:
    // The user has closed it; it stays until somebody takes the view back.
    void closed();

  protected:
    void closeEvent(QCloseEvent* event) override;

  private:
    QWidget* m_view;
};

}  // namespace skep::ui
