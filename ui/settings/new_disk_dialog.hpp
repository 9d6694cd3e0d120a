// SPDX-License-Identifier: GPL-3.0-or-later
// Asks what a new disk is to be: its size, its image's format, where it is plugged in.
#pragma once

#include <QDialog>

#include "vmm/spec/bundle.hpp"

class QComboBox;
class QSpinBox;

namespace skep::ui {

class NewDiskDialog : public QDialog {
    Q_OBJECT
  public:
    explicit NewDiskDialog(QWidget* parent = nullptr);
    [[nodiscard]] NewDisk disk() const;

  private:
    QSpinBox* m_gib;
    QComboBox* m_format;
    QComboBox* m_bus;
};

}  // namespace skep::ui
