// SPDX-License-Identifier: GPL-3.0-or-later
// A machine on disk: the folder <Name>.skep with vm.yaml, disks/, state/ and log/. Saving is atomic, the last three
// generations are kept, a lock file says who runs the machine and who edits it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

// $XDG_DATA_HOME/skep/machines, or ~/.local/share/skep/machines. Not created by asking.
[[nodiscard]] std::filesystem::path machines_folder();

// The worker's proof of life: an open file description lock on the first byte of <bundle>/lock, released by the
// kernel when the process ends in whatever way.
class RunLock {
  public:
    // Kind in_use when another worker holds it.
    [[nodiscard]] static Result<RunLock> acquire(const std::filesystem::path& bundle_folder);

  private:
    explicit RunLock(Fd fd) : m_fd(std::move(fd)) {}
    Fd m_fd;
};

struct BundleFile {
    std::filesystem::path path;  // relative to the bundle
    uint64_t size = 0;           // apparent bytes
    uint64_t allocated = 0;      // bytes on the host's disk
};

enum class DeleteMode { trash, permanently };

// Makes an image file of a disk of so many bytes; never over one that is there.
using MakeImage = std::function<Status(const std::string& path, uint64_t bytes)>;

struct NewDisk {
    uint64_t bytes = 0;  // whole sectors, from 1 MiB
    DiskBus bus = DiskBus::virtio;
    DiskFormat format = DiskFormat::raw;
    MakeImage make = {};  // left out: a sparse raw file. The other formats are not known to this room
};

class Bundle {
  public:
    // Makes <root>/<name>.skep and saves the spec (an id is made when empty). Kind in_use when the name is taken.
    // Leaves nothing behind on failure.
    [[nodiscard]] static Result<Bundle> create(const std::filesystem::path& root, VmSpec spec);
    // Any folder holding a vm.yaml (which may be broken) or a previous generation of it.
    [[nodiscard]] static Result<Bundle> open(const std::filesystem::path& folder);

    [[nodiscard]] const std::filesystem::path& folder() const { return m_folder; }
    [[nodiscard]] std::string folder_name() const;  // without ".skep"
    [[nodiscard]] std::filesystem::path spec_file() const { return m_folder / "vm.yaml"; }
    [[nodiscard]] std::filesystem::path disks_folder() const { return m_folder / "disks"; }
    [[nodiscard]] std::filesystem::path state_folder() const { return m_folder / "state"; }
    [[nodiscard]] std::filesystem::path log_folder() const { return m_folder / "log"; }
    [[nodiscard]] std::filesystem::path worker_log() const { return log_folder() / "worker.log"; }

    [[nodiscard]] Result<VmSpec> load() const;
    // Atomic: temporary file, fsync, rename, fsync of the folder; the old file becomes vm.yaml.1 (then .2, .3).
    [[nodiscard]] Status save(const VmSpec& spec) const;
    // Loads, changes and saves under the edit lock, so that window and command line do not undo each other's work.
    [[nodiscard]] Result<VmSpec> update(const std::function<Status(VmSpec&)>& change) const;
    // Makes the newest generation that parses the current vm.yaml again; the broken file is kept as vm.yaml.broken.
    // Returns its number (1..3).
    [[nodiscard]] Result<unsigned> restore_previous() const;
    [[nodiscard]] bool has_previous() const;

    // Changes the name in vm.yaml and the folder's. Refused while running, or when the name is taken.
    [[nodiscard]] Status rename(const std::string& new_name);

    [[nodiscard]] std::vector<BundleFile> files() const;
    // Refused while running. Trash is freedesktop.org's ($XDG_DATA_HOME/Trash); returns where it went (empty: gone).
    [[nodiscard]] Result<std::filesystem::path> remove(DeleteMode mode);

    [[nodiscard]] bool running() const;  // some process holds the run lock
    // The host path of a file named by the spec. A relative path must stay inside the bundle (also through links).
    [[nodiscard]] Result<std::filesystem::path> resolve(const std::string& file) const;
    // How the spec should name a host path: relative when it lies inside the bundle, else absolute.
    [[nodiscard]] std::string relative_name(const std::filesystem::path& host_path) const;

    // Makes disks/<id>.img, a sparse file, or disks/<id>.qcow2, and adds it to the spec (unsaved). Kind no_space when even
    // the file cannot be made.
    [[nodiscard]] Result<DiskSpec> create_disk(VmSpec& spec, const NewDisk& disk) const;

  private:
    explicit Bundle(std::filesystem::path folder) : m_folder(std::move(folder)) {}
    std::filesystem::path m_folder;
};

// Puts a trashed bundle back (Undo). `trashed` is what Bundle::remove returned.
[[nodiscard]] Result<Bundle> restore_from_trash(const std::filesystem::path& trashed);

// One machine of the library. A broken one is listed with its error, never left out.
struct BundleEntry {
    std::filesystem::path folder;
    std::string name;             // from vm.yaml, or the folder's
    std::optional<VmSpec> spec;
    std::string error;            // set when spec is not
};
// Sorted by name. A missing root is an empty library.
[[nodiscard]] std::vector<BundleEntry> list_bundles(const std::filesystem::path& root = machines_folder());
// By name, id, folder name or path. Kind not_found with a sentence that lists what there is.
[[nodiscard]] Result<Bundle> find_bundle(const std::string& name_or_path,
                                         const std::filesystem::path& root = machines_folder());
// `wanted`, or `wanted 2`, `wanted 3`... whichever no machine in root has.
[[nodiscard]] std::string unique_name(const std::string& wanted, const std::filesystem::path& root = machines_folder());

}  // namespace skep
