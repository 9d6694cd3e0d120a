// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/interp/vector_ops.hpp"

namespace skep::interp {

bool build_vector_op(const ZydisDecodedInstruction_&, const ZydisDecodedOperand_*, const DecodeMode&, Op&, PlainHandler&,
                     bool&) {
    return false;
}

}  // namespace skep::interp
