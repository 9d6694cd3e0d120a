// SPDX-License-Identifier: GPL-3.0-or-later
// The device catalogue in print, for the window's pages, for scripts and for people.
#pragma once

#include <string>

namespace skep {

// {"format": 1, "devices": [{"id", "bus", "always", "title", "document", "where", "options": [...]}]}; an option has path,
// label, help, type, default and, where it has them, unit, minimum, maximum and choices.
[[nodiscard]] std::string device_json();
[[nodiscard]] std::string device_text();

}  // namespace skep
