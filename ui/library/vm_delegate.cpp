// SPDX-License-Identifier: GPL-3.0-or-later
// VmDelegate: three short lines in the palette's colours.
#include "ui/library/vm_delegate.hpp"

#include <QApplication>
#include <QPainter>

#include "ui/model/vm_list_model.hpp"
#include "ui/widgets/media_icon.hpp"

namespace skep::ui {

namespace {

constexpr int k_margin = 8;
constexpr int k_sign = 20;
constexpr int k_thumbnail_width = 64;

QIcon sign_of(VmState state, const QStyle& style) {
    switch (state) {
        case VmState::starting:
        case VmState::running:
            return media_icon(MediaSign::start);
        case VmState::paused:
            return media_icon(MediaSign::pause);
        case VmState::no_space:
        case VmState::broken:
            return style.standardIcon(QStyle::SP_MessageBoxWarning);
        case VmState::failed:
        case VmState::refused:
        case VmState::crashed:
            return style.standardIcon(QStyle::SP_MessageBoxCritical);
        case VmState::off:
            break;
    }
    return style.standardIcon(QStyle::SP_ComputerIcon);
}

// The machine's screen, small, in the upper left of the area.
QRect paint_thumbnail(QPainter* painter, const QImage& thumbnail, const QRect& area) {
    const QSize size = thumbnail.size().scaled(QSize(k_thumbnail_width, area.height()), Qt::KeepAspectRatio);
    const QRect place(area.topLeft(), size);
    painter->save();
    painter->setRenderHint(QPainter::SmoothPixmapTransform);
    painter->drawImage(place, thumbnail);
    painter->restore();
    return place;
}

}  // namespace

void VmDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const {
    QStyleOptionViewItem frame = option;
    initStyleOption(&frame, index);
    frame.text.clear();
    const QStyle* style = frame.widget != nullptr ? frame.widget->style() : QApplication::style();
    style->drawControl(QStyle::CE_ItemViewItem, &frame, painter, frame.widget);
    const bool selected = (option.state & QStyle::State_Selected) != 0;
    const QColor color = option.palette.color(selected ? QPalette::HighlightedText : QPalette::Text);
    QColor faint = color;
    faint.setAlphaF(0.75F);
    const auto state = static_cast<VmState>(index.data(VmListModel::state_role).toInt());
    QRect area = option.rect.adjusted(k_margin, k_margin / 2, -k_margin, -k_margin / 2);
    const auto thumbnail = index.data(VmListModel::thumbnail_role).value<QImage>();
    if (thumbnail.isNull()) {
        sign_of(state, *style)
            .paint(painter, QRect(area.left(), area.top(), k_sign, k_sign), Qt::AlignCenter,
                   selected ? QIcon::Selected : QIcon::Normal);
        area.setLeft(area.left() + k_sign + k_margin);
    } else {
        area.setLeft(paint_thumbnail(painter, thumbnail, area).right() + 1 + k_margin);
    }
    QFont bold = option.font;
    bold.setBold(true);
    const QFontMetrics metrics(bold);
    const auto line = [&](const QString& text, const QFont& font, const QColor& pen) {
        painter->setFont(font);
        painter->setPen(pen);
        painter->drawText(area, Qt::AlignTop | Qt::AlignLeft | Qt::TextSingleLine,
                          QFontMetrics(font).elidedText(text.simplified(), Qt::ElideRight, area.width()));
        area.setTop(area.top() + metrics.height());
    };
    painter->save();
    line(index.data().toString(), bold, color);
    line(index.data(VmListModel::state_text_role).toString(), option.font, faint);
    line(index.data(VmListModel::detail_role).toString(), option.font, faint);
    painter->restore();
}

QSize VmDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex&) const {
    QFont bold = option.font;
    bold.setBold(true);
    return {180, QFontMetrics(bold).height() * 3 + k_margin};
}

}  // namespace skep::ui
