// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/storage/ata_disk.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {

using ata::AtaCommandPtr;
using ata::Ending;

namespace {

constexpr uint8_t k_log_queued_error = 0x10;
constexpr unsigned k_trim_blocks = 8;  // IDENTIFY word 105
constexpr uint16_t k_fua = 0x80;       // device register bit 7 of WRITE FPDMA QUEUED

}  // namespace

AtaDisk::AtaDisk(ata::AtaHost& host, std::shared_ptr<BlockBackend> backend, DiskIdentity identity)
    : m_host(host), m_backend(std::move(backend)), m_identity(std::move(identity)) {}

bool AtaDisk::is_queued(uint8_t command) const {
    return command == ata::k_read_fpdma_queued || command == ata::k_write_fpdma_queued;
}

void AtaDisk::reset() {
    m_write_cache = true;
    m_look_ahead = true;
    m_smart_enabled = true;
    m_multiple = 16;
    m_udma_mode = 5;
    m_queued_error_log.fill(0);
}

void AtaDisk::execute(const AtaCommandPtr& command) {
    if (is_queued(command->command)) {
        queued(command);
    } else if (!data_command(command) && !control_command(command)) {
        done(command, ata::failure(ata::k_error_abrt));
    }
}

bool AtaDisk::data_command(const AtaCommandPtr& command) {
    struct Kind {
        uint8_t command;
        BlockOp op;
        Width width;
        Ending ending;
        bool through;
    };
    using enum Width;
    using enum Ending;
    static constexpr std::array<Kind, 17> k_kinds{{
        {ata::k_read_sectors, BlockOp::read, lba28, pio_setup, false},
        {ata::k_read_sectors + 1, BlockOp::read, lba28, pio_setup, false},
        {ata::k_read_sectors_ext, BlockOp::read, lba48, pio_setup, false},
        {ata::k_read_multiple, BlockOp::read, lba28, pio_setup, false},
        {ata::k_read_multiple_ext, BlockOp::read, lba48, pio_setup, false},
        {ata::k_read_dma, BlockOp::read, lba28, register_fis, false},
        {ata::k_read_dma + 1, BlockOp::read, lba28, register_fis, false},
        {ata::k_read_dma_ext, BlockOp::read, lba48, register_fis, false},
        {ata::k_write_sectors, BlockOp::write, lba28, register_fis, false},
        {ata::k_write_sectors + 1, BlockOp::write, lba28, register_fis, false},
        {ata::k_write_sectors_ext, BlockOp::write, lba48, register_fis, false},
        {ata::k_write_multiple, BlockOp::write, lba28, register_fis, false},
        {ata::k_write_multiple_ext, BlockOp::write, lba48, register_fis, false},
        {ata::k_write_dma, BlockOp::write, lba28, register_fis, false},
        {ata::k_write_dma + 1, BlockOp::write, lba28, register_fis, false},
        {ata::k_write_dma_ext, BlockOp::write, lba48, register_fis, false},
        {ata::k_write_dma_fua_ext, BlockOp::write, lba48, register_fis, true},
    }};
    const auto* kind = std::find_if(k_kinds.begin(), k_kinds.end(),
                                    [&](const Kind& known) { return known.command == command->command; });
    if (kind == k_kinds.end()) {
        return false;
    }
    Extent extent;
    if (extent_of(command, kind->width, extent)) {
        read_write(command, kind->op, extent, kind->ending, kind->through);
    }
    return true;
}

