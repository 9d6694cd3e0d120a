// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nvme/nvme_prp.hpp"

#include <algorithm>
#include <array>

namespace skep {
namespace {

using nvme::k_nvme_page;

constexpr uint64_t k_entry = 8;

// The entries of a PRP list from `list` to the end of its page.
struct ListPage {
    std::array<uint64_t, k_nvme_page / k_entry> entries{};
    uint64_t count = 0;
    bool read(const GuestMemory& memory, uint64_t list) {
        count = (k_nvme_page - list % k_nvme_page) / k_entry;
        return memory.read(list, entries.data(), count * k_entry);
    }
};

}  // namespace

PrpResult read_prps(const GuestMemory& memory, uint64_t prp1, uint64_t prp2, uint64_t bytes) {
    PrpResult result;
    if (prp1 % 4 != 0) {
        return {nvme::k_invalid_prp_offset, {}};
    }
    const uint64_t first = std::min(bytes, k_nvme_page - prp1 % k_nvme_page);
    result.buffer.add(prp1, first);
    bytes -= first;
    if (bytes == 0) {
        return result;
    }
    if (bytes <= k_nvme_page) {
        if (prp2 % k_nvme_page != 0) {
            return {nvme::k_invalid_prp_offset, {}};
        }
        result.buffer.add(prp2, bytes);
        return result;
    }
    uint64_t list = prp2;
    ListPage page;
    while (bytes != 0) {
        if (list % k_entry != 0) {
            return {nvme::k_invalid_prp_offset, {}};
        }
        if (!page.read(memory, list)) {
            return {nvme::k_data_transfer_error, {}};
        }
        const uint64_t wanted = (bytes + k_nvme_page - 1) / k_nvme_page;
        const bool goes_on = wanted > page.count;  // then the last entry names the next list page
        const uint64_t pages = goes_on ? page.count - 1 : wanted;
        for (uint64_t i = 0; i < pages; ++i) {
            if (page.entries[i] % k_nvme_page != 0) {
                return {nvme::k_invalid_prp_offset, {}};
            }
            const uint64_t part = std::min(bytes, k_nvme_page);
            result.buffer.add(page.entries[i], part);
            bytes -= part;
        }
        if (goes_on) {
            const uint64_t next = page.entries[page.count - 1];
            if (pages == 0 && next % k_nvme_page != 0) {
                return {nvme::k_invalid_prp_offset, {}};  // lists that only name lists would never end
            }
            list = next;
        }
    }
    return result;
}

}  // namespace skep
