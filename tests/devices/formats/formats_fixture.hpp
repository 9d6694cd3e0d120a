// SPDX-License-Identifier: GPL-3.0-or-later
// What tests of image formats share: commands of the other opinion (qemu-img), and disks of random content.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "devices/formats/image.hpp"
#include "devices/formats/qcow2_create.hpp"
#include "tests/devices/block/block_fixture.hpp"

namespace skep::test {

inline bool has_qemu_img() { return std::system("command -v qemu-img >/dev/null 2>&1 && command -v qemu-io >/dev/null 2>&1") == 0; }

#define SKIP_WITHOUT_QEMU_IMG()                                        \
    if (!has_qemu_img()) {                                             \
        GTEST_SKIP() << "qemu-img is missing: apt-get install qemu-utils"; \
    }

// The exit code; output only where it fails.
inline int shell(const std::string& command) {
    const int result = std::system((command + " >/tmp/skep-shell.$$ 2>&1 || { cat /tmp/skep-shell.$$; rm -f /tmp/skep-shell.$$; exit 1; }; "
                                              "rm -f /tmp/skep-shell.$$").c_str());
    return result;
}

inline std::vector<uint8_t> file_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    std::vector<uint8_t> bytes(in ? static_cast<size_t>(in.tellg()) : 0);
    in.seekg(0);
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

inline void put_file(const std::string& path, const std::vector<uint8_t>& bytes) {
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// Stretches of data, of repetition and of zeros.
inline std::vector<uint8_t> random_disk(size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<uint8_t> disk(size);
    for (size_t at = 0; at < size;) {
        const size_t length = std::min<size_t>(size - at, 512 * (1 + random() % 300));
        const unsigned kind = random() % 3;
        for (size_t i = 0; i < length && kind != 0; ++i) {
            disk[at + i] = static_cast<uint8_t>(kind == 1 ? random() : at / 512);
        }
        at += length;
    }
    return disk;
}

inline std::vector<uint8_t> read_all(BlockBackend& backend, size_t chunk = 1 << 20) {
    std::vector<uint8_t> all(backend.info().size);
    for (size_t at = 0; at < all.size(); at += chunk) {
        BlockRequest read = simple(BlockOp::read, at);
        read.buffers = {{all.data() + at, std::min(chunk, all.size() - at)}};
        EXPECT_EQ(carry_out(backend, std::move(read)), BlockStatus::ok);
    }
    return all;
}

// A new overlay of 1 MiB, in place of whatever is there, that names `base` as its raw base.
inline Status make_overlay(const std::string& path, const std::string& base) {
    std::filesystem::remove(path);
    return create_qcow2_image(path, {.size = 1 << 20, .backing_file = base, .backing_format = "raw"});
}

inline ImageOptions in_folder(const std::string& path, ImageAccess access = ImageAccess::read_write) {
    ImageOptions options;
    options.access = access;
    options.backing.folders = {std::filesystem::path(path).parent_path()};
    options.commit_seconds = 0;
    return options;
}

// For tests that open hundreds: an io_uring takes milliseconds to come and go.
inline ImageOptions quickly(ImageOptions options) {
    options.method = IoMethod::threads;
    return options;
}

inline Qcow2Check check(const std::string& path) {
    const auto report = check_qcow2_image(path, Repair::nothing);
    if (!report) {
        ADD_FAILURE() << report.error().message;
        return {};
    }
    for (const std::string& finding : report->findings) {
        ADD_FAILURE() << path << ": " << finding;
    }
    return *report;
}

}  // namespace skep::test
