// SPDX-License-Identifier: GPL-3.0-or-later
// All machines of a folder.
#include <algorithm>

#include "vmm/spec/bundle.hpp"

namespace skep {
namespace fs = std::filesystem;

std::vector<BundleEntry> list_bundles(const fs::path& root) {
    std::vector<BundleEntry> entries;
    std::error_code error;
    for (fs::directory_iterator at(root, error), end; at != end && !error; at.increment(error)) {
        std::error_code ignored;
        if (at->path().extension() != ".skep" || !at->is_directory(ignored)) {
            continue;
        }
        BundleEntry entry{at->path(), at->path().stem().string(), std::nullopt, ""};
        Result<VmSpec> spec = Bundle::open(at->path()).and_then([](const Bundle& bundle) { return bundle.load(); });
        if (spec) {
            entry.name = spec->name;
            entry.spec = std::move(*spec);
        } else {
            entry.error = spec.error().message;
        }
        entries.push_back(std::move(entry));
    }
    std::sort(entries.begin(), entries.end(), [](const BundleEntry& one, const BundleEntry& other) {
        return std::tie(one.name, one.folder) < std::tie(other.name, other.folder);
    });
    return entries;
}

Result<Bundle> find_bundle(const std::string& name_or_path, const fs::path& root) {
    if (name_or_path.find('/') != std::string::npos) {
        return Bundle::open(name_or_path);
    }
    const std::vector<BundleEntry> entries = list_bundles(root);
    const auto find = [&](auto matches) -> const BundleEntry* {
        const auto found = std::find_if(entries.begin(), entries.end(), matches);
        return found == entries.end() ? nullptr : &*found;
    };
    const BundleEntry* entry = find([&](const BundleEntry& one) { return one.name == name_or_path; });
    if (entry == nullptr) {
        entry = find([&](const BundleEntry& one) { return one.spec && one.spec->id == name_or_path; });
    }
    if (entry == nullptr) {
        entry = find([&](const BundleEntry& one) { return one.folder.stem() == name_or_path; });
    }
    if (entry != nullptr) {
        return Bundle::open(entry->folder);
    }
    std::string names;
    for (const BundleEntry& one : entries) {
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", one.name);
    }
    return fail(ErrorKind::not_found, "There is no machine named '{}'; {}.", name_or_path,
                names.empty() ? "there are none yet" : "there are " + names);
}

std::string unique_name(const std::string& wanted, const fs::path& root) {
    const std::vector<BundleEntry> entries = list_bundles(root);
    const auto taken = [&](const std::string& name) {
        std::error_code ignored;
        return fs::exists(root / (name + ".skep"), ignored) ||
               std::any_of(entries.begin(), entries.end(), [&](const BundleEntry& one) { return one.name == name; });
    };
    std::string name = wanted;
    for (unsigned number = 2; taken(name); ++number) {
        name = fmt::format("{} {}", wanted, number);
    }
    return name;
}

}  // namespace skep
