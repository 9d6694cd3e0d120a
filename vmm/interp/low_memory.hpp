// SPDX-License-Identifier: GPL-3.0-or-later
// Memory below 2 GiB: translated code reaches it by a 32-bit absolute address, so that no register must hold its place.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace skep::interp {

// Zeroed pages below 2 GiB, or anywhere if the host has none left there. Null when the host has no memory at all.
[[nodiscard]] void* allocate_low(size_t bytes);
void free_low(void* memory, size_t bytes);
// Lies the whole of it below 2 GiB?
[[nodiscard]] bool is_low(const void* memory, size_t bytes);

struct LowDelete {
    template <typename T>
    void operator()(T* object) const {
        object->~T();
        free_low(object, sizeof(T));
    }
};
template <typename T>
using LowPointer = std::unique_ptr<T, LowDelete>;

// Throws std::bad_alloc.
template <typename T>
LowPointer<T> make_low() {
    void* memory = allocate_low(sizeof(T));
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return LowPointer<T>(new (memory) T());
}

}  // namespace skep::interp
