// SPDX-License-Identifier: GPL-3.0-or-later
#include <memory>

#include "vmm/jit/emitter.hpp"

namespace skep::jit {
namespace {

using Table = std::array<EmitEntry, ZYDIS_MNEMONIC_MAX_VALUE + 1>;

std::unique_ptr<Table> make_table() {
    auto table = std::make_unique<Table>();
    for (const auto& lines : {integer_lines(), multiply_lines(), stack_lines(), branch_lines(), system_lines(),
                              string_lines()}) {
        for (const EmitLine& line : lines) {
            (*table)[line.mnemonic] = {line.function, line.id};
        }
    }
    return table;
}

}  // namespace

const EmitEntry& emit_entry_of(ZydisMnemonic mnemonic) {
    static const std::unique_ptr<Table> table = make_table();
    return (*table)[mnemonic];
}

}  // namespace skep::jit
