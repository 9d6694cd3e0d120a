// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/install_files.hpp"

#include <set>

#include "vmm/base/log.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

std::set<fs::path> files_in_use(const fs::path& folder, const VmSpec& spec) {
    std::set<fs::path> used;
    const auto add = [&](const std::string& file) {
        if (!file.empty()) {
            used.insert((folder / file).lexically_normal());
        }
    };
    for (const std::string& file : {spec.install_kernel, spec.install_initrd, spec.kernel, spec.initrd}) {
        add(file);
    }
    for (const CdSpec& cd : spec.cds) {
        add(cd.file);
    }
    for (const DiskSpec& disk : spec.disks) {
        add(disk.file);
    }
    for (const ModuleSpec& module : spec.modules) {
        add(module.file);
    }
    return used;
}

}  // namespace

void remove_unused_install_files(const fs::path& folder, const VmSpec& spec) {
    const fs::path install = folder / "install";
    std::error_code error;
    if (!fs::is_directory(fs::symlink_status(install, error))) {
        return;
    }
    const std::set<fs::path> used = files_in_use(folder, spec);
    std::set<fs::path> unused;
    for (fs::directory_iterator at(install, error), end; !error && at != end; at.increment(error)) {
        if (at->symlink_status(error).type() == fs::file_type::regular && !used.contains(at->path().lexically_normal())) {
            unused.insert(at->path());
        }
    }
    for (const fs::path& file : unused) {
        if (!fs::remove(file, error)) {
            log_warning("The installer's file '{}' was not removed: {}; remove it by hand.", file.string(), error.message());
        }
    }
    fs::remove(install, error);  // fails while something is in it, which is right
}

}  // namespace skep
