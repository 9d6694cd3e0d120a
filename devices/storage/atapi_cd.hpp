// SPDX-License-Identifier: GPL-3.0-or-later
// An ATAPI CD/DVD-ROM drive (ATA8-ACS packet feature set; MMC-5, T10/1675-D).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "devices/storage/ata.hpp"
#include "devices/storage/scsi.hpp"

namespace skep {

class AtapiCd final : public ata::AtaDevice {
  public:
    // medium: may be null (an empty drive).
    AtapiCd(ata::AtaHost& host, std::shared_ptr<BlockBackend> medium) : m_host(host), m_medium(std::move(medium)) {}

    [[nodiscard]] uint32_t signature() const override { return ata::k_signature_packet; }
    [[nodiscard]] uint8_t reset_status() const override { return 0; }
    [[nodiscard]] bool is_queued(uint8_t /*command*/) const override { return false; }
    void reset() override;
    void execute(const ata::AtaCommandPtr& command) override;
    [[nodiscard]] std::shared_ptr<BlockBackend> backend() const override { return m_medium; }
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // The host's eject button and hand: a lock of the guest does not hold. Returns the old medium, which requests may
    // still be using.
    std::shared_ptr<BlockBackend> change_medium(std::shared_ptr<BlockBackend> medium);

  private:
    enum class MediaEvent : uint8_t { none = 0, eject_request = 1, new_medium = 2, removal = 3 };
    enum class ModeHeader { six, ten };
    using Bytes = std::vector<uint8_t>;

    void packet(const ata::AtaCommandPtr& command);
    void medium_packet(const ata::AtaCommandPtr& command);
    void identify(const ata::AtaCommandPtr& command);
    void read(const ata::AtaCommandPtr& command, uint64_t lba, uint64_t sectors);
    void read_cd(const ata::AtaCommandPtr& command);
    void start_stop(const ata::AtaCommandPtr& command);
    void request_sense(const ata::AtaCommandPtr& command);
    void event_status(const ata::AtaCommandPtr& command);
    void mode_sense(const ata::AtaCommandPtr& command, ModeHeader header);
    void read_toc(const ata::AtaCommandPtr& command);
    void get_configuration(const ata::AtaCommandPtr& command);
    void read_dvd_structure(const ata::AtaCommandPtr& command);
    [[nodiscard]] Bytes inquiry() const;
    [[nodiscard]] Bytes disc_information() const;

    // Gives the guest up to `allocation` bytes and ends the command well.
    void answer(const ata::AtaCommandPtr& command, std::span<const uint8_t> data, uint64_t allocation,
                ata::Ending ending = ata::Ending::register_fis);
    void good(const ata::AtaCommandPtr& command);
    void check_condition(const ata::AtaCommandPtr& command, scsi::Sense sense);
    [[nodiscard]] uint64_t sectors() const;
    [[nodiscard]] bool is_dvd() const;
    [[nodiscard]] bool has_medium() const { return m_medium != nullptr && !m_tray_open; }

    ata::AtaHost& m_host;
    std::shared_ptr<BlockBackend> m_medium;
    scsi::Sense m_sense;
    bool m_medium_changed = false;  // a unit attention waits
    MediaEvent m_event = MediaEvent::none;
    bool m_locked = false;
    bool m_tray_open = false;
};

// TOC of a disc with one data track of `sectors` 2048-byte sectors: the READ TOC/PMA/ATIP response (MMC-5, 6.26) for
// formats 0, 1 and 2; empty for the others.
std::vector<uint8_t> cd_table_of_contents(unsigned format, unsigned first_track, bool msf, uint64_t sectors);

}  // namespace skep
