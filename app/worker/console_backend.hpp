// SPDX-License-Identifier: GPL-3.0-or-later
// A console of vmm/control (which knows no devices) as a serial port's far end.
#pragma once

#include "vmm/device/char_backend.hpp"

namespace skep {

template <typename Console>
class ConsoleBackend final : public CharBackend {
  public:
    explicit ConsoleBackend(Console& console) : m_console(console) {}
    void write(std::span<const std::byte> data) override { m_console.write(data); }
    void set_input_ready(std::function<void()> ready) override { m_console.set_input_ready(std::move(ready)); }
    size_t read(std::byte* to, size_t size) override { return m_console.read(to, size); }

  private:
    Console& m_console;
};

}  // namespace skep
