// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/block/block_backend.hpp"

namespace skep {

Status BlockBackend::grow(uint64_t /*size*/) {
    return fail(ErrorKind::unsupported, "This disk cannot be made larger.");
}

Status BlockBackend::may_grow(uint64_t size) const {
    if (info().read_only) {
        return fail(ErrorKind::permission, "The disk is read-only and cannot be made larger.");
    }
    if (size % info().block_size != 0 || size > uint64_t{1} << 60) {
        return fail(ErrorKind::invalid_input, "A disk of {} bytes cannot be made: give a multiple of {}.", size, info().block_size);
    }
    if (size <= info().size) {
        return fail(ErrorKind::invalid_input, "The disk has {} bytes already; it can only be made larger.", info().size);
    }
    return {};
}

}  // namespace skep
