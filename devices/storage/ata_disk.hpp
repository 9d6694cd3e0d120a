// SPDX-License-Identifier: GPL-3.0-or-later
// A SATA hard disk over a block back end (ATA8-ACS, T13/1699-D).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "devices/storage/ata.hpp"

namespace skep {

struct DiskIdentity {
    std::string serial;  // up to 20 characters
    std::string model;   // up to 40
};

class AtaDisk final : public ata::AtaDevice {
  public:
    AtaDisk(ata::AtaHost& host, std::shared_ptr<BlockBackend> backend, DiskIdentity identity);

    [[nodiscard]] uint32_t signature() const override { return ata::k_signature_disk; }
    [[nodiscard]] uint8_t reset_status() const override { return ata::k_status_ready; }
    [[nodiscard]] bool is_queued(uint8_t command) const override;
    void reset() override;
    void execute(const ata::AtaCommandPtr& command) override;
    [[nodiscard]] std::shared_ptr<BlockBackend> backend() const override { return m_backend; }
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    struct Extent {
        uint64_t lba = 0;
        uint64_t sectors = 0;
    };
    enum class Width { lba28, lba48 };

    // Where a read or write goes; nothing (and the command is answered) when that is outside the disk.
    bool extent_of(const ata::AtaCommandPtr& command, Width width, Extent& extent);
    void read_write(const ata::AtaCommandPtr& command, BlockOp op, Extent extent, ata::Ending ending, bool through);
    void queued(const ata::AtaCommandPtr& command);
    void queued_failed(const ata::AtaCommandPtr& command, uint8_t error);
    bool data_command(const ata::AtaCommandPtr& command);
    bool control_command(const ata::AtaCommandPtr& command);
    void verify(const ata::AtaCommandPtr& command, Width width);
    void flush(const ata::AtaCommandPtr& command);
    void set_features(const ata::AtaCommandPtr& command);
    void smart(const ata::AtaCommandPtr& command);
    void read_log(const ata::AtaCommandPtr& command, ata::Ending ending);
    void trim(const ata::AtaCommandPtr& command);
    void trim_next(const ata::AtaCommandPtr& command, std::shared_ptr<std::vector<Extent>> ranges);
    [[nodiscard]] std::array<uint8_t, 512> identify() const;
    // Gives up to the buffer's size of data to the guest and ends the command.
    void answer(const ata::AtaCommandPtr& command, std::span<const uint8_t> data, ata::Ending ending);
    void done(const ata::AtaCommandPtr& command, const ata::AtaResult& result = {}) { m_host.finish(command, result); }
    [[nodiscard]] uint64_t sectors() const { return m_backend->info().size / ata::k_sector_size; }

    ata::AtaHost& m_host;
    std::shared_ptr<BlockBackend> m_backend;
    DiskIdentity m_identity;
    bool m_write_cache = true;
    bool m_look_ahead = true;
    bool m_smart_enabled = true;
    uint8_t m_multiple = 16;
    uint8_t m_udma_mode = 5;
    std::array<uint8_t, 512> m_queued_error_log{};  // log page 10h
};

}  // namespace skep
