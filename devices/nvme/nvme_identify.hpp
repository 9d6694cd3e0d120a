// SPDX-License-Identifier: GPL-3.0-or-later
// What the controller and its one namespace say of themselves (NVM Express 1.4, 5.15 and 5.14).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "devices/block/block_backend.hpp"

namespace skep {

struct NvmeIdentity {
    std::string serial;              // up to 20 printable characters
    std::string model = "Skep disk"; // up to 40
    uint16_t vendor = 0;             // as in configuration space
    uint16_t subsystem_vendor = 0;
};

using NvmePage = std::array<uint8_t, 4096>;

[[nodiscard]] NvmePage identify_controller(const NvmeIdentity& identity, const BlockInfo& disk);
[[nodiscard]] NvmePage identify_namespace(const BlockInfo& disk);
// The namespace's identifiers: a UUID made from serial and model, the same for ever.
[[nodiscard]] NvmePage identify_descriptors(const NvmeIdentity& identity);

// What was moved, for the health page. Bytes and commands of the host since the machine's start.
struct NvmeUsage {
    uint64_t bytes_read = 0;
    uint64_t bytes_written = 0;
    uint64_t reads = 0;
    uint64_t writes = 0;
};
[[nodiscard]] std::vector<uint8_t> health_log(const NvmeUsage& usage);
[[nodiscard]] std::vector<uint8_t> firmware_log();

}  // namespace skep
