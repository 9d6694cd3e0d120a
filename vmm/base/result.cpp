// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/result.hpp"

#include <cerrno>
#include <system_error>

namespace skep {

tl::unexpected<Error> fail_errno(int error_number, const std::string& what) {
    ErrorKind kind = ErrorKind::io;
    switch (error_number) {
        case ENOENT: kind = ErrorKind::not_found; break;
        case EACCES:
        case EPERM: kind = ErrorKind::permission; break;
        case EAGAIN:
        case EBUSY:
        case ETXTBSY: kind = ErrorKind::in_use; break;
        case ENOSPC:
        case EDQUOT:
        case ENOMEM: kind = ErrorKind::no_space; break;
        case EOPNOTSUPP:
        case ENOSYS: kind = ErrorKind::unsupported; break;
        default: break;
    }
    return tl::unexpected<Error>(Error{kind, what + ": " + std::generic_category().message(error_number)});
}

}  // namespace skep
