// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/bundle_path.hpp"

#include <algorithm>

namespace skep {
namespace fs = std::filesystem;

bool leaves_folder(const std::string& file) {
    const fs::path path(file);
    if (path.is_absolute()) {
        return false;
    }
    const fs::path normal = path.lexically_normal();
    return normal.begin() != normal.end() && *normal.begin() == "..";
}

Result<fs::path> resolve_in_folder(const fs::path& folder, const std::string& file) {
    const fs::path path(file);
    if (file.empty()) {
        return fail(ErrorKind::invalid_input, "No file is named; choose one.");
    }
    if (path.is_absolute()) {
        return path;
    }
    const fs::path inside = folder / path.lexically_normal();
    std::error_code error;
    const fs::path real_folder = fs::weakly_canonical(folder, error);
    const fs::path real_file = fs::weakly_canonical(inside, error);
    const auto [end, ignored] = std::mismatch(real_folder.begin(), real_folder.end(), real_file.begin(), real_file.end());
    if (error || leaves_folder(file) || end != real_folder.end()) {
        return fail(ErrorKind::invalid_input,
                    "'{}' leads out of the machine's folder; write an absolute path for files elsewhere.", file);
    }
    return inside;
}

}  // namespace skep
