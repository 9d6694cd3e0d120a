// SPDX-License-Identifier: GPL-3.0-or-later
// What an installer or a cloud image asks, answered beforehand. A password goes no further than hash_password().
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace skep {

// What belongs to where the computer is, not to who uses it.
struct Region {
    std::string locale = "en_US.UTF-8";
    std::string keyboard = "us";  // an XKB layout
    std::string time_zone = "Etc/UTC";
};
// This computer's own, as far as it says.
[[nodiscard]] Region host_region();

// As a person gives it.
struct AnswerForm {
    std::string full_name;  // may be empty
    std::string user;
    std::string password;
    std::string host_name;
};

struct Answers {
    std::string full_name;
    std::string user;
    std::string password_hash;  // crypt(5), SHA-512
    std::string host_name;
    Region region;
};

// What is wrong with a part of the form, one sentence; empty when it is good.
[[nodiscard]] std::string full_name_problem(std::string_view text);
[[nodiscard]] std::string user_problem(std::string_view text);
[[nodiscard]] std::string password_problem(std::string_view text);
[[nodiscard]] std::string host_name_problem(std::string_view text);

// A host name out of a machine's name: "Debian 12" is "debian-12".
[[nodiscard]] std::string suggest_host_name(std::string_view machine_name);

// crypt(3) with SHA-512 and a salt of its own. Fails when the host's libcrypt cannot do it.
[[nodiscard]] Result<std::string> hash_password(const std::string& password);

// The form checked and its password hashed, with this computer's region. Fails with the first problem.
[[nodiscard]] Result<Answers> answers_from(const AnswerForm& form);

}  // namespace skep
