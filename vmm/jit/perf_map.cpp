// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/perf_map.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vmm/base/log.hpp"

namespace skep::jit {

std::shared_ptr<PerfMap> PerfMap::create() {
    const std::string path = fmt::format("/tmp/perf-{}.map", ::getpid());
    ::unlink(path.c_str());  // of an earlier process with this number
    Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd.valid()) {
        log_warning("Cannot create {} for perf: {}.", path, std::strerror(errno));
        return nullptr;
    }
    return std::shared_ptr<PerfMap>(new PerfMap(std::move(fd)));
}

// One write, so that the lines of several processors do not mix.
void PerfMap::add(uint64_t start, uint64_t size, std::string_view name) {
    const std::string line = fmt::format("{:x} {:x} {}\n", start, size, name);
    [[maybe_unused]] const ssize_t written = ::write(m_fd.get(), line.data(), line.size());
}

}  // namespace skep::jit
