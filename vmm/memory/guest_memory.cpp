// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/memory/guest_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {

namespace {

constexpr uint64_t k_huge_page = uint64_t{2} << 20;

// A sealed memfd: a file that somebody else could shrink would be a SIGBUS.
Result<Fd> make_memory_file(const char* name, uint64_t size) {
    Fd file(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) {
        return fail_errno(errno, "Creating the guest's memory");
    }
    if (ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
        return fail_errno(errno, fmt::format("Reserving {} MiB for the guest", size >> 20));
    }
    fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return file;
}

}  // namespace

Result<std::unique_ptr<GuestMemory>> GuestMemory::create(uint64_t ram_bytes) {
    if (ram_bytes == 0 || ram_bytes % k_page_size != 0) {
        return fail(ErrorKind::invalid_input, "Memory of {} bytes: give a multiple of 4 KiB.", ram_bytes);
    }
    std::unique_ptr<GuestMemory> memory(new GuestMemory);
    const uint64_t reserved = ram_bytes + k_device_memory_limit + 3 * k_page_size + k_huge_page;
    void* area = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) {
        return fail_errno(errno, fmt::format("Reserving {} MiB of address space for the guest", ram_bytes >> 20));
    }
    memory->m_reservation = static_cast<std::byte*>(area);
    memory->m_reserved_bytes = reserved;
    memory->m_ram_bytes = ram_bytes;
    memory->m_marked_bytes = ram_bytes + k_page_size + k_device_memory_limit;
    // Private and anonymous: most hosts give large pages to no other memory.
    const uint64_t start = align_up(reinterpret_cast<uintptr_t>(area) + k_page_size, k_huge_page);
    void* ram = mmap(reinterpret_cast<void*>(start), ram_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED) {
        return fail_errno(errno, fmt::format("Mapping {} MiB for the guest", ram_bytes >> 20));
    }
    memory->m_ram = static_cast<std::byte*>(ram);
    madvise(ram, ram_bytes, MADV_DONTDUMP);
    madvise(ram, ram_bytes, MADV_HUGEPAGE);  // fewer page faults and TLB misses; where it is refused it was only advice
    memory->m_marks = std::make_unique<std::atomic<uint8_t>[]>(memory->m_marked_bytes / k_page_size);

    memory->m_ranges.push_back({0, memory->low_ram_bytes(), memory->m_ram, true});
    if (memory->high_ram_bytes() != 0) {
        memory->m_ranges.push_back(
            {k_high_ram_start, memory->high_ram_bytes(), memory->m_ram + memory->low_ram_bytes(), true});
    }
    return memory;
}

GuestMemory::~GuestMemory() {
    if (m_reservation != nullptr) {
        munmap(m_reservation, m_reserved_bytes);
    }
    for (const auto& [start, size] : m_roms) {
        munmap(start, size);
    }
}

uint64_t GuestMemory::low_ram_bytes() const { return std::min(m_ram_bytes, k_low_ram_limit); }
uint64_t GuestMemory::high_ram_bytes() const { return m_ram_bytes - low_ram_bytes(); }

std::byte* GuestMemory::add_rom(std::span<const std::byte> content) {
    const size_t size = align_up(std::max<size_t>(content.size(), 1), k_page_size);
    void* area = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        return nullptr;
    }
    std::memcpy(area, content.data(), content.size());
    m_roms.emplace_back(static_cast<std::byte*>(area), size);
    return static_cast<std::byte*>(area);
}

Result<std::span<std::byte>> GuestMemory::add_device_memory(uint64_t size) {
    if (size == 0 || size % k_page_size != 0 || size > k_device_memory_limit - m_device_memory_used) {
        return fail(ErrorKind::invalid_input, "Device memory of {} bytes: give a multiple of 4 KiB, {} MiB in all.", size,
                    k_device_memory_limit >> 20);
    }
    const auto file = make_memory_file("guest-device-memory", size);
    if (!file) {
        return tl::unexpected(file.error());
    }
    std::byte* place = m_ram + m_ram_bytes + k_page_size + m_device_memory_used;
    void* mapped = mmap(place, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file->get(), 0);
    if (mapped == MAP_FAILED) {
        return fail_errno(errno, fmt::format("Mapping {} MiB of device memory for the guest", size >> 20));
    }
    madvise(mapped, size, MADV_DONTDUMP);
    m_device_memory_used += size;
    return std::span(place, size);
}

