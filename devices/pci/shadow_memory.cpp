// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/pci/shadow_memory.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {

ShadowMemory::ShadowMemory(GuestMemory& memory, IoSpace& mmio, ShadowRom rom)
    : m_memory(memory),
      m_rom(rom),
      m_claim(mmio.claim({k_start, k_end - k_start, 1, 8, k_priority_background}, *this, m_gate)) {
    set_pam({});
}

ShadowMemory::Run ShadowMemory::block(unsigned index) const {
    Run run{k_start + index * k_block, k_block, nullptr, false};
    if ((m_enables[index] & k_read_enable) != 0) {
        run.host = m_memory.ram_at(run.start, k_block);
        run.writable = run.host != nullptr && (m_enables[index] & k_write_enable) != 0;
    } else if (run.start >= k_end - m_rom.size) {
        run.host = m_rom.host + (run.start - (k_end - m_rom.size));
    }
    return run;
}

// Neighbours of one kind become one range, so that the map stays short and DMA buffers whole.
std::vector<ShadowMemory::Run> ShadowMemory::plan() const {
    std::vector<Run> runs;
    for (unsigned i = 0; i < k_block_count; ++i) {
        const Run next = block(i);
        if (!runs.empty()) {
            Run& last = runs.back();
            const bool continues = next.host == nullptr ? last.host == nullptr
                                                        : last.host != nullptr && last.host + last.size == next.host;
            if (continues && last.writable == next.writable) {
                last.size += next.size;
                continue;
            }
        }
        runs.push_back(next);
    }
    return runs;
}

void ShadowMemory::set_pam(const std::array<uint8_t, k_pam_count>& pam) {
    std::array<uint8_t, k_block_count> enables{};
    for (unsigned i = 0; i < 12; ++i) {  // PAM1..PAM6: two blocks each, low nibble first
        enables[i] = static_cast<uint8_t>(pam[1 + i / 2] >> (4 * (i % 2)) & 3);
    }
    for (unsigned i = 12; i < k_block_count; ++i) {  // PAM0: 0xf0000-0xfffff
        enables[i] = static_cast<uint8_t>(pam[0] >> 4 & 3);
    }
    {
        const std::lock_guard lock(m_gate);
        m_enables = enables;
    }
    std::vector<Run> runs = plan();
    for (const Run& run : runs) {
        if (std::find(m_runs.begin(), m_runs.end(), run) != m_runs.end()) {
            continue;
        }
        if (run.host != nullptr) {
            m_memory.map({run.start, run.size, run.host, run.writable});
        } else {
            m_memory.unmap(run.start, run.size);
        }
    }
    m_runs = std::move(runs);
}

uint64_t ShadowMemory::io_read(uint64_t /*offset*/, unsigned size) { return all_ones(size); }

void ShadowMemory::io_write(uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; ++i) {
        if ((m_enables[(offset + i) / k_block] & k_write_enable) == 0) {
            continue;
        }
        if (std::byte* ram = m_memory.ram_at(k_start + offset + i, 1); ram != nullptr) {
            *ram = static_cast<std::byte>(value >> (8 * i));
            m_memory.mark_host_written(ram, 1);
        }
    }
}

}  // namespace skep
