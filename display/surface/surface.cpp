// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/surface/surface.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace skep {

Result<std::shared_ptr<Surface>> Surface::create(ScreenSize size) {
    std::shared_ptr<Surface> surface(new Surface);
    surface->m_size = size;
    surface->m_fd.reset(memfd_create("skep-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const auto failed = [&size]() {
        return fail(ErrorKind::no_space, "A screen of {} x {} pixels could not be made ({}); free memory on the host.",
                    size.width, size.height, std::strerror(errno));
    };
    if (!surface->m_fd || ftruncate(surface->m_fd.get(), static_cast<off_t>(surface->bytes())) != 0 ||
        fcntl(surface->m_fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return failed();
    }
    void* const map = mmap(nullptr, surface->bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, surface->m_fd.get(), 0);
    if (map == MAP_FAILED) {
        return failed();
    }
    surface->m_pixels = static_cast<uint32_t*>(map);
    return surface;
}

Surface::~Surface() {
    if (m_pixels != nullptr) {
        munmap(m_pixels, bytes());
    }
}

}  // namespace skep