bool AtaDisk::control_command(const AtaCommandPtr& command) {
    switch (command->command) {
        case ata::k_identify_device: answer(command, identify(), Ending::pio_setup); return true;
        case ata::k_flush_cache:
        case ata::k_flush_cache_ext: flush(command); return true;
        case ata::k_set_features: set_features(command); return true;
        case ata::k_data_set_management: trim(command); return true;
        case ata::k_smart: smart(command); return true;
        case ata::k_read_log_ext: read_log(command, Ending::pio_setup); return true;
        case ata::k_read_log_dma_ext: read_log(command, Ending::register_fis); return true;
        case ata::k_read_verify:
        case ata::k_read_verify + 1: verify(command, Width::lba28); return true;
        case ata::k_read_verify_ext: verify(command, Width::lba48); return true;
        case ata::k_check_power_mode:
        case 0x98: done(command, {.count = 0xff}); return true;  // active
        case ata::k_execute_diagnostic:
            done(command, {.error = ata::k_diagnostics_passed, .count = 1, .lba = 1});
            return true;
        case ata::k_set_multiple:
            if (command->count > 16 || (command->count != 0 && !is_power_of_two(command->count))) {
                return false;
            }
            m_multiple = static_cast<uint8_t>(command->count);
            done(command);
            return true;
        case ata::k_standby_immediate:
        case ata::k_standby:
        case ata::k_sleep:
        case 0x94:
        case 0x96: flush(command); return true;  // what is spun down holds no unwritten cache
        case ata::k_idle_immediate:
        case ata::k_idle:
        case 0x95:
        case 0x97:
        case ata::k_recalibrate:
        case ata::k_seek:
        case ata::k_initialize_parameters: done(command); return true;
        default: return false;
    }
}

bool AtaDisk::extent_of(const AtaCommandPtr& command, Width width, Extent& extent) {
    if (width == Width::lba28) {
        extent.lba = bits(command->lba, 0, 24) | uint64_t{command->device & 0xfU} << 24;
        extent.sectors = (command->count & 0xff) == 0 ? 256 : command->count & 0xff;
    } else {
        extent.lba = command->lba;
        extent.sectors = command->count == 0 ? 65536 : command->count;
    }
    const bool by_lba = (command->device & ata::k_device_lba) != 0;
    if (!by_lba || extent.lba >= sectors() || extent.sectors > sectors() - extent.lba) {
        done(command, ata::failure(ata::k_error_idnf | ata::k_error_abrt));
        return false;
    }
    return true;
}

void AtaDisk::read_write(const AtaCommandPtr& command, BlockOp op, Extent extent, Ending ending, bool through) {
    const uint64_t bytes = extent.sectors * ata::k_sector_size;
    if (bytes > command->data.size() || (op == BlockOp::write && m_backend->info().read_only)) {
        done(command, ata::failure(ata::k_error_abrt));
        return;
    }
    BlockRequest request;
    request.op = op;
    request.offset = extent.lba * ata::k_sector_size;
    request.durability = through || !m_write_cache ? Durability::through : Durability::cached;
    m_host.transfer(command, *m_backend, std::move(request), bytes, [this, command, op, ending](BlockStatus status) {
        if (status == BlockStatus::ok) {
            done(command, {.ending = ending});
        } else {
            done(command, ata::failure(op == BlockOp::read ? ata::k_error_unc : ata::k_error_abrt));
        }
    });
}

// READ/WRITE FPDMA QUEUED: the features carry the sector count, the count register the tag.
void AtaDisk::queued(const AtaCommandPtr& command) {
    const BlockOp op = command->command == ata::k_read_fpdma_queued ? BlockOp::read : BlockOp::write;
    const uint64_t count = command->features == 0 ? 65536 : command->features;
    const bool inside = command->lba < sectors() && count <= sectors() - command->lba;
    if (!inside || count * ata::k_sector_size > command->data.size() ||
        (op == BlockOp::write && m_backend->info().read_only)) {
        queued_failed(command, inside ? ata::k_error_abrt : ata::k_error_idnf);
        return;
    }
    BlockRequest request;
    request.op = op;
    request.offset = command->lba * ata::k_sector_size;
    const bool through = (command->device & k_fua) != 0 || !m_write_cache;
    request.durability = through ? Durability::through : Durability::cached;
    m_host.transfer(command, *m_backend, std::move(request), count * ata::k_sector_size,
                    [this, command, op](BlockStatus status) {
                        if (status == BlockStatus::ok) {
                            done(command, {.ending = Ending::queued});
                        } else {
                            queued_failed(command, op == BlockOp::read ? ata::k_error_unc : ata::k_error_abrt);
                        }
                    });
}

