// SPDX-License-Identifier: GPL-3.0-or-later
// LargeBuffer: a vector of bytes for files of many MiB that are read and dropped again: not filled with zeros first, and in
// the host's large pages where it gives them.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace skep {

// Aligned to 2 MiB from that size on. Throws std::bad_alloc. Any thread.
void* allocate_large(size_t bytes);
void free_large(void* memory, size_t bytes) noexcept;

template <typename T>
struct LargeAllocator {
    using value_type = T;

    LargeAllocator() = default;
    template <typename U>
    explicit LargeAllocator(const LargeAllocator<U>&) {}

    T* allocate(size_t count) { return static_cast<T*>(allocate_large(count * sizeof(T))); }
    void deallocate(T* memory, size_t count) noexcept { free_large(memory, count * sizeof(T)); }
    // Without a value given: what the memory holds.
    template <typename U>
    void construct(U* at) {
        ::new (static_cast<void*>(at)) U;
    }
    template <typename U, typename... Values>
    void construct(U* at, Values&&... values) {
        ::new (static_cast<void*>(at)) U(std::forward<Values>(values)...);
    }
    bool operator==(const LargeAllocator&) const = default;
};

using LargeBuffer = std::vector<std::byte, LargeAllocator<std::byte>>;

}  // namespace skep
