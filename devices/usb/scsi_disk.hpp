// SPDX-License-Identifier: GPL-3.0-or-later
// The SCSI direct-access block device inside a USB stick: what each command means (SPC-4, SBC-3). It moves no data itself.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "devices/block/block_backend.hpp"
#include "devices/storage/scsi.hpp"
#include "vmm/device/state_io.hpp"

namespace skep {

using ScsiCdb = std::array<uint8_t, 16>;

// What to do for a command.
struct ScsiPlan {
    enum class Kind : uint8_t {
        answer,      // `data` to the guest; with a sense key other than 0 it failed
        read,        // `length` bytes at `offset` to the guest
        write,       // ... from the guest
        parameters,  // `length` bytes from the guest, then parameters()
        flush,
        unmap,       // `ranges`
    };
    struct Range {
        uint64_t offset = 0;  // bytes
        uint64_t length = 0;
    };
    Kind kind = Kind::answer;
    std::vector<uint8_t> data;
    uint64_t offset = 0;
    uint64_t length = 0;
    std::vector<Range> ranges;
    scsi::Sense sense;
};

class ScsiDisk {
  public:
    // serial: up to 20 characters.
    ScsiDisk(const BlockInfo& info, std::string serial) : m_info(info), m_serial(std::move(serial)) {}

    void reset();
    [[nodiscard]] ScsiPlan plan(const ScsiCdb& cdb);
    // The parameter list of the command planned as Kind::parameters.
    [[nodiscard]] ScsiPlan parameters(const ScsiCdb& cdb, std::span<const uint8_t> list);
    // How a command ended: what REQUEST SENSE tells until the next one.
    void ended(scsi::Sense sense) { m_sense = sense; }

    void save(StateWriter& writer) const;
    void load(StateReader& reader);

  private:
    [[nodiscard]] uint64_t blocks() const { return m_info.size / m_info.block_size; }
    [[nodiscard]] static ScsiPlan failed(scsi::Sense sense) { return {.kind = ScsiPlan::Kind::answer, .data = {}, .ranges = {}, .sense = sense}; }
    [[nodiscard]] static ScsiPlan answer(std::vector<uint8_t> data, uint64_t allocation);
    [[nodiscard]] ScsiPlan medium_plan(const ScsiCdb& cdb) const;
    [[nodiscard]] ScsiPlan transfer(ScsiPlan::Kind kind, uint64_t lba, uint64_t count) const;
    [[nodiscard]] ScsiPlan inquiry(const ScsiCdb& cdb) const;
    [[nodiscard]] std::vector<uint8_t> vital_product_data(uint8_t page) const;
    [[nodiscard]] ScsiPlan mode_sense(const ScsiCdb& cdb) const;
    [[nodiscard]] ScsiPlan read_capacity(const ScsiCdb& cdb) const;
    [[nodiscard]] ScsiPlan format_capacities(const ScsiCdb& cdb) const;
    [[nodiscard]] ScsiPlan write_same(const ScsiCdb& cdb) const;
    [[nodiscard]] ScsiPlan unmap(std::span<const uint8_t> list) const;
    [[nodiscard]] ScsiPlan start_stop(const ScsiCdb& cdb);

    const BlockInfo m_info;
    std::string m_serial;
    scsi::Sense m_sense;
    bool m_ejected = false;    // by the guest, until it is plugged in again
    bool m_prevented = false;  // the guest wants no removal
};

}  // namespace skep