void AtaDisk::queued_failed(const AtaCommandPtr& command, uint8_t error) {
    ata::AtaResult result = ata::failure(error);
    result.ending = Ending::queued;
    m_queued_error_log.fill(0);
    m_queued_error_log[0] = static_cast<uint8_t>(command->slot);
    m_queued_error_log[2] = result.status;
    m_queued_error_log[3] = error;
    for (unsigned i = 0; i < 3; ++i) {
        m_queued_error_log[4 + i] = static_cast<uint8_t>(command->lba >> (8 * i));
        m_queued_error_log[8 + i] = static_cast<uint8_t>(command->lba >> (24 + 8 * i));
    }
    m_queued_error_log[7] = command->device;
    uint8_t sum = 0;
    for (const uint8_t byte : m_queued_error_log) {
        sum = static_cast<uint8_t>(sum + byte);
    }
    m_queued_error_log[511] = static_cast<uint8_t>(-sum);
    done(command, result);
}

void AtaDisk::verify(const AtaCommandPtr& command, Width width) {
    Extent extent;
    if (extent_of(command, width, extent)) {
        done(command);
    }
}

void AtaDisk::flush(const AtaCommandPtr& command) {
    BlockRequest request;
    request.op = BlockOp::flush;
    m_host.request(command, *m_backend, std::move(request), [this, command](BlockStatus status) {
        done(command, status == BlockStatus::ok ? ata::AtaResult{} : ata::failure(ata::k_error_abrt));
    });
}

void AtaDisk::set_features(const AtaCommandPtr& command) {
    switch (command->features & 0xff) {
        case 0x02: m_write_cache = true; break;
        case 0x82:
            m_write_cache = false;
            flush(command);  // what was cached becomes durable first
            return;
        case 0xaa: m_look_ahead = true; break;
        case 0x55: m_look_ahead = false; break;
        case 0x03:  // transfer mode, in the count register
            if ((command->count & 0xf8) == 0x40) {
                m_udma_mode = std::min<uint8_t>(command->count & 7, 6);
            }
            break;
        case 0x05:
        case 0x85:  // advanced power management
        case 0x10:
        case 0x90:  // SATA features
        case 0x66:
        case 0xcc: break;  // keep or drop settings over a reset
        default: done(command, ata::failure(ata::k_error_abrt)); return;
    }
    done(command);
}

void AtaDisk::smart(const AtaCommandPtr& command) {
    constexpr uint64_t k_key = 0xc24f;
    const auto feature = static_cast<uint8_t>(command->features);
    const bool keyed = bits(command->lba, 8, 16) == k_key;
    if (keyed && feature == 0xd8) {
        m_smart_enabled = true;
        done(command);
    } else if (keyed && m_smart_enabled && feature == 0xd9) {
        m_smart_enabled = false;
        done(command);
    } else if (keyed && m_smart_enabled && feature == 0xd2) {
        done(command);  // attribute autosave: there is nothing to save
    } else if (keyed && m_smart_enabled && feature == 0xda) {
        done(command, {.lba = k_key << 8});  // no threshold exceeded
    } else if (keyed && m_smart_enabled && (feature == 0xd0 || feature == 0xd1)) {
        std::array<uint8_t, 512> page{};  // no attributes, never tested
        page[0] = 0x01;
        page[511] = 0xff;
        answer(command, page, Ending::pio_setup);
    } else {
        done(command, ata::failure(ata::k_error_abrt));
    }
}

