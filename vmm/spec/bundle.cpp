// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/bundle.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "vmm/base/files.hpp"
#include "vmm/spec/bundle_lock.hpp"
#include "vmm/spec/bundle_path.hpp"
#include "vmm/spec/spec_fields.hpp"
#include "vmm/spec/spec_yaml.hpp"
#include "vmm/spec/trash.hpp"
#include "vmm/spec/validate.hpp"

namespace skep {
namespace fs = std::filesystem;
namespace {

constexpr unsigned k_generations = 3;
constexpr std::string_view k_suffix = ".skep";

fs::path generation_file(const fs::path& folder, unsigned number) { return folder / fmt::format("vm.yaml.{}", number); }

fs::path folder_for(const fs::path& root, const std::string& name) { return root / (name + std::string(k_suffix)); }

Status make_folder(const fs::path& folder) {
    if (::mkdir(folder.c_str(), 0700) != 0) {
        if (errno == EEXIST) {
            return fail(ErrorKind::in_use, "'{}' exists already; choose another name.", folder.string());
        }
        return fail_errno(errno, fmt::format("Cannot create the folder '{}'", folder.string()));
    }
    return {};
}

// vm.yaml.2 -> .3, .1 -> .2, and a copy (a hard link, so that vm.yaml never disappears) of the current one as .1.
void keep_generation(const fs::path& folder) {
    std::error_code ignored;  // a generation that cannot be kept must not stop the save
    for (unsigned number = k_generations; number > 1; --number) {
        fs::rename(generation_file(folder, number - 1), generation_file(folder, number), ignored);
    }
    fs::create_hard_link(folder / "vm.yaml", generation_file(folder, 1), ignored);
    if (ignored) {
        fs::copy_file(folder / "vm.yaml", generation_file(folder, 1), fs::copy_options::overwrite_existing, ignored);
    }
}

// Sparse: what is not written yet uses no space.
Status make_raw_image(const std::string& path, uint64_t bytes) {
    const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) {
        return fail_errno(errno, fmt::format("Cannot create the disk image '{}'", path));
    }
    if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0 || fsync(fd.get()) != 0) {
        const int error = errno;
        ::unlink(path.c_str());
        return fail_errno(error, fmt::format("Cannot make a disk image of {}", describe_size(bytes)));
    }
    return {};
}

}  // namespace

fs::path data_home() {
    const char* const home = std::getenv("HOME");
    const char* const data = std::getenv("XDG_DATA_HOME");
    // The base directory specification tells to ignore relative paths.
    return data != nullptr && data[0] == '/' ? fs::path(data) : fs::path(home == nullptr ? "/" : home) / ".local/share";
}

fs::path machines_folder() { return data_home() / "skep/machines"; }

Result<Bundle> Bundle::create(const fs::path& root, VmSpec spec) {
    if (const std::string problem = name_problem(spec.name); !problem.empty()) {
        return fail(ErrorKind::invalid_input, "{}", problem);
    }
    if (spec.id.empty()) {
        spec.id = make_uuid();
    }
    std::error_code error;
    fs::create_directories(root, error);
    if (error) {
        return fail_errno(error.value(), fmt::format("Cannot create the folder '{}'", root.string()));
    }
    for (const BundleEntry& entry : list_bundles(root)) {
        if (entry.name == spec.name) {
            return fail(ErrorKind::in_use, "There is a machine named '{}' already; choose another name.", spec.name);
        }
    }
    const Bundle bundle(folder_for(root, spec.name));
    if (Status made = make_folder(bundle.folder()); !made) {
        return tl::unexpected<Error>(made.error());
    }
    const Status filled = make_folder(bundle.disks_folder())
                              .and_then([&] { return make_folder(bundle.state_folder()); })
                              .and_then([&] { return make_folder(bundle.log_folder()); })
                              .and_then([&] { return bundle.save(spec); })
                              .and_then([&] { return sync_folder(root); });
    if (!filled) {
        fs::remove_all(bundle.folder(), error);
        return tl::unexpected<Error>(filled.error());
    }
    return bundle;
}

