// SPDX-License-Identifier: GPL-3.0-or-later
// How a machine looks in the library's list: state sign, name, state, last console line.
#pragma once

#include <QStyledItemDelegate>

namespace skep::ui {

class VmDelegate : public QStyledItemDelegate {
    Q_OBJECT
  public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    [[nodiscard]] QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

}  // namespace skep::ui