namespace {

// The pieces of `ranges` that lie outside [start, end).
std::vector<MemoryRange> cut(const std::vector<MemoryRange>& ranges, GuestAddress start, GuestAddress end) {
    std::vector<MemoryRange> kept;
    for (const MemoryRange& range : ranges) {
        if (range.start < start) {
            MemoryRange before = range;
            before.size = std::min(range.end(), start) - range.start;
            kept.push_back(before);
        }
        if (range.end() > end) {
            MemoryRange after = range;
            after.start = std::max(range.start, end);
            after.size = range.end() - after.start;
            after.host = range.host + (after.start - range.start);
            kept.push_back(after);
        }
    }
    return kept;
}

}  // namespace

void GuestMemory::map(const MemoryRange& range) {
    {
        const std::unique_lock lock(m_mutex);
        m_ranges = cut(m_ranges, range.start, range.end());
        const auto place = std::find_if(m_ranges.begin(), m_ranges.end(),
                                        [&](const MemoryRange& other) { return other.start > range.start; });
        m_ranges.insert(place, range);
    }
    notify();
}

void GuestMemory::unmap(GuestAddress start, uint64_t size) {
    {
        const std::unique_lock lock(m_mutex);
        m_ranges = cut(m_ranges, start, start + size);
    }
    notify();
}

std::byte* GuestMemory::ram_at(GuestAddress start, uint64_t size) const {
    if (start < low_ram_bytes() && size <= low_ram_bytes() - start) {
        return m_ram + start;
    }
    if (start >= k_high_ram_start && start - k_high_ram_start < high_ram_bytes() &&
        size <= high_ram_bytes() - (start - k_high_ram_start)) {
        return m_ram + low_ram_bytes() + (start - k_high_ram_start);
    }
    return nullptr;
}

std::vector<MemoryRange> GuestMemory::ranges() const {
    const std::shared_lock lock(m_mutex);
    return m_ranges;
}

void GuestMemory::add_listener(MemoryMapListener& listener) {
    const std::unique_lock lock(m_mutex);
    m_listeners.push_back(&listener);
}

void GuestMemory::remove_listener(MemoryMapListener& listener) {
    const std::unique_lock lock(m_mutex);
    std::erase(m_listeners, &listener);
}

void GuestMemory::notify() {
    std::vector<MemoryMapListener*> listeners;
    {
        const std::shared_lock lock(m_mutex);
        listeners = m_listeners;
    }
    for (MemoryMapListener* listener : listeners) {
        listener->memory_map_changed();
    }
}

std::optional<MemoryRange> GuestMemory::find(GuestAddress address) const {
    const std::shared_lock lock(m_mutex);
    const auto after = std::upper_bound(m_ranges.begin(), m_ranges.end(), address,
                                        [](GuestAddress wanted, const MemoryRange& range) { return wanted < range.start; });
    if (after == m_ranges.begin()) {
        return std::nullopt;
    }
    const MemoryRange& range = *(after - 1);
    return address - range.start < range.size ? std::optional(range) : std::nullopt;
}

namespace {

// Walks [address, address+size) over the map; `visit` gets each host piece. False when a hole is met.
template <typename Find, typename Visit>
bool for_each_piece(const Find& find, GuestAddress address, uint64_t size, bool for_write, const Visit& visit) {
    while (size != 0) {
        const std::optional<MemoryRange> range = find(address);
        if (!range || (for_write && !range->writable)) {
            return false;
        }
        const uint64_t offset = address - range->start;
        const uint64_t piece = std::min(size, range->size - offset);
        visit(range->host + offset, piece);
        address += piece;
        size -= piece;
    }
    return true;
}

}  // namespace