Result<Bundle> Bundle::open(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) {
        return fail(ErrorKind::not_found, "'{}' is not a machine's folder: it does not exist.", folder.string());
    }
    Bundle bundle(fs::absolute(folder, error).lexically_normal());
    if (!bundle.m_folder.has_filename()) {
        bundle.m_folder = bundle.m_folder.parent_path();  // "x.skep/"
    }
    if (!fs::exists(bundle.spec_file(), error) && !bundle.has_previous()) {
        return fail(ErrorKind::not_found, "'{}' is not a machine's folder: it holds no vm.yaml.", folder.string());
    }
    return bundle;
}

std::string Bundle::folder_name() const {
    const std::string name = m_folder.filename().string();
    return name.ends_with(k_suffix) ? name.substr(0, name.size() - k_suffix.size()) : name;
}

Result<VmSpec> Bundle::load() const {
    auto text = read_small_file(spec_file(), k_max_spec_bytes);
    if (!text) {
        return tl::unexpected<Error>(text.error());
    }
    const std::string place = fmt::format("'{}'", spec_file().string());
    return parse_spec(*text, place).and_then([&](VmSpec spec) -> Result<VmSpec> {
        if (spec.id.empty()) {
            return fail(ErrorKind::invalid_input, "{} has no 'id'; add a line such as 'id: {}'.", place, make_uuid());
        }
        return spec;
    });
}

Status Bundle::save(const VmSpec& spec) const {
    const std::string text = print_spec(spec);
    // What is written must be readable: better no save than a machine that cannot be opened.
    if (const auto again = parse_spec(text); !again) {
        return fail(ErrorKind::invalid_input, "The settings of '{}' cannot be saved: {}", spec.name, again.error().message);
    }
    if (const auto old = read_small_file(spec_file(), k_max_spec_bytes); old) {
        if (*old == text) {
            return {};
        }
        keep_generation(m_folder);
    }
    return replace_file(spec_file(), text);
}

Result<VmSpec> Bundle::update(const std::function<Status(VmSpec&)>& change) const {
    const Result<Fd> lock = lock_bundle(m_folder, BundleLock::edit, Waiting::yes);
    if (!lock) {
        return tl::unexpected<Error>(lock.error());
    }
    Result<VmSpec> spec = load();
    if (!spec) {
        return spec;
    }
    return change(*spec).and_then([&] { return save(*spec); }).map([&] { return std::move(*spec); });
}

bool Bundle::has_previous() const {
    std::error_code ignored;
    for (unsigned number = 1; number <= k_generations; ++number) {
        if (fs::exists(generation_file(m_folder, number), ignored)) {
            return true;
        }
    }
    return false;
}

Result<unsigned> Bundle::restore_previous() const {
    const Result<Fd> lock = lock_bundle(m_folder, BundleLock::edit, Waiting::yes);
    if (!lock) {
        return tl::unexpected<Error>(lock.error());
    }
    for (unsigned number = 1; number <= k_generations; ++number) {
        const auto text = read_small_file(generation_file(m_folder, number), k_max_spec_bytes);
        if (!text || !parse_spec(*text)) {
            continue;
        }
        std::error_code ignored;
        fs::copy_file(spec_file(), m_folder / "vm.yaml.broken", fs::copy_options::overwrite_existing, ignored);
        return replace_file(spec_file(), *text).map([&] { return number; });
    }
    return fail(ErrorKind::not_found, "'{}' has no earlier settings that can be read.", folder_name());
}

