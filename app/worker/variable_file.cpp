// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/variable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace skep {

Result<std::unique_ptr<VariableFile>> VariableFile::open(const std::filesystem::path& file) {
    Fd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) {
        return fail_errno(errno, fmt::format("Opening the UEFI variables '{}'", file.string()));
    }
    return std::unique_ptr<VariableFile>(new VariableFile(file, std::move(fd)));
}

void VariableFile::written(uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t count = pwrite(m_fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            failed("written");
            return;
        }
        offset += static_cast<uint64_t>(count);
        bytes = bytes.subspan(static_cast<size_t>(count));
    }
}

void VariableFile::sync() {
    if (fdatasync(m_fd.get()) != 0) {
        failed("made durable");
    }
}

void VariableFile::failed(const char* what) {
    if (!m_has_failed) {
        log_error("The UEFI variables '{}' cannot be {}: {}. The guest's boot entries are lost when the machine ends.",
                  m_file.string(), what, std::generic_category().message(errno));
        m_has_failed = true;
    }
}

}  // namespace skep
