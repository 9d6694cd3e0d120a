// SPDX-License-Identifier: GPL-3.0-or-later
// Light or dark. Qt 6.4 does not ask the desktop which it wants (QStyleHints::colorScheme came later), so the desktop's
// portal is asked here: org.freedesktop.portal.Settings, org.freedesktop.appearance color-scheme.
#pragma once

namespace skep::ui {

enum class Theme { system, light, dark };

// What Preferences have saved.
[[nodiscard]] Theme saved_theme();
// Window thread. `system` keeps the desktop's own palette unless that is light while the portal prefers dark (the answer comes a
// moment later). Does not block.
void apply_theme(Theme theme);

}  // namespace skep::ui
