// SPDX-License-Identifier: GPL-3.0-or-later
// The options of `create` for an installation without questions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "vmm/spec/bundle.hpp"
#include "vmm/unattended/answers.hpp"

namespace skep {

class UnattendedOptions {
  public:
    void declare(CLI::App& app);
    [[nodiscard]] bool wanted() const { return !m_user.empty(); }
    // Reads and hashes the password: of the file named, of standard input, or typed unseen at the terminal. Fails too when an
    // option is given that means nothing without --user, or when the machine's medium takes no answers.
    [[nodiscard]] Result<Answers> answers(const VmSpec& spec) const;
    // For a new bundle whose disks are in `spec`; the caller saves that.
    [[nodiscard]] Status prepare(const Bundle& bundle, VmSpec& spec, const Answers& answers) const;
    [[nodiscard]] Status check_unused() const;

  private:
    [[nodiscard]] Result<std::string> password() const;

    std::string m_user;
    std::string m_full_name;
    std::string m_host_name;
    std::string m_password_file;
};

}  // namespace skep
