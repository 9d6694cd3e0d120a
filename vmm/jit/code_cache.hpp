// SPDX-License-Identifier: GPL-3.0-or-later
// Memory for translated code: one memfd mapped twice, once to write and once to execute (below 2 GiB). No page is ever
// writable and executable in one mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/fd.hpp"

namespace skep::jit {

// One vCPU's, on its thread.
class CodeCache {
  public:
    // Null when the host gives no such memory.
    static std::unique_ptr<CodeCache> create(size_t bytes);
    ~CodeCache();
    CodeCache(const CodeCache&) = delete;
    CodeCache& operator=(const CodeCache&) = delete;

    // Where the next piece of code will lie (its executable address), 16-byte aligned.
    [[nodiscard]] uint64_t next() const { return m_execute + m_used; }
    [[nodiscard]] size_t room() const { return m_bytes - m_used; }
    [[nodiscard]] size_t used() const { return m_used; }
    // Where to write what will execute at next().
    [[nodiscard]] std::byte* writable_next() const { return m_write + m_used; }
    // The code at next() is complete.
    void commit(size_t bytes);
    // All that was committed after `used` is void.
    void rewind(size_t used) { m_used = used; }

    // Turns the five bytes at `at` (executable address) into JMP rel32 to `target` (also in the cache).
    void patch_jump(uint64_t at, uint64_t target);
    // Turns the JMP or CALL rel32 at `at` to `target`.
    void patch_target(uint64_t at, uint64_t target);

  private:
    CodeCache(Fd fd, size_t bytes, void* write, void* execute);

    Fd m_fd;
    size_t m_bytes;
    std::byte* m_write;
    uint64_t m_execute;
    size_t m_used = 0;
};

}  // namespace skep::jit
