// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenView: the picture's life. The menus are in screen_view_actions.cpp.
#include "ui/console/screen_view.hpp"

#include <QMenu>
#include <QSettings>
#include <QToolBar>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/console/screen_client.hpp"
#include "ui/console/screen_full.hpp"
#include "ui/console/screen_toast.hpp"
#include "ui/console/screen_typist.hpp"
#include "ui/widgets/message_bar.hpp"

namespace skep::ui {

namespace {

constexpr QSize k_thumbnail(160, 120);

ScaleMode saved_mode() {
    const int mode = QSettings().value(QStringLiteral("screen/scale"), static_cast<int>(ScaleMode::follow)).toInt();
    return mode >= static_cast<int>(ScaleMode::fit) && mode <= static_cast<int>(ScaleMode::follow)
               ? static_cast<ScaleMode>(mode)
               : ScaleMode::follow;
}

}  // namespace

ScreenView::ScreenView(QString vm_name, QWidget* parent)
    : QWidget(parent),
      m_vm_name(std::move(vm_name)),
      m_actions(this),
      m_key_menu(new QMenu(this)),
      m_bar(new QToolBar(this)),
      m_key_button(new QToolButton(m_bar)),
      m_stage(new QWidget(this)),
      m_screen(new ScreenWidget(m_stage)),
      m_size(new ScreenToast(QStringLiteral("screenSize"), ScreenToast::Edge::top, m_stage)),
      m_hint(new ScreenToast(QStringLiteral("screenHint"), ScreenToast::Edge::bottom, m_stage)),
      m_lost(new MessageBar(QStringLiteral("screenLost"), MessageLevel::warning, this)),
      m_typist(new ScreenTypist(
          [this](KeyCode code, bool down) {
              if (m_client) {
                  m_client->send_key(code, down);
              }
          },
          this)) {
    setObjectName(QStringLiteral("screenView"));
    build();
    m_screen->set_mode(saved_mode());
    connect_actions();
    update_actions();
    connect(m_screen, &ScreenWidget::picture_size_changed, this, [this](QSize size) {
        m_size->say(tr("%1 × %2").arg(size.width()).arg(size.height()), k_size_ms);
        update_actions();
    });
    connect(m_screen, &ScreenWidget::frame_shown, this, [this] { m_picture_is_new = true; });
    connect(m_screen, &ScreenWidget::hidden_frame, this, [this] { m_picture_is_new = true; });
    connect(m_screen, &ScreenWidget::grab_changed, this, &ScreenView::show_hint);
    connect(m_screen, &ScreenWidget::full_screen_requested, this, [this] { set_full_screen(!full_screen()); });
    connect(m_screen, &ScreenWidget::pointer_at, this, [this](QPoint global) {
        if (m_full) {
            m_full->pointer_at(global);
        }
        if (m_screen->pointer_needs_grab() && !m_screen->grabbed()) {
            show_hint();
        }
    });
    connect(m_screen, &ScreenWidget::host_key_pressed, this, [this] {
        if (m_full) {
            m_full->reveal();
        } else {
            emit keyboard_given_back();
        }
    });
    m_thumbnail.setInterval(k_thumbnail_ms);
    connect(&m_thumbnail, &QTimer::timeout, this, &ScreenView::offer_thumbnail);
}

ScreenView::~ScreenView() {
    m_screen->attach(nullptr);
    set_full_screen(false);
}

void ScreenView::build() {
    m_screen->setObjectName(QStringLiteral("screen"));
    m_screen->setAccessibleName(tr("Screen"));
    m_screen->setAccessibleDescription(tr("Keys and pointer go to the guest. Ctrl+Alt gives them back."));
    m_size->setAccessibleName(tr("Resolution"));
    m_hint->setAccessibleName(tr("Hint"));
    m_lost->add_button(QStringLiteral("screenReconnect"), tr("&Reconnect"), [this] {
        m_lost->set_text({}, {});
        emit socket_requested();
    });
    auto* stage_layout = new QVBoxLayout(m_stage);
    stage_layout->setContentsMargins(0, 0, 0, 0);
    stage_layout->addWidget(m_screen);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    build_bar();
    layout->addWidget(m_bar);
    layout->addWidget(m_lost);
    layout->addWidget(m_stage, 1);
    setFocusProxy(m_screen);
    m_stage->setFocusProxy(m_screen);
}

bool ScreenView::attached() const {
    return m_client != nullptr && m_client->connected();
}

void ScreenView::attach(Fd socket) {
    m_screen->attach(nullptr);
    m_client = std::make_unique<ScreenClient>(std::move(socket));
    connect(m_client.get(), &ScreenClient::lost, this, &ScreenView::link_lost);
    m_screen->attach(m_client.get());
    m_lost->set_text({}, {});
    m_off = false;
    m_screen->set_notice({});
    m_thumbnail.start();
    update_actions();
}

void ScreenView::set_off(const QString& text) {
    m_off = !text.isEmpty();
    m_screen->set_notice(text);
    if (!m_off) {
        return;
    }
    set_full_screen(false);
    m_typist->stop();
    m_thumbnail.stop();
    m_screen->attach(nullptr);
    m_client.reset();
    m_lost->set_text({}, {});
    m_hint->say({}, 0);
    m_size->say({}, 0);
    update_actions();
}

void ScreenView::link_lost(const QString& reason) {
    m_typist->stop();
    m_screen->let_go();
    update_actions();
    if (!m_off) {
        m_lost->set_text(tr("The machine's screen is not connected"), tr("The machine goes on. %1").arg(reason));
    }
}

void ScreenView::show_hint() {
    if (!m_screen->pointer_needs_grab()) {
        m_hint->say({}, 0);
    } else if (m_screen->grabbed()) {
        m_hint->say(tr("Keyboard and pointer are the guest's. Ctrl+Alt gives them back."), k_size_ms);
    } else {
        m_hint->say(tr("Click to give the guest the pointer. Ctrl+Alt gives it back."), k_size_ms);
    }
}

// A hidden view asks for a frame now and then; a guest that stands still answers none of them.
void ScreenView::offer_thumbnail() {
    if (!attached()) {
        return;
    }
    if (std::exchange(m_picture_is_new, false)) {
        const QImage picture = m_screen->picture();
        emit thumbnail_taken(picture.scaled(k_thumbnail, Qt::KeepAspectRatio, Qt::SmoothTransformation));
    }
    if (!m_screen->isVisible()) {
        m_client->request();
    }
}

void ScreenView::set_full_screen(bool on) {
    if (on == full_screen() || (on && !attached())) {
        return;
    }
    if (on) {
        m_full = std::make_unique<ScreenFullWindow>(m_vm_name, m_stage, [this](QMenu* menu) { fill_menu(menu); });
        connect(
            m_full.get(), &ScreenFullWindow::leave_requested, this, [this] { set_full_screen(false); },
            Qt::QueuedConnection);
        m_full->showFullScreen();
        m_full->activateWindow();
        m_hint->say(tr("Full screen: Ctrl+Alt+Enter leaves it; so does the bar at the top edge."), k_size_ms);
    } else {
        static_cast<QVBoxLayout*>(layout())->addWidget(m_full->give_back(), 1);
        m_stage->show();  // another parent has hidden it
        m_full.reset();
        m_hint->say({}, 0);
        show_hint();
    }
    update_actions();
    m_screen->setFocus();
}

}  // namespace skep::ui
