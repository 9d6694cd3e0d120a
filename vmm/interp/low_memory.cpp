// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/low_memory.hpp"

#include <sys/mman.h>

#include <cstdint>

namespace skep::interp {
namespace {

constexpr uintptr_t k_end_of_low = uintptr_t{1} << 31;

void* map_pages(size_t bytes, int flags) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

void* allocate_low(size_t bytes) {
    void* low = map_pages(bytes, MAP_32BIT);
    return low != nullptr ? low : map_pages(bytes, 0);
}

void free_low(void* memory, size_t bytes) { ::munmap(memory, bytes); }

bool is_low(const void* memory, size_t bytes) { return reinterpret_cast<uintptr_t>(memory) + bytes <= k_end_of_low; }

}  // namespace skep::interp
