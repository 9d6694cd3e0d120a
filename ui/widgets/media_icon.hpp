// SPDX-License-Identifier: GPL-3.0-or-later
// Signs for start, pause and stop in the palette's own text colour: the style's pictures are black, also on dark windows.
#pragma once

#include <QIcon>

namespace skep::ui {

enum class MediaSign { start, pause, stop };

// Follows the application's palette when it changes.
[[nodiscard]] QIcon media_icon(MediaSign sign);

}  // namespace skep::ui
