// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenWidget: picture and size. Keys and pointer are in screen_widget_input.cpp.
#include "ui/console/screen_widget.hpp"

#include <QPaintEvent>
#include <QPainter>
#include <QScrollBar>
#include <QWindow>
#include <cmath>
#include <utility>

#include "ui/console/screen_client.hpp"

namespace skep::ui {

namespace {

// How soon after a frame of which nothing is in sight the next one is asked for.
constexpr int k_unseen_ms = 100;

}  // namespace

ScreenWidget::ScreenWidget(QWidget* parent)
    : QAbstractScrollArea(parent),
      m_keys([this](KeyCode code, bool down) {
          if (m_client) {
              m_client->send_key(code, down);
          }
      }),
      m_pointer(
          [this](QPoint at, uint8_t buttons) {
              if (m_client) {
                  m_client->send_pointer(at, buttons);
              }
          },
          [this](QPoint by, uint8_t buttons) {
              if (m_client) {
                  m_client->send_motion(by, buttons);
              }
          }) {
    setFrameShape(QFrame::NoFrame);
    setFocusPolicy(Qt::StrongFocus);
    setAttribute(Qt::WA_InputMethodEnabled, false);  // the guest composes its characters itself
    viewport()->setMouseTracking(true);
    viewport()->setAttribute(Qt::WA_OpaquePaintEvent);
    m_follow.setInterval(k_follow_ms);
    m_follow.setSingleShot(true);
    connect(&m_follow, &QTimer::timeout, this, &ScreenWidget::wish_size);
    m_unseen.setInterval(k_unseen_ms);
    m_unseen.setSingleShot(true);
    connect(&m_unseen, &QTimer::timeout, this, [this] {
        const QWindow* const shown_in = window()->windowHandle();
        if (m_client && isVisible() && shown_in != nullptr && shown_in->isExposed() && std::exchange(m_request_due, false)) {
            m_client->request();
        }
    });
}

ScreenWidget::~ScreenWidget() = default;

void ScreenWidget::attach(ScreenClient* client) {
    let_go();
    if (m_client) {
        m_client->disconnect(this);
    }
    m_client = client;
    m_cursor.reset();
    m_request_due = false;
    m_may_wish = false;
    m_guest = {0, 0};
    set_pointer_kind(true);
    if (client != nullptr) {
        connect(client, &ScreenClient::opened, this, [this](QSize size) {
            take_size(size);
            m_request_due = true;
            viewport()->update();
        });
        connect(client, &ScreenClient::frame_finished, this, &ScreenWidget::take_frame);
        connect(client, &ScreenClient::pointer_kind_changed, this, &ScreenWidget::set_pointer_kind);
        connect(client, &ScreenClient::cursor_changed, this, [this](const ScreenCursor& cursor) {
            m_cursor = cursor;
            show_cursor();
        });
    }
    show_cursor();
    viewport()->update();
}

void ScreenWidget::set_mode(ScaleMode mode) {
    m_mode = mode;
    update_scroll_bars();
    show_cursor();
    viewport()->update();
    if (mode == ScaleMode::follow) {
        m_follow.start();
    }
}

QImage ScreenWidget::picture() const {
    QImage copy;
    if (m_client) {
        m_client->read([&copy](const QImage& image) { copy = image.copy(); });
    }
    return copy;
}

void ScreenWidget::set_notice(const QString& notice) {
    m_notice = notice;
    viewport()->update();
}

QString ScreenWidget::description() const {
    return m_client && !m_guest.isEmpty() ? tr("%1 × %2").arg(m_guest.width()).arg(m_guest.height()) : m_notice;
}

// --- place

// In device pixels of the window.
QRectF ScreenWidget::area_now() const {
    const QPointF corner = viewport()->mapTo(window(), QPointF(0, 0));
    const double ratio = devicePixelRatioF();
    return {corner * ratio, QSizeF(viewport()->size()) * ratio};
}

ScreenGeometry ScreenWidget::geometry_in(const QRectF& area) const {
    return {m_mode, m_guest, area, QPoint(horizontalScrollBar()->value(), verticalScrollBar()->value())};
}

ScreenGeometry ScreenWidget::geometry_now() const {
    return geometry_in(area_now());
}

// The viewport's pixels that show these of the guest.
QRegion ScreenWidget::logical(const QRegion& guest) const {
    const QRectF area = area_now();
    const ScreenGeometry geometry = geometry_in(area);
    const double ratio = devicePixelRatioF();
    QRegion region;
    for (const QRect& rect : guest) {
        const QRectF device(geometry.to_device(rect));
        region += QRectF((device.topLeft() - area.topLeft()) / ratio, device.size() / ratio).toAlignedRect();
    }
    return region & viewport()->rect();
}

void ScreenWidget::update_scroll_bars() {
    const QSize range = geometry_now().scroll_range();
    const QSize page = viewport()->size() * devicePixelRatioF();
    const auto set = [](QScrollBar* bar, int most, int step) {
        bar->setRange(0, most);
        bar->setPageStep(step);
        bar->setSingleStep(16);
    };
    setHorizontalScrollBarPolicy(m_mode == ScaleMode::exact ? Qt::ScrollBarAsNeeded : Qt::ScrollBarAlwaysOff);
    setVerticalScrollBarPolicy(m_mode == ScaleMode::exact ? Qt::ScrollBarAsNeeded : Qt::ScrollBarAlwaysOff);
    set(horizontalScrollBar(), range.width(), page.width());
    set(verticalScrollBar(), range.height(), page.height());
}

void ScreenWidget::scrollContentsBy(int, int) {
    viewport()->update();
}

void ScreenWidget::resizeEvent(QResizeEvent*) {
    update_scroll_bars();
    show_cursor();
    if (m_mode == ScaleMode::follow) {
        m_follow.start();  // again: only the last of many sizes is wished for
    }
}

void ScreenWidget::wish_size() {
    const QSize size = (QSizeF(viewport()->size()) * devicePixelRatioF()).toSize();
    if (m_client && m_mode == ScaleMode::follow && isVisible() && size != m_guest) {
        m_client->wish_size(size);
    }
}

void ScreenWidget::take_size(QSize size) {
    if (size == m_guest) {
        return;
    }
    m_guest = size;
    update_scroll_bars();
    show_cursor();
    viewport()->update();
    emit picture_size_changed(size);
}

// --- frames

void ScreenWidget::take_frame() {
    take_size(m_client->size());
    if (!m_may_wish && m_client->takes_size()) {
        m_may_wish = true;
        m_follow.start();
    }
    m_request_due = true;
    const QRegion region = logical(m_client->take_damage());
    if (!isVisible()) {
        emit hidden_frame();
        return;
    }
    viewport()->update(region);
    m_unseen.start();  // nothing is painted where the region is outside the view or something lies over it
}

void ScreenWidget::paintEvent(QPaintEvent* event) {
    QPainter painter(viewport());
    const QTransform to_device = painter.deviceTransform();
    const ScreenGeometry geometry = geometry_in(to_device.mapRect(QRectF(viewport()->rect())));
    if (!geometry.picture().contains(to_device.mapRect(QRectF(event->rect())).toAlignedRect())) {
        painter.fillRect(event->rect(), palette().brush(m_client ? QPalette::Dark : QPalette::Window));
    }
    if (!m_client) {
        painter.setPen(palette().color(QPalette::WindowText));
        painter.drawText(viewport()->rect(), Qt::AlignCenter | Qt::TextWordWrap, m_notice);
    }
    // From here on a unit is a device pixel: at a ratio of 1.25 a widget may begin in the middle of one.
    painter.setWorldTransform(to_device.inverted());
    const bool whole_steps = geometry.scale() >= 1 && std::floor(geometry.scale()) == geometry.scale();
    painter.setRenderHint(QPainter::SmoothPixmapTransform, !whole_steps);
    if (m_client && !geometry.picture().isEmpty()) {
        m_client->read([&](const QImage& image) { painter.drawImage(geometry.picture(), image); });
    }
    ++m_paints;
    if (m_client && std::exchange(m_request_due, false)) {
        m_client->request();
        emit frame_shown();
    }
}

}  // namespace skep::ui
