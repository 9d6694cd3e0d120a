// SPDX-License-Identifier: GPL-3.0-or-later
// Icons painted when they are needed.
#include "ui/widgets/media_icon.hpp"

#include <QApplication>
#include <QIconEngine>
#include <QPainter>
#include <QPalette>

namespace skep::ui {

namespace {

class MediaIconEngine : public QIconEngine {
  public:
    explicit MediaIconEngine(MediaSign sign) : m_sign(sign) {}

    void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State) override {
        const QPalette palette = QApplication::palette();
        const auto group = mode == QIcon::Disabled ? QPalette::Disabled : QPalette::Active;
        const auto role = mode == QIcon::Selected ? QPalette::HighlightedText : QPalette::ButtonText;
        const QRectF area = QRectF(rect).adjusted(rect.width() * 0.2, rect.height() * 0.2, rect.width() * -0.2,
                                                  rect.height() * -0.2);
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        painter->setPen(Qt::NoPen);
        painter->setBrush(palette.color(group, role));
        switch (m_sign) {
            case MediaSign::start:
                painter->drawPolygon(QPolygonF{area.topLeft(), {area.right(), area.center().y()}, area.bottomLeft()});
                break;
            case MediaSign::stop:
                painter->drawRect(area);
                break;
            case MediaSign::pause: {
                const double bar = area.width() * 0.36;
                painter->drawRect(QRectF(area.left(), area.top(), bar, area.height()));
                painter->drawRect(QRectF(area.right() - bar, area.top(), bar, area.height()));
                break;
            }
        }
        painter->restore();
    }
    QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override {
        QPixmap pixmap(size);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        paint(&painter, QRect(QPoint(0, 0), size), mode, state);
        return pixmap;
    }
    [[nodiscard]] QIconEngine* clone() const override { return new MediaIconEngine(m_sign); }

  private:
    MediaSign m_sign;
};

}  // namespace

QIcon media_icon(MediaSign sign) {
    return QIcon(new MediaIconEngine(sign));
}

}  // namespace skep::ui