bool GuestMemory::read(GuestAddress address, void* to, uint64_t size) const {
    const auto find_range = [this](GuestAddress where) { return find(where); };
    if (!for_each_piece(find_range, address, size, false, [](std::byte*, uint64_t) {})) {
        return false;
    }
    auto* out = static_cast<std::byte*>(to);
    return for_each_piece(find_range, address, size, false, [&](const std::byte* host, uint64_t piece) {
        std::memcpy(out, host, piece);
        out += piece;
    });
}

bool GuestMemory::write(GuestAddress address, const void* from, uint64_t size) {
    const auto find_range = [this](GuestAddress where) { return find(where); };
    if (!for_each_piece(find_range, address, size, true, [](std::byte*, uint64_t) {})) {
        return false;
    }
    const auto* in = static_cast<const std::byte*>(from);
    return for_each_piece(find_range, address, size, true, [&](std::byte* host, uint64_t piece) {
        std::memcpy(host, in, piece);
        in += piece;
        told_written(host, piece);
    });
}

std::optional<std::span<std::byte>> GuestMemory::slice(GuestAddress address, uint64_t size, bool for_write) const {
    const std::optional<MemoryRange> range = find(address);
    if (!range || (for_write && !range->writable)) {
        return std::nullopt;
    }
    const uint64_t offset = address - range->start;
    if (size > range->size - offset) {
        return std::nullopt;
    }
    return std::span(range->host + offset, size);
}

void GuestMemory::mark_written(GuestAddress address, uint64_t size) {
    const auto find_range = [this](GuestAddress where) { return find(where); };
    for_each_piece(find_range, address, size, true,
                   [&](std::byte* host, uint64_t piece) { told_written(host, piece); });
}

void GuestMemory::set_code_write_observer(CodeWriteObserver observer) {
    const std::unique_lock lock(m_mutex);
    m_code_observer = std::move(observer);
}

void GuestMemory::mark_logged(std::span<const std::byte> pages) {
    for (uint64_t at = 0; at < pages.size(); at += k_page_size) {
        std::atomic<uint8_t>& marks = *marks_of(&pages[at]);
        marks.fetch_and(static_cast<uint8_t>(~k_page_dirty));
        marks.fetch_or(k_page_logged);
    }
}

void GuestMemory::clear_logged(std::span<const std::byte> pages) {
    for (uint64_t at = 0; at < pages.size(); at += k_page_size) {
        marks_of(&pages[at])->fetch_and(static_cast<uint8_t>(~(k_page_logged | k_page_dirty)));
    }
}

bool GuestMemory::take_dirty(std::span<const std::byte> pages, std::span<uint64_t> written) {
    if (!m_any_dirty.exchange(false)) {
        return false;
    }
    bool any = false;
    for (uint64_t page = 0; page < pages.size() / k_page_size; ++page) {
        std::atomic<uint8_t>& marks = *marks_of(&pages[page * k_page_size]);
        if ((marks.load() & k_page_dirty) != 0) {
            marks.fetch_and(static_cast<uint8_t>(~k_page_dirty));
            written[page / 64] |= bit(page % 64);
            any = true;
        }
    }
    return any;
}

void GuestMemory::told_written(std::byte* host, uint64_t size) {
    if (size == 0) {
        return;
    }
    const auto offset = static_cast<uint64_t>(host - m_ram);
    if (offset >= m_marked_bytes) {
        return;
    }
    const uint64_t last = (offset + size - 1) / k_page_size;
    for (uint64_t page = offset / k_page_size; page <= last; ++page) {
        log_write(m_marks[page]);
        if ((m_marks[page].load(std::memory_order_seq_cst) & k_page_has_code) != 0) {
            CodeWriteObserver observer;
            {
                const std::shared_lock lock(m_mutex);
                observer = m_code_observer;
            }
            if (observer) {
                observer(m_ram + page * k_page_size);
            }
        }
    }
}

}  // namespace skep
