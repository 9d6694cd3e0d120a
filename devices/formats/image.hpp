// SPDX-License-Identifier: GPL-3.0-or-later
// Disk images of every format Skep knows, opened by one door.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "devices/block/file_engine.hpp"
#include "devices/block/image_lock.hpp"
#include "devices/formats/acknowledged.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Those behind qcow2 can only be read.
enum class ImageFormat { automatic, raw, qcow2, vmdk, vdi, vhd, vhdx };

[[nodiscard]] std::string_view to_text(ImageFormat format);
// "qcow2" -> qcow2; automatic for a name that is none.
[[nodiscard]] ImageFormat image_format_from_text(std::string_view name);

// Which further files an image may name as its base. A guest writes images, so what stands in them is not trusted.
struct BackingPolicy {
    std::vector<std::filesystem::path> folders;  // anything inside, links followed
    std::vector<std::filesystem::path> files;    // picked by the user
};

struct ImageOptions {
    ImageAccess access = ImageAccess::read_write;
    ImageFormat format = ImageFormat::automatic;  // by the file's first and last bytes
    IoMethod method = IoMethod::automatic;
    BackingPolicy backing;
    unsigned commit_seconds = 1;  // Qcow2Options
    Acknowledged acknowledged = Acknowledged::in_memory;
    // Put around what moves the bytes of the image's own file, not of its bases.
    std::function<std::unique_ptr<FileEngine>(std::unique_ptr<FileEngine>)> around_file{};
};

// By content: `raw` is what is nothing else. Errors as open_image_file.
Result<ImageFormat> detect_format(const std::string& path);

// Opens and locks the image and everything below it. Errors: those of open_image_file; invalid_input and unsupported
// with what is wrong in the image; permission when its base is not among those that may be opened.
Result<std::shared_ptr<BlockBackend>> open_image(const std::string& path, const ImageOptions& options = {});

// The file that an image's header names as its base: relative names belong to the image's folder. Errors:
// invalid_input when it is no file name, permission by `policy`.
Result<std::filesystem::path> resolve_backing(const std::string& image, const std::string& named, const BackingPolicy& policy);

}  // namespace skep
