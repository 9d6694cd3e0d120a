// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/trash.hpp"

#include <fcntl.h>

#include <cerrno>
#include <ctime>

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

std::string trash_info(const fs::path& folder) {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char date[32] = "";
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
    return fmt::format("[Trash Info]\nPath={}\nDeletionDate={}\n", encode(folder.string()), date);
}

fs::path info_file(const fs::path& trash, const std::string& name) { return trash / "info" / (name + ".trashinfo"); }

}  // namespace

Result<fs::path> move_to_trash(const fs::path& folder) {
    const fs::path trash = data_home() / "Trash";
    std::error_code error;
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
        if (!fd || !write_all(fd.get(), trash_info(folder))) {
            return fail_errno(errno, fmt::format("Cannot use the trash '{}'; delete permanently instead", trash.string()));
        }
        const fs::path target = trash / "files" / name;
        if (fs::exists(target, error)) {
            ::unlink(info.c_str());
            continue;
        }
        fs::rename(folder, target, error);
        if (error) {
            ::unlink(info.c_str());
            return fail(ErrorKind::unsupported, "Cannot move '{}' to the trash: {}; delete it permanently instead.",
                        folder.string(), error.message());
        }
        return target;
    }
    return fail(ErrorKind::no_space, "The trash holds too many folders named '{}'; empty it.", folder.filename().string());
}

Result<fs::path> take_from_trash(const fs::path& trashed) {
    const fs::path info = info_file(trashed.parent_path().parent_path(), trashed.filename().string());
    const auto text = read_small_file(info, k_max_info_bytes);
    const size_t key = text ? text->find("\nPath=") : std::string::npos;
    if (key == std::string::npos) {
        return fail(ErrorKind::not_found, "'{}' is not in the trash any more.", trashed.filename().string());
    }
    const size_t start = key + 6;
    const fs::path origin = decode(text->substr(start, text->find('\n', start) - start));
    std::error_code error;
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
