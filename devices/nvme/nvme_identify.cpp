// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nvme/nvme_identify.hpp"

#include <algorithm>
#include <bit>
#include <span>

#include <fmt/format.h>

#include "devices/nvme/nvme_regs.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/base/fnv.hpp"

namespace skep {
namespace {

constexpr const char* k_firmware_revision = "1.0";
constexpr uint16_t k_kelvin = 313;  // 40 degrees Celsius
constexpr uint64_t k_data_unit = 512'000;

// Left-aligned ASCII padded with blanks.
void put_text(std::span<uint8_t> field, const std::string& text) {
    std::ranges::fill(field, ' ');
    std::copy_n(text.begin(), std::min(text.size(), field.size()), field.begin());
}

std::string text_field(const std::string& text, size_t size) {
    std::string field = text.substr(0, size);
    field.resize(size, ' ');
    return field;
}

}  // namespace

NvmePage identify_controller(const NvmeIdentity& identity, const BlockInfo& disk) {
    NvmePage page{};
    const std::span bytes(page);
    store_le<uint16_t>(&page[0], identity.vendor);
    store_le<uint16_t>(&page[2], identity.subsystem_vendor);
    put_text(bytes.subspan(4, 20), identity.serial);
    put_text(bytes.subspan(24, 40), identity.model);
    put_text(bytes.subspan(64, 8), k_firmware_revision);
    page[77] = nvme::k_mdts;
    store_le<uint32_t>(&page[80], nvme::k_version);
    page[111] = 1;  // an I/O controller
    page[258] = 3;  // ACL: abort commands, 0's based
    page[259] = 3;  // AERL: event requests, 0's based
    page[260] = 0x03;  // FRMW: one slot, read-only
    page[261] = 0x04;  // LPA: log pages can be read from an offset
    store_le<uint16_t>(&page[266], 343);  // WCTEMP
    store_le<uint16_t>(&page[268], 353);  // CCTEMP
    store_le<uint64_t>(&page[280], disk.size);  // TNVMCAP
    page[512] = 0x66;  // SQES: 64 bytes
    page[513] = 0x44;  // CQES: 16 bytes
    store_le<uint32_t>(&page[516], 1);     // NN
    store_le<uint16_t>(&page[520], 0x0c);  // ONCS: dataset management, write zeroes
    page[525] = 0x07;  // VWC: there is one, and Flush takes the broadcast namespace
    // 7.9, in the form of controllers older than the field, which is made of what names the disk.
    const std::string nqn = fmt::format("nqn.2014.08.org.nvmexpress:{:04x}{:04x}{}{}", identity.vendor, identity.subsystem_vendor,
                                        text_field(identity.serial, 20), text_field(identity.model, 40));
    std::copy_n(nqn.begin(), std::min<size_t>(nqn.size(), 223), &page[768]);
    store_le<uint16_t>(&page[2048], 1000);  // power state 0: up to 10 W
    return page;
}

NvmePage identify_namespace(const BlockInfo& disk) {
    NvmePage page{};
    const uint64_t blocks = disk.size / disk.block_size;
    store_le<uint64_t>(&page[0], blocks);   // NSZE
    store_le<uint64_t>(&page[8], blocks);   // NCAP
    store_le<uint64_t>(&page[16], blocks);  // NUSE
    page[24] = 0x10;                        // NSFEAT: the preferred sizes below are there
    page[33] = 0x09;                        // DLFEAT: deallocated blocks read as zeros; write zeroes may deallocate
    store_le<uint64_t>(&page[48], disk.size);  // NVMCAP
    const auto host_block = static_cast<uint16_t>(std::max<uint64_t>(nvme::k_nvme_page / disk.block_size, 1) - 1);
    for (const size_t field : {64, 66, 68, 70, 72}) {  // NPWG, NPWA, NPDG, NPDA, NOWS: 0's based
        store_le<uint16_t>(&page[field], host_block);
    }
    page[99] = disk.read_only ? 1 : 0;  // NSATTR
    page[130] = static_cast<uint8_t>(std::countr_zero(disk.block_size));  // LBAF0: LBADS
    return page;
}

NvmePage identify_descriptors(const NvmeIdentity& identity) {
    constexpr uint8_t k_uuid = 3;
    NvmePage page{};
    page[0] = k_uuid;
    page[1] = 16;
    const std::string name = text_field(identity.serial, 20) + identity.model;
    store_le<uint64_t>(&page[4], fnv1a(name));
    store_le<uint64_t>(&page[12], fnv1a(name, 0x8422'2325'cbf2'9ce4));
    page[4 + 6] = static_cast<uint8_t>((page[4 + 6] & 0x0f) | 0x80);  // RFC 9562: version 8, made in a way of one's own
    page[4 + 8] = static_cast<uint8_t>((page[4 + 8] & 0x3f) | 0x80);
    return page;
}

std::vector<uint8_t> health_log(const NvmeUsage& usage) {
    std::vector<uint8_t> log(512);
    store_le<uint16_t>(&log[1], k_kelvin);
    log[3] = 100;  // spare blocks left, percent
    log[4] = 10;   // ... below which it warns
    store_le<uint64_t>(&log[32], (usage.bytes_read + k_data_unit - 1) / k_data_unit);
    store_le<uint64_t>(&log[48], (usage.bytes_written + k_data_unit - 1) / k_data_unit);
    store_le<uint64_t>(&log[64], usage.reads);
    store_le<uint64_t>(&log[80], usage.writes);
    return log;
}

std::vector<uint8_t> firmware_log() {
    std::vector<uint8_t> log(512);
    log[0] = 1;  // slot 1 is active
    put_text(std::span(log).subspan(8, 8), k_firmware_revision);
    return log;
}

}  // namespace skep
