// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/large_buffer.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr size_t k_large_page = size_t{2} << 20;

}  // namespace

void* allocate_large(size_t bytes) {
    if (bytes < k_large_page) {
        return ::operator new(bytes);
    }
    const size_t size = align_up(bytes, k_large_page);
    void* area = ::mmap(nullptr, size + k_large_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (size < bytes || area == MAP_FAILED) {
        throw std::bad_alloc();
    }
    auto* begin = static_cast<std::byte*>(area);
    const size_t before = align_up(reinterpret_cast<uintptr_t>(begin), k_large_page) - reinterpret_cast<uintptr_t>(begin);
    if (before != 0) {
        ::munmap(begin, before);
    }
    ::munmap(begin + before + size, k_large_page - before);
    ::madvise(begin + before, size, MADV_HUGEPAGE);
    return begin + before;
}

void free_large(void* memory, size_t bytes) noexcept {
    if (bytes < k_large_page) {
        ::operator delete(memory);
    } else {
        ::munmap(memory, align_up(bytes, k_large_page));
    }
}

}  // namespace skep
