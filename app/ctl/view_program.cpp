// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/view_program.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace skep {
namespace {

std::string view_program() {
    if (const char* const named = std::getenv("SKEP_VIEW"); named != nullptr && *named != '\0') {
        return named;
    }
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "skep-view";
}

}  // namespace

Error become_view(const Fd& screen, const std::string& title) {
    fcntl(screen.get(), F_SETFD, 0);  // skep-view has it
    const std::string program = view_program();
    execl(program.c_str(), "skep-view", std::to_string(screen.get()).c_str(), title.c_str(), nullptr);
    return fail_errno(errno, fmt::format("Cannot start '{}'", program)).value();
}

}  // namespace skep
