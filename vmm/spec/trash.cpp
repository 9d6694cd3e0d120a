// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/trash.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>

#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr size_t k_max_info_bytes = 16 * 1024;
constexpr unsigned k_most_same_names = 10'000;

// The Path= key is a URL-encoded path (RFC 2396 section 2).
std::string encode(const std::string& path) {
    std::string encoded;
    for (const char character : path) {
        const auto letter = static_cast<char>(character | 0x20);
        const bool plain = (letter >= 'a' && letter <= 'z') || (character >= '0' && character <= '9') ||
                           std::string_view("/-_.~").find(character) != std::string_view::npos;
        encoded += plain ? std::string(1, character) : fmt::format("%{:02X}", static_cast<unsigned char>(character));
    }
    return encoded;
}

int hex_digit(char character) {
    const size_t value = std::string_view("0123456789ABCDEFabcdef").find(character);
    return value == std::string_view::npos ? -1 : static_cast<int>(value < 16 ? value : value - 6);
}

std::string decode(const std::string& encoded) {
    std::string path;
    for (size_t at = 0; at < encoded.size(); ++at) {
        if (encoded[at] == '%' && at + 2 < encoded.size() && hex_digit(encoded[at + 1]) >= 0 && hex_digit(encoded[at + 2]) >= 0) {
            path += static_cast<char>(hex_digit(encoded[at + 1]) * 16 + hex_digit(encoded[at + 2]));
            at += 2;
        } else {
            path += encoded[at];
        }
    }
    return path;
}

// `path` is absolute in the home trash, else relative to the file system's top folder.
std::string trash_info(const fs::path& path) {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char date[32] = "";
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
    return fmt::format("[Trash Info]\nPath={}\nDeletionDate={}\n", encode(path.string()), date);
}

fs::path info_file(const fs::path& trash, const std::string& name) { return trash / "info" / (name + ".trashinfo"); }

struct Trash {
    fs::path folder;
    fs::path top;  // of its file system; empty for the home trash
};

std::optional<dev_t> device_of(const fs::path& path) {
    struct stat info{};
    return stat(path.c_str(), &info) == 0 ? std::optional(info.st_dev) : std::nullopt;
}

// Of a folder that may not exist yet.
std::optional<dev_t> device_of_nearest(fs::path path) {
    while (!device_of(path) && path.has_relative_path()) {
        path = path.parent_path();
    }
    return device_of(path);
}

// `folder` is canonical: a link on the way would lead to the wrong file system.
fs::path top_folder(const fs::path& folder) {
    fs::path top = folder;
    while (top.has_relative_path() && device_of(top.parent_path()) == device_of(folder)) {
        top = top.parent_path();
    }
    return top;
}

// An administrator's .Trash must be a real folder with the sticky bit; a user's own one must be that user's.
bool is_shared_trash(const fs::path& folder) {
    struct stat info{};
    return lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
}

bool make_own_folder(const fs::path& folder) {
    struct stat info{};
    return (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) && lstat(folder.c_str(), &info) == 0 &&
           S_ISDIR(info.st_mode) && info.st_uid == getuid();
}

Result<Trash> trash_of(const fs::path& folder) {
    const fs::path home = data_home() / "Trash";
    if (device_of_nearest(home) == device_of(folder)) {
        return Trash{home, {}};
    }
    std::error_code ignored;
    const fs::path top = top_folder(fs::canonical(folder, ignored));
    const std::string uid = std::to_string(getuid());
    for (const fs::path& own : {top / ".Trash" / uid, top / (".Trash-" + uid)}) {
        const bool shared = own.parent_path() != top;
        if ((!shared || is_shared_trash(own.parent_path())) && make_own_folder(own)) {
            return Trash{own, top};
        }
    }
    return fail(ErrorKind::unsupported, "'{}' is on a file system without a trash ('{}'); delete it permanently instead.",
                folder.string(), top.string());
}

}  // namespace

Result<fs::path> move_to_trash(const fs::path& folder) {
    const Result<Trash> found = trash_of(folder);
    if (!found) {
        return tl::unexpected<Error>(found.error());
    }
    const fs::path& trash = found->folder;
    std::error_code error;
    const fs::path named = found->top.empty() ? folder : fs::canonical(folder, error).lexically_relative(found->top);
    fs::create_directories(trash / "files", error);
    fs::create_directories(trash / "info", error);
    // The info file is made first and exclusively: its name is the reservation.
    for (unsigned number = 1; number < k_most_same_names; ++number) {
        const std::string name = number == 1 ? folder.filename().string()
                                             : fmt::format("{} {}{}", folder.stem().string(), number, folder.extension().string());
        const fs::path info = info_file(trash, name);
        const Fd fd(::open(info.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!fd && errno == EEXIST) {
            continue;
        }
        if (!fd || !write_all(fd.get(), trash_info(named))) {
            return fail(ErrorKind::unsupported, "The trash '{}' cannot be used: {}; delete '{}' permanently instead.",
                        trash.string(), std::strerror(errno), folder.string());
        }
        const fs::path target = trash / "files" / name;
        if (fs::exists(target, error)) {
            ::unlink(info.c_str());
            continue;
        }
        fs::rename(folder, target, error);
        if (error) {
            ::unlink(info.c_str());
            return fail(ErrorKind::unsupported, "'{}' cannot be moved to the trash: {}; delete it permanently instead.",
                        folder.string(), error.message());
        }
        return target;
    }
    return fail(ErrorKind::no_space, "The trash holds too many folders named '{}'; empty it.", folder.filename().string());
}

Result<fs::path> take_from_trash(const fs::path& trashed) {
    const fs::path trash = trashed.parent_path().parent_path();
    const fs::path info = info_file(trash, trashed.filename().string());
    const auto text = read_small_file(info, k_max_info_bytes);
    const size_t key = text ? text->find("\nPath=") : std::string::npos;
    if (key == std::string::npos) {
        return fail(ErrorKind::not_found, "'{}' is not in the trash any more.", trashed.filename().string());
    }
    const size_t start = key + 6;
    // "/" replaces what is before it: a relative path counts from the top folder, which holds the trash.
    std::error_code error;
    const fs::path origin =
        top_folder(fs::canonical(trash, error)) / decode(text->substr(start, text->find('\n', start) - start));
    if (fs::exists(origin, error)) {
        return fail(ErrorKind::in_use, "'{}' exists again; rename it before taking the old one out of the trash.", origin.string());
    }
    fs::create_directories(origin.parent_path(), error);
    fs::rename(trashed, origin, error);
    if (error) {
        return fail_errno(error.value(), fmt::format("Cannot take '{}' out of the trash", origin.string()));
    }
    fs::remove(info, error);
    return origin;
}

Result<Bundle> restore_from_trash(const fs::path& trashed) {
    return take_from_trash(trashed).and_then([](const fs::path& origin) { return Bundle::open(origin); });
}

}  // namespace skep
