// SPDX-License-Identifier: GPL-3.0-or-later
// The host's end of a serial line: a console hub, standard input and output, or a test.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace skep {

class CharBackend {
  public:
    virtual ~CharBackend() = default;
    // Bytes from the guest. Any thread; never blocks (a bounded buffer drops the oldest when nobody reads).
    virtual void write(std::span<const std::byte> data) = 0;
    // The guest side asks for input: `ready` is called, on any thread and with no lock of the backend held, whenever input may
    // have become available. Set once, before the machine starts.
    virtual void set_input_ready(std::function<void()> ready) = 0;
    // Takes up to `size` waiting input bytes; 0 when there are none. Any thread, never blocks.
    virtual size_t read(std::byte* to, size_t size) = 0;
};

}  // namespace skep
