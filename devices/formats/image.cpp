// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/formats/image.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "devices/block/image_file.hpp"
#include "devices/block/raw.hpp"
#include "devices/formats/block_map.hpp"
#include "devices/formats/metadata_file.hpp"
#include "devices/formats/qcow2.hpp"

namespace skep {
namespace {

namespace fs = std::filesystem;

constexpr size_t k_most_layers = 64;
constexpr std::array<std::string_view, 7> k_names{"auto", "raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"};

using FileId = std::pair<dev_t, ino_t>;

struct Chain {
    const ImageOptions& options;
    std::vector<FileId> above;
};

ImageFormat format_of(std::span<const uint8_t> first) {
    const auto starts = [&](size_t at, std::string_view magic) {
        return first.size() >= at + magic.size() &&
               std::equal(magic.begin(), magic.end(), reinterpret_cast<const char*>(first.data() + at));
    };
    if (starts(0, "QFI\xfb")) {
        return ImageFormat::qcow2;
    }
    if (starts(0, "KDMV") || starts(0, "# Disk DescriptorFile")) {
        return ImageFormat::vmdk;
    }
    if (starts(64, "\x7f\x10\xda\xbe")) {
        return ImageFormat::vdi;
    }
    if (starts(0, "vhdxfile")) {
        return ImageFormat::vhdx;
    }
    return starts(0, "conectix") ? ImageFormat::vhd : ImageFormat::raw;
}

Result<ImageFormat> detect(ImageFile& file, const std::string& path) {
    std::vector<uint8_t> first(std::min<uint64_t>(file.size, 4096));
    if (const HostError error = MetadataFile(*file.engine).read(0, first); error != 0) {
        return fail_errno(error, fmt::format("Reading disk image {}", path));
    }
    const ImageFormat format = format_of(first);
    if (format != ImageFormat::raw || file.size < 1024) {
        return format;
    }
    first.resize(512);  // a fixed VHD has its mark behind the disk
    const HostError error = MetadataFile(*file.engine).read(file.size - 512, first);
    return error == 0 && format_of(first) == ImageFormat::vhd ? ImageFormat::vhd : ImageFormat::raw;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
    const auto [at, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return at == folder.end() || (at->empty() && std::next(at) == folder.end());
}

Result<std::shared_ptr<BlockBackend>> open_layer(const std::string& path, ImageFormat format, ImageAccess access, Chain& chain);

Result<std::shared_ptr<BlockBackend>> open_base(const std::string& path, const qcow2::Header& header, Chain& chain) {
    auto base = resolve_backing(path, header.backing_file, chain.options.backing);
    if (!base) {
        return tl::unexpected(base.error());
    }
    const ImageFormat format = image_format_from_text(header.backing_format);
    if (format == ImageFormat::automatic && !header.backing_format.empty()) {
        return fail(ErrorKind::unsupported, "Disk image {} has a base of the format \"{}\", which Skep does not know.", path,
                    header.backing_format);
    }
    return open_layer(base->string(), format, ImageAccess::read_only, chain);
}

Result<std::shared_ptr<BlockBackend>> open_qcow2(const std::string& path, ImageFile file, ImageAccess access, Chain& chain) {
    std::shared_ptr<BlockBackend> base;
    {
        const auto peek = qcow2::Store::open(*file.engine, file.size, path, {.access = ImageAccess::read_only});
        if (!peek) {
            return tl::unexpected(peek.error());
        }
        if (!(*peek)->header().backing_file.empty()) {
            auto opened = open_base(path, (*peek)->header(), chain);
            if (!opened) {
                return opened;
            }
            base = std::move(*opened);
        }
    }
    const Qcow2Options options{.access = access, .method = chain.options.method, .commit_seconds = chain.options.commit_seconds,
                               .acknowledged = chain.options.acknowledged};
    auto image = Qcow2Image::open(path, std::move(file.fd), std::move(file.engine), file.size, std::move(base), options);
    if (!image) {
        return tl::unexpected(image.error());
    }
    return std::shared_ptr<BlockBackend>(std::move(*image));
}

Result<std::shared_ptr<BlockBackend>> open_imported(const std::string& path, ImageFormat format, ImageFile file, ImageAccess access) {
    if (access == ImageAccess::read_write) {
        return fail(ErrorKind::unsupported,
                    "{} is a {} image, which Skep only reads. Convert it with 'skepctl disk convert' first.", path, to_text(format));
    }
    MetadataFile reader(*file.engine);
    auto map = read_block_map(format, reader, file.size, path);
    if (!map) {
        return tl::unexpected(map.error());
    }
    return std::shared_ptr<BlockBackend>(std::make_shared<BlockMapImage>(path, std::move(*map), std::move(file)));
}

Result<std::shared_ptr<BlockBackend>> open_layer(const std::string& path, ImageFormat format, ImageAccess access, Chain& chain) {
    struct stat status {};
    if (stat(path.c_str(), &status) == 0) {
        const FileId id{status.st_dev, status.st_ino};
        if (std::ranges::find(chain.above, id) != chain.above.end()) {
            return fail(ErrorKind::invalid_input, "Disk image {} is based on itself. Restore it from a copy.", path);
        }
        chain.above.push_back(id);
    }
    if (chain.above.size() > k_most_layers) {
        return fail(ErrorKind::invalid_input, "Disk image {} has more than {} images below it. Convert it to one.", path, k_most_layers);
    }
    auto file = open_image_file(path, access, chain.options.method);
    if (!file) {
        return tl::unexpected(file.error());
    }
    if (chain.options.around_file && chain.above.size() <= 1) {
        file->engine = chain.options.around_file(std::move(file->engine));
    }
    if (format == ImageFormat::automatic) {
        const auto found = detect(*file, path);
        if (!found) {
            return tl::unexpected(found.error());
        }
        format = *found;
    }
    if (format == ImageFormat::qcow2) {
        return open_qcow2(path, std::move(*file), access, chain);
    }
    if (format != ImageFormat::raw) {
        return open_imported(path, format, std::move(*file), access);
    }
    const bool writer = access == ImageAccess::read_write;
    if (writer && file->size % 512 != 0) {
        return fail(ErrorKind::invalid_input, "Disk image {} is damaged: its size is not a multiple of 512 bytes.", path);
    }
    const BlockInfo info{align_up(file->size, 512), 512, !writer, writer};
    const uint64_t size = file->size;
    return std::shared_ptr<BlockBackend>(
        std::make_shared<RawImage>(path, info, size, std::move(file->fd), std::move(file->engine)));
}

}  // namespace

std::string_view to_text(ImageFormat format) { return k_names.at(static_cast<size_t>(format)); }

ImageFormat image_format_from_text(std::string_view name) {
    const auto found = std::ranges::find(k_names, name == "vpc" ? "vhd" : name);  // QEMU's name for it
    return found == k_names.end() ? ImageFormat::automatic : static_cast<ImageFormat>(found - k_names.begin());
}

Result<ImageFormat> detect_format(const std::string& path) {
    auto file = open_image_file(path, ImageAccess::read_only);
    if (!file) {
        return tl::unexpected(file.error());
    }
    return detect(*file, path);
}

Result<fs::path> resolve_backing(const std::string& image, const std::string& named, const BackingPolicy& policy) {
    if (named.find("://") != std::string::npos || named.starts_with("json:")) {
        return fail(ErrorKind::invalid_input, "Disk image {} is based on \"{}\", which is not a file.", image, named);
    }
    std::error_code error;
    const fs::path base = fs::weakly_canonical(fs::path(image).parent_path() / named, error);
    if (error) {
        return fail(ErrorKind::not_found, "The base \"{}\" of disk image {} cannot be found.", named, image);
    }
    const auto same = [&](const fs::path& listed) { return fs::weakly_canonical(listed, error) == base; };
    const auto holds = [&](const fs::path& folder) { return is_inside(base, fs::weakly_canonical(folder, error)); };
    if (std::ranges::none_of(policy.files, same) && std::ranges::none_of(policy.folders, holds)) {
        return fail(ErrorKind::permission,
                    "Disk image {} is based on {}, which lies outside of its folder and is not opened unasked. "
                    "If you trust it, list it among the disk's base images (disks[].backing), or convert with --trust.",
                    image, base.string());
    }
    return base;
}

Result<std::shared_ptr<BlockBackend>> open_image(const std::string& path, const ImageOptions& options) {
    Chain chain{options, {}};
    return open_layer(path, options.format, options.access, chain);
}

}  // namespace skep
