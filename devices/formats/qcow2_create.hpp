// SPDX-License-Identifier: GPL-3.0-or-later
// New qcow2 images, and what is done to images that nobody uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "devices/formats/progress.hpp"
#include "devices/formats/qcow2_store.hpp"
#include "vmm/base/result.hpp"

namespace skep {

struct Qcow2CreateOptions {
    uint64_t size = 0;           // bytes, a multiple of 512
    unsigned cluster_bits = 16;  // 9 to 21
    unsigned refcount_order = 4;
    uint32_t version = 3;
    std::string backing_file = {};  // as it will stand in the image: relative to the image's folder, or absolute
    std::string backing_format = {};  // "raw" or "qcow2", needed with a backing file
};

// Never overwrites: an existing file is an in_use error.
Status create_qcow2_image(const std::string& path, const Qcow2CreateOptions& options);
// The usual one: version 3, clusters of 64 KiB, based on nothing.
inline Status make_qcow2_image(const std::string& path, uint64_t bytes) { return create_qcow2_image(path, {.size = bytes}); }

enum class Repair { nothing, leaks, everything };

struct Qcow2Check {
    uint64_t clusters = 0;             // of the virtual disk
    uint64_t allocated_clusters = 0;   // of these, with data
    uint64_t compressed_clusters = 0;
    uint64_t leaks = 0;                // host clusters counted but not used: space lost, nothing else
    uint64_t errors = 0;               // references without count, wrong flags, impossible places
    uint64_t repaired = 0;             // of both, put right
    uint64_t file_end = 0;             // bytes: behind the last cluster in use
    std::vector<std::string> findings; // the first few, one sentence each
};

// The image must not be in use. Errors: as open_image_file, invalid_input where not even the header makes sense,
// cancelled. With `repair` leaks and errors are what was found before.
Result<Qcow2Check> check_qcow2_image(const std::string& path, Repair repair, const Progress& progress = {});

// The same for one that is open, for reading or by nobody else.
Result<Qcow2Check> check_qcow2(qcow2::Store& store, uint64_t file_size, Repair repair, const Progress& progress = {});

}  // namespace skep
