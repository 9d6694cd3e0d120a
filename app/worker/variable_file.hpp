// SPDX-License-Identifier: GPL-3.0-or-later
// The file in a machine's folder that holds its UEFI variables.
#pragma once

#include <filesystem>
#include <memory>

#include "devices/board/cfi_flash.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

// Writes through to the file at once; a failure is said in the log, once. The file has its full size from the start, so that
// no write can meet a full disk on a file system that writes in place.
class VariableFile final : public FlashStore {
  public:
    [[nodiscard]] static Result<std::unique_ptr<VariableFile>> open(const std::filesystem::path& file);

    void written(uint64_t offset, std::span<const std::byte> bytes) override;
    void sync() override;

  private:
    VariableFile(std::filesystem::path file, Fd fd) : m_file(std::move(file)), m_fd(std::move(fd)) {}
    void failed(const char* what);

    std::filesystem::path m_file;
    Fd m_fd;
    bool m_has_failed = false;
};

}  // namespace skep