Status Bundle::rename(const std::string& new_name) {
    if (const std::string problem = name_problem(new_name); !problem.empty()) {
        return fail(ErrorKind::invalid_input, "{}", problem);
    }
    const Result<Fd> run_lock = lock_bundle(m_folder, BundleLock::run, Waiting::no);
    if (!run_lock) {
        return fail(run_lock.error().kind, "Cannot rename: {}", run_lock.error().message);
    }
    const fs::path root = m_folder.parent_path();
    for (const BundleEntry& entry : list_bundles(root)) {
        if (entry.folder != m_folder && entry.name == new_name) {
            return fail(ErrorKind::in_use, "There is a machine named '{}' already; choose another name.", new_name);
        }
    }
    const fs::path target = folder_for(root, new_name);
    std::error_code error;
    const bool moves = target != m_folder;
    if (moves && fs::exists(target, error)) {
        return fail(ErrorKind::in_use, "'{}' exists already; choose another name.", target.string());
    }
    const auto renamed = update([&](VmSpec& spec) -> Status {
        spec.name = new_name;
        return {};
    });
    if (!renamed) {
        return tl::unexpected<Error>(renamed.error());
    }
    if (moves) {
        fs::rename(m_folder, target, error);
        if (error) {
            return fail_errno(error.value(), fmt::format("Cannot rename '{}'", m_folder.string()));
        }
        m_folder = target;
    }
    return sync_folder(root);
}

std::vector<BundleFile> Bundle::files() const {
    std::vector<BundleFile> found;
    std::error_code error;
    for (fs::recursive_directory_iterator at(m_folder, error), end; at != end && !error; at.increment(error)) {
        struct stat info{};
        if (lstat(at->path().c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
            constexpr uint64_t k_block = 512;  // st_blocks counts these
            found.push_back({at->path().lexically_relative(m_folder), static_cast<uint64_t>(info.st_size),
                             static_cast<uint64_t>(info.st_blocks) * k_block});
        }
    }
    std::sort(found.begin(), found.end(), [](const auto& one, const auto& other) { return one.path < other.path; });
    return found;
}

Result<fs::path> Bundle::remove(DeleteMode mode) {
    const Result<Fd> run_lock = lock_bundle(m_folder, BundleLock::run, Waiting::no);
    if (!run_lock && run_lock.error().kind == ErrorKind::in_use) {
        return fail(ErrorKind::in_use, "'{}' is running; stop it before deleting it.", folder_name());
    }
    if (mode == DeleteMode::trash) {
        return move_to_trash(m_folder);
    }
    std::error_code error;
    fs::remove_all(m_folder, error);
    if (error) {
        return fail_errno(error.value(), fmt::format("Cannot delete '{}'", m_folder.string()));
    }
    return fs::path();
}

bool Bundle::running() const { return is_locked(m_folder, BundleLock::run); }

Result<fs::path> Bundle::resolve(const std::string& file) const { return resolve_in_folder(m_folder, file); }

std::string Bundle::relative_name(const fs::path& host_path) const {
    const fs::path relative = host_path.lexically_normal().lexically_relative(m_folder);
    return relative.empty() || *relative.begin() == ".." ? host_path.string() : relative.string();
}

Result<DiskSpec> Bundle::create_disk(VmSpec& spec, const NewDisk& wanted) const {
    constexpr uint64_t k_sector = 512;
    if (wanted.bytes < 1024 * 1024 || wanted.bytes % k_sector != 0) {
        return fail(ErrorKind::invalid_input, "A disk of {} is too small or not whole sectors; use at least 1M.",
                    describe_size(wanted.bytes));
    }
    DiskSpec disk;
    disk.id = spec.free_id("disk");
    disk.file = fmt::format("disks/{}.{}", disk.id, wanted.format == DiskFormat::qcow2 ? "qcow2" : "img");
    disk.bus = wanted.bus;
    const MakeImage& make = wanted.make ? wanted.make : make_raw_image;
    if (const Status made = make((m_folder / disk.file).string(), wanted.bytes); !made) {
        return tl::unexpected(made.error());
    }
    spec.disks.push_back(disk);
    return disk;
}

}  // namespace skep
