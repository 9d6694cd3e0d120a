// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes at offsets: a file, or memory in tests and fuzzing. What is read is untrusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep {

class ByteSource {
  public:
    virtual ~ByteSource() = default;
    [[nodiscard]] virtual uint64_t size() const = 0;
    // False when any byte lies beyond the end or cannot be read.
    [[nodiscard]] virtual bool read(uint64_t offset, std::span<std::byte> to) const = 0;

    [[nodiscard]] std::optional<std::vector<std::byte>> read_block(uint64_t offset, size_t length) const {
        std::vector<std::byte> block(length);
        return read(offset, block) ? std::optional(std::move(block)) : std::nullopt;
    }
    // As many of the first `length` bytes as there are.
    [[nodiscard]] std::vector<std::byte> read_start(size_t length) const;
};

class FileSource final : public ByteSource {
  public:
    // Fails with a sentence for what is missing, a directory, not readable, empty or a device without size.
    static Result<FileSource> open(const std::string& path);
    [[nodiscard]] uint64_t size() const override { return m_size; }
    [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override;

  private:
    Fd m_file;
    uint64_t m_size = 0;
};

class MemorySource final : public ByteSource {
  public:
    explicit MemorySource(std::span<const std::byte> bytes) : m_bytes(bytes) {}
    [[nodiscard]] uint64_t size() const override { return m_bytes.size(); }
    [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override;

  private:
    std::span<const std::byte> m_bytes;
};

}  // namespace skep
