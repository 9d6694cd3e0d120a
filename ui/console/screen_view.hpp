// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's screen: the picture, what is to be said about it, and a bar with the actions around it.
#pragma once

#include <QImage>
#include <QTimer>
#include <QWidget>
#include <memory>

#include "ui/console/screen_actions.hpp"
#include "ui/console/screen_widget.hpp"
#include "vmm/base/fd.hpp"

class QMenu;
class QToolBar;
class QToolButton;

namespace skep::ui {

class MessageBar;
class ScreenFullWindow;
class ScreenToast;
class ScreenTypist;

class ScreenView : public QWidget {
    Q_OBJECT
  public:
    static constexpr int k_size_ms = 3000;       // how long a new resolution is shown
    static constexpr int k_thumbnail_ms = 5000;  // how often a picture for the library is offered

    explicit ScreenView(QString vm_name, QWidget* parent = nullptr);
    ~ScreenView() override;

    // Shows what the worker's RFB server at the other end of the socket sends.
    void attach(Fd socket);
    // The worker has given no socket: one sentence.
    void refuse(const QString& why) { link_lost(why); }
    [[nodiscard]] bool attached() const;
    // Why there is no screen now (the machine is off); empty: it is on.
    void set_off(const QString& text);
    [[nodiscard]] ScreenWidget* screen() const { return m_screen; }
    void set_vm_name(const QString& name) { m_vm_name = name; }

    // Scale, Send key, typing, pictures, full screen: for a window's menu.
    void fill_menu(QMenu* menu);
    // One more for the end of bar and menu: where the screen is.
    void set_place_action(QAction* action);
    // The keyboard goes to the bar.
    void focus_bar();
    [[nodiscard]] bool full_screen() const { return m_full != nullptr; }
    void set_full_screen(bool on);
    // Takes a picture for the library when something has changed; every k_thumbnail_ms.
    void offer_thumbnail();
    // What the worker answered to text_requested().
    void take_text(const QString& text);

  signals:
    // The connection is lost, or was never made: a new socket is wished for.
    void socket_requested();
    // The characters on the screen, when the guest shows a text mode.
    void text_requested();
    void thumbnail_taken(const QImage& small);
    // The host key: the keyboard is to go elsewhere.
    void keyboard_given_back();

  private:
    void build();
    void link_lost(const QString& reason);
    void show_hint();
    void build_bar();
    void build_key_menu();
    void connect_actions();
    void update_actions();
    void save_screenshot();
    void copy_screenshot();
    void type_clipboard();

    QString m_vm_name;
    ScreenActions m_actions;
    QAction* m_place = nullptr;
    QMenu* m_key_menu;
    QToolBar* m_bar;
    QToolButton* m_key_button;
    QWidget* m_stage;  // what goes full screen
    ScreenWidget* m_screen;
    ScreenToast* m_size;
    ScreenToast* m_hint;
    MessageBar* m_lost;
    ScreenTypist* m_typist;
    std::unique_ptr<ScreenFullWindow> m_full;
    std::unique_ptr<ScreenClient> m_client;
    QTimer m_thumbnail;
    bool m_picture_is_new = false;
    bool m_off = true;
};

}  // namespace skep::ui