void AtaDisk::read_log(const AtaCommandPtr& command, Ending ending) {
    const auto log = static_cast<uint8_t>(command->lba);
    if (command->count != 1 || bits(command->lba, 8, 8) != 0 || (log != 0 && log != k_log_queued_error)) {
        done(command, ata::failure(ata::k_error_abrt));
        return;
    }
    if (log == k_log_queued_error) {
        answer(command, m_queued_error_log, ending);
        return;
    }
    std::array<uint8_t, 512> directory{};
    directory[0] = 1;                       // version
    directory[k_log_queued_error * 2] = 1;  // pages
    answer(command, directory, ending);
}

// DATA SET MANAGEMENT with the TRIM bit: up to eight blocks of 64 ranges of up to 65535 sectors.
void AtaDisk::trim(const AtaCommandPtr& command) {
    const uint64_t bytes = command->count * ata::k_sector_size;
    if ((command->features & 1) == 0 || command->count == 0 || command->count > k_trim_blocks ||
        bytes > command->data.size() || !m_backend->info().can_discard) {
        done(command, ata::failure(ata::k_error_abrt));
        return;
    }
    std::vector<uint8_t> list(bytes);
    if (!command->data.read(m_host.memory(), 0, list)) {
        m_host.bus_error(command);
        return;
    }
    command->transferred = bytes;
    auto ranges = std::make_shared<std::vector<Extent>>();
    for (size_t at = 0; at < list.size(); at += 8) {
        const auto entry = load_le<uint64_t>(&list[at]);
        const Extent range{bits(entry, 0, 48), bits(entry, 48, 16)};
        if (range.sectors == 0) {
            continue;
        }
        if (range.lba >= sectors() || range.sectors > sectors() - range.lba) {
            done(command, ata::failure(ata::k_error_idnf | ata::k_error_abrt));
            return;
        }
        if (!ranges->empty() && ranges->back().lba + ranges->back().sectors == range.lba) {
            ranges->back().sectors += range.sectors;
        } else {
            ranges->push_back(range);
        }
    }
    std::reverse(ranges->begin(), ranges->end());
    trim_next(command, std::move(ranges));
}

void AtaDisk::trim_next(const AtaCommandPtr& command, std::shared_ptr<std::vector<Extent>> ranges) {
    if (ranges->empty()) {
        done(command);
        return;
    }
    BlockRequest request;
    request.op = BlockOp::discard;
    request.offset = ranges->back().lba * ata::k_sector_size;
    request.length = ranges->back().sectors * ata::k_sector_size;
    ranges->pop_back();
    m_host.request(command, *m_backend, std::move(request), [this, command, ranges](BlockStatus status) {
        // A host that cannot discard after all has merely not been given space back.
        if (status == BlockStatus::ok || status == BlockStatus::unsupported) {
            trim_next(command, ranges);
        } else {
            done(command, ata::failure(ata::k_error_abrt));
        }
    });
}

void AtaDisk::answer(const AtaCommandPtr& command, std::span<const uint8_t> data, Ending ending) {
    const uint64_t bytes = std::min<uint64_t>(data.size(), command->data.size());
    if (!command->data.write(m_host.memory(), 0, data.first(bytes))) {
        m_host.bus_error(command);
        return;
    }
    command->transferred = bytes;
    done(command, {.ending = ending});
}

void AtaDisk::save(StateWriter& writer) const {
    writer.put(m_write_cache);
    writer.put(m_look_ahead);
    writer.put(m_smart_enabled);
    writer.put(m_multiple);
    writer.put(m_udma_mode);
    writer.put_bytes(std::as_bytes(std::span(m_queued_error_log)));
}

void AtaDisk::load(StateReader& reader) {
    reader.get(m_write_cache);
    reader.get(m_look_ahead);
    reader.get(m_smart_enabled);
    m_multiple = static_cast<uint8_t>(reader.get<uint8_t>() & 0x1f);
    m_udma_mode = static_cast<uint8_t>(reader.get<uint8_t>() & 7);
    const std::vector<std::byte> log = reader.get_bytes(m_queued_error_log.size());
    std::memcpy(m_queued_error_log.data(), log.data(), log.size());
}

}  // namespace skep
