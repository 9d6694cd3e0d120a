// SPDX-License-Identifier: GPL-3.0-or-later
// What an InterpVcpu may have beside its interpreter: something that replaces blocks which run often by native code.
// All calls on the vCPU's own thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "vmm/interp/core.hpp"

namespace skep::interp {

struct Block;
struct DecodeMode;

class Translator {
  public:
    virtual ~Translator() = default;

    // How often a block of this mode runs before translate() is asked for it; 0: never.
    [[nodiscard]] virtual uint32_t threshold(const DecodeMode& mode) const = 0;
    // The block at Core::rip's place (its address is Core::gpr[17]) is hot. True when its first op is now one that runs
    // native code; false: it stays as it is, and this is not asked again. No native code is running.
    virtual bool translate(Core& core, Block& block) = 0;
    // The code of this page was written: nothing made of it may be entered again. Native code may be running (it called
    // the handler that wrote).
    virtual void drop_page(const std::byte* host_page) = 0;
    // The numbers of code contexts began again (code_contexts.hpp): what is kept by number is void.
    virtual void forget_contexts() = 0;
    // Forgets everything. No native code is running.
    virtual void clear() = 0;
};

using TranslatorFactory = std::function<std::unique_ptr<Translator>(Core& core)>;

}  // namespace skep::interp
