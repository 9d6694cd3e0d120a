// SPDX-License-Identifier: GPL-3.0-or-later
// Line-drawing and block characters (Unicode 2500..259F) painted as shapes, so that frames join whatever
// the font does.
#pragma once

#include <QColor>
#include <QRect>

class QPainter;

namespace skep::ui {

[[nodiscard]] bool is_box_character(char32_t character);
// Paints the character over the whole cell. Window thread.
void draw_box_character(QPainter& painter, const QRect& cell, char32_t character, const QColor& color);

}  // namespace skep::ui
