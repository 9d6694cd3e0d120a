// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/runtime_dir.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "vmm/spec/vm_spec.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

// Ours, a real folder, and closed to others: in /tmp anybody could have made it.
Status make_private_folder(const fs::path& folder) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno(errno, fmt::format("Cannot create the folder '{}'", folder.string()));
    }
    struct stat info{};
    if (lstat(folder.c_str(), &info) != 0) {
        return fail_errno(errno, fmt::format("Cannot use the folder '{}'", folder.string()));
    }
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
        return fail(ErrorKind::permission, "The folder '{}' is not yours alone, so it is not safe for the machine's socket; "
                    "remove it or set XDG_RUNTIME_DIR.", folder.string());
    }
    return {};
}

}  // namespace

fs::path runtime_root() {
    const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime != nullptr && runtime[0] == '/') {
        return fs::path(runtime) / "skep";
    }
    return fmt::format("/tmp/skep-{}", geteuid());
}

Result<fs::path> socket_path(const std::string& vm_id) {
    if (!is_uuid(vm_id)) {
        return fail(ErrorKind::invalid_input, "'{}' is not a machine's id.", vm_id);
    }
    fs::path path = runtime_root() / vm_id / "ctl.sock";
    constexpr size_t k_longest = sizeof(sockaddr_un{}.sun_path) - 1;
    if (path.native().size() > k_longest) {
        return fail(ErrorKind::invalid_input, "The path '{}' is too long for a socket ({} bytes, at most {}); set XDG_RUNTIME_DIR "
                    "to a shorter folder.", path.string(), path.native().size(), k_longest);
    }
    return path;
}

Result<fs::path> prepare_socket(const std::string& vm_id) {
    const Result<fs::path> path = socket_path(vm_id);
    if (!path) {
        return path;
    }
    return make_private_folder(runtime_root()).and_then([&] { return make_private_folder(path->parent_path()); }).map([&] {
        return *path;
    });
}

Result<fs::path> prepare_network_folder(const std::string& name) {
    const fs::path all = runtime_root() / "networks";
    return make_private_folder(runtime_root())
        .and_then([&] { return make_private_folder(all); })
        .and_then([&] { return make_private_folder(all / name); })
        .map([&] { return all / name; });
}

}  // namespace skep
