// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/code_cache.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep::jit {

std::unique_ptr<CodeCache> CodeCache::create(size_t bytes) {
    Fd fd(::memfd_create("skep-code", MFD_CLOEXEC));
    if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
        return nullptr;
    }
    void* write = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (write == MAP_FAILED) {
        return nullptr;
    }
    void* execute = ::mmap(nullptr, bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_32BIT, fd.get(), 0);
    if (execute == MAP_FAILED) {
        ::munmap(write, bytes);
        return nullptr;
    }
    return std::unique_ptr<CodeCache>(new CodeCache(std::move(fd), bytes, write, execute));
}

CodeCache::CodeCache(Fd fd, size_t bytes, void* write, void* execute)
    : m_fd(std::move(fd)),
      m_bytes(bytes),
      m_write(static_cast<std::byte*>(write)),
      m_execute(reinterpret_cast<uintptr_t>(execute)) {}

CodeCache::~CodeCache() {
    ::munmap(m_write, m_bytes);
    ::munmap(reinterpret_cast<void*>(m_execute), m_bytes);
}

void CodeCache::commit(size_t bytes) { m_used = std::min<size_t>(align_up(m_used + bytes, 16), m_bytes); }

void CodeCache::patch_jump(uint64_t at, uint64_t target) {
    m_write[at - m_execute] = std::byte{0xe9};
    patch_target(at, target);
}

void CodeCache::patch_target(uint64_t at, uint64_t target) {
    const auto distance = static_cast<uint32_t>(target - (at + 5));
    std::memcpy(m_write + (at - m_execute) + 1, &distance, sizeof distance);
}

}  // namespace skep::jit
