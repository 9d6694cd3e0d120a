// SPDX-License-Identifier: GPL-3.0-or-later
// Result<T>: how a failure of the host (never of the guest) travels up to the user.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace skep {

// What kind of failure it was, for code that reacts to it; the sentence is for the user.
enum class ErrorKind {
    invalid_input,  // an option, file or message is not acceptable
    not_found,
    permission,
    in_use,      // somebody else holds it
    no_space,    // host disk or memory is full
    unsupported, // the host lacks something
    io,          // the host failed
    protocol,    // a peer spoke nonsense
    cancelled,
};

struct Error {
    ErrorKind kind = ErrorKind::io;
    // One sentence: what was tried, on which object, what to do next.
    std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
    return tl::unexpected<Error>(Error{kind, fmt::format(format, std::forward<Args>(args)...)});
}

// The sentence for an errno value: "verb 'object': reason", with the matching kind.
[[nodiscard]] tl::unexpected<Error> fail_errno(int error_number, const std::string& what);

}  // namespace skep
