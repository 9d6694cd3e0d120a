// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/unattended_options.hpp"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>

#include "vmm/media/medium.hpp"
#include "vmm/unattended/unattended.hpp"

namespace skep {
namespace {

// A terminal that does not show what is typed, until the end of the scope.
class Unseen {
  public:
    Unseen() {
        tcgetattr(STDIN_FILENO, &m_before);
        termios quiet = m_before;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    ~Unseen() { tcsetattr(STDIN_FILENO, TCSAFLUSH, &m_before); }
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;

  private:
    termios m_before{};
};

std::string ask(const char* question) {
    const Unseen unseen;
    std::fputs(question, stderr);
    std::string line;
    std::getline(std::cin, line);
    std::fputc('\n', stderr);
    return line;
}

std::string medium_of(const VmSpec& spec) {
    if (!spec.cds.empty()) {
        return spec.cds.front().file;
    }
    return spec.disks.empty() ? std::string() : spec.disks.front().file;
}

}  // namespace

void UnattendedOptions::declare(CLI::App& app) {
    app.add_option("--user", m_user, "Install without questions: Debian from --iso, or a cloud image given with --disk, for this user")
        ->type_name("NAME");
    app.add_option("--password-file", m_password_file, "Its first line is the user's password; - is standard input (left out: asked for)")
        ->type_name("FILE");
    app.add_option("--full-name", m_full_name, "The user's full name")->type_name("TEXT");
    app.add_option("--host-name", m_host_name, "Of the new system (left out: made of the machine's name)")->type_name("NAME");
}

Status UnattendedOptions::check_unused() const {
    if (!m_password_file.empty() || !m_full_name.empty() || !m_host_name.empty()) {
        return fail(ErrorKind::invalid_input, "--password-file, --full-name and --host-name belong to --user.");
    }
    return {};
}

Result<std::string> UnattendedOptions::password() const {
    std::string line;
    if (m_password_file.empty() && isatty(STDIN_FILENO) != 0) {
        line = ask("Password of the new user: ");
        if (line != ask("Once more: ")) {
            return fail(ErrorKind::invalid_input, "The two passwords are not the same.");
        }
        return line;
    }
    if (m_password_file.empty()) {
        return fail(ErrorKind::invalid_input, "Give the user's password with --password-file (- is standard input).");
    }
    if (m_password_file == "-") {
        std::getline(std::cin, line);
        return line;
    }
    std::ifstream file(m_password_file);
    if (!file || !std::getline(file, line)) {
        return fail(ErrorKind::io, "The password cannot be read from '{}'; check the file's name and permissions.", m_password_file);
    }
    return line;
}

Result<Answers> UnattendedOptions::answers(const VmSpec& spec) const {
    const std::string file = medium_of(spec);
    const auto kind = file.empty() ? Result<UnattendedKind>(UnattendedKind::none) : inspect_medium(file).map(unattended_kind);
    if (!kind) {
        return tl::unexpected(kind.error());
    }
    if (const std::string problem = unattended_problem(spec, *kind); !problem.empty()) {
        return fail(ErrorKind::unsupported, "{}", problem);
    }
    return password().and_then([&](std::string secret) {
        return answers_from({.full_name = m_full_name,
                             .user = m_user,
                             .password = std::move(secret),
                             .host_name = m_host_name.empty() ? suggest_host_name(spec.name) : m_host_name});
    });
}

Status UnattendedOptions::prepare(const Bundle& bundle, VmSpec& spec, const Answers& answers) const {
    return inspect_medium(medium_of(spec)).and_then([&](const MediumInfo& medium) {
        return prepare_unattended(bundle, spec, medium, answers);
    });
}

}  // namespace skep
