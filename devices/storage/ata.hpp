// SPDX-License-Identifier: GPL-3.0-or-later
// ATA: commands, registers, and the two sides of a SATA link (ATA8-ACS, T13/1699-D; Serial ATA 3.0).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "devices/block/block_backend.hpp"
#include "devices/storage/guest_buffer.hpp"
#include "vmm/device/state_io.hpp"

namespace skep::ata {

// Status register.
inline constexpr uint8_t k_status_err = 0x01;
inline constexpr uint8_t k_status_drq = 0x08;
inline constexpr uint8_t k_status_dsc = 0x10;
inline constexpr uint8_t k_status_drdy = 0x40;
inline constexpr uint8_t k_status_bsy = 0x80;
inline constexpr uint8_t k_status_ready = k_status_drdy | k_status_dsc;

// Error register.
inline constexpr uint8_t k_error_abrt = 0x04;
inline constexpr uint8_t k_error_idnf = 0x10;
inline constexpr uint8_t k_error_unc = 0x40;
inline constexpr uint8_t k_diagnostics_passed = 0x01;

inline constexpr uint8_t k_device_lba = 0x40;
inline constexpr uint64_t k_sector_size = 512;

// PxSIG: LBA high, mid, low and count after a reset.
inline constexpr uint32_t k_signature_disk = 0x0000'0101;
inline constexpr uint32_t k_signature_packet = 0xeb14'0101;

enum Command : uint8_t {
    k_nop = 0x00,
    k_data_set_management = 0x06,
    k_device_reset = 0x08,
    k_recalibrate = 0x10,
    k_read_sectors = 0x20,
    k_read_sectors_ext = 0x24,
    k_read_dma_ext = 0x25,
    k_read_multiple_ext = 0x29,
    k_read_log_ext = 0x2f,
    k_write_sectors = 0x30,
    k_write_sectors_ext = 0x34,
    k_write_dma_ext = 0x35,
    k_write_multiple_ext = 0x39,
    k_write_dma_fua_ext = 0x3d,
    k_read_verify = 0x40,
    k_read_verify_ext = 0x42,
    k_read_log_dma_ext = 0x47,
    k_read_fpdma_queued = 0x60,
    k_write_fpdma_queued = 0x61,
    k_seek = 0x70,
    k_execute_diagnostic = 0x90,
    k_initialize_parameters = 0x91,
    k_packet = 0xa0,
    k_identify_packet_device = 0xa1,
    k_smart = 0xb0,
    k_read_multiple = 0xc4,
    k_write_multiple = 0xc5,
    k_set_multiple = 0xc6,
    k_read_dma = 0xc8,
    k_write_dma = 0xca,
    k_standby_immediate = 0xe0,
    k_idle_immediate = 0xe1,
    k_standby = 0xe2,
    k_idle = 0xe3,
    k_check_power_mode = 0xe5,
    k_sleep = 0xe6,
    k_flush_cache = 0xe7,
    k_flush_cache_ext = 0xea,
    k_identify_device = 0xec,
    k_set_features = 0xef,
};

// How a command without an error ends on the wire.
enum class Ending {
    register_fis,  // device-to-host register FIS: DMA, PIO out, no data
    pio_setup,     // PIO data in: the PIO setup FIS carries the ending status
    queued,        // set device bits FIS
};

// One command, copied out of guest memory.
struct AtaCommand {
    unsigned slot = 0;
    uint64_t generation = 0;  // of the port when it was taken
    uint8_t command = 0;
    uint16_t features = 0;
    uint64_t lba = 0;  // 48 bits
    uint16_t count = 0;
    uint8_t device = 0;
    std::array<uint8_t, 16> packet{};
    GuestBuffer data;
    uint64_t transferred = 0;  // bytes moved so far
};
using AtaCommandPtr = std::shared_ptr<AtaCommand>;

struct AtaResult {
    uint8_t status = k_status_ready;
    uint8_t error = 0;
    Ending ending = Ending::register_fis;
    // What the count and LBA registers show afterwards; as they were when absent.
    std::optional<uint16_t> count = {};
    std::optional<uint64_t> lba = {};
};

constexpr AtaResult failure(uint8_t error) { return {.status = k_status_ready | k_status_err, .error = error}; }

// The host's end of the link, as a device sees it. Everything with the controller's gate held.
class AtaHost {
  public:
    virtual ~AtaHost() = default;
    [[nodiscard]] virtual GuestMemory& memory() = 0;
    virtual void finish(const AtaCommandPtr& command, const AtaResult& result) = 0;
    // A guest address of the command cannot be reached: the command dies with a host bus error.
    virtual void bus_error(const AtaCommandPtr& command) = 0;

    using Then = std::function<void(BlockStatus)>;
    // Reads or writes `bytes` between the back end and the command's buffer from its current position on (which they
    // do not exceed). `then` runs later with the gate held, unless the command was given up meanwhile.
    virtual void transfer(const AtaCommandPtr& command, BlockBackend& backend, BlockRequest request, uint64_t bytes,
                          Then then) = 0;
    // A request without guest data.
    virtual void request(const AtaCommandPtr& command, BlockBackend& backend, BlockRequest request, Then then) = 0;
};

class AtaDevice {
  public:
    virtual ~AtaDevice() = default;
    [[nodiscard]] virtual uint32_t signature() const = 0;
    // Status register together with the signature.
    [[nodiscard]] virtual uint8_t reset_status() const = 0;
    [[nodiscard]] virtual bool is_queued(uint8_t command) const = 0;
    // Power-on, COMRESET or software reset.
    virtual void reset() = 0;
    // Answers through the host, at once or later. Commands not queued come one at a time.
    virtual void execute(const AtaCommandPtr& command) = 0;
    [[nodiscard]] virtual std::shared_ptr<BlockBackend> backend() const = 0;  // may be null
    virtual void save(StateWriter& writer) const = 0;
    virtual void load(StateReader& reader) = 0;
};

// ATA strings: padded with blanks, the bytes of each word swapped.
void put_ata_string(std::array<uint16_t, 256>& words, unsigned first, unsigned count, const std::string& text);
// IDENTIFY data with its checksum in word 255.
std::array<uint8_t, 512> identify_bytes(std::array<uint16_t, 256> words);

}  // namespace skep::ata
