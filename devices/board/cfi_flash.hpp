// SPDX-License-Identifier: GPL-3.0-or-later
// A NOR flash chip, 8 bits wide, in which UEFI firmware keeps its variables: the Intel basic command set (Intel
// StrataFlash 28F320J3 data sheet, chapters 9-11; JEDEC JEP137 command set 0001h; CFI: JEDEC JESD68).
// While the chip shows its array, reads are the guest's plain memory; every write, and every read in another mode, comes here.
// One deviation, which OVMF needs to know the chip as one: after Clear Status Register the status reads 00h (a real part
// says 80h, ready) until the next operation. Left out: lock bits (blocks count as unlocked), suspending, the OTP registers.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "vmm/device/device.hpp"

namespace skep {

// Keeps what was programmed. Called with the chip's lock held, on vCPU threads.
class FlashStore {
  public:
    virtual ~FlashStore() = default;
    virtual void written(uint64_t offset, std::span<const std::byte> bytes) = 0;
    virtual void sync() = 0;  // everything written so far shall survive the host's power failure
};

class CfiFlash final : public Device, private IoHandler {
  public:
    static constexpr uint64_t k_block = 4096;  // erased at once

    // array: memory of GuestMemory::add_device_memory with the chip's content, a multiple of k_block. store: may be null.
    CfiFlash(DeviceContext& context, GuestAddress address, std::span<std::byte> array, std::unique_ptr<FlashStore> store);

    [[nodiscard]] std::string name() const override { return "flash"; }
    void reset() override;
    void pause() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    static constexpr size_t k_buffer = 32;  // bytes of Write to Buffer
    enum class Mode : uint8_t { array, status, identifier, query };
    enum class Expecting : uint8_t { command, program, erase, lock, count, data, confirm };  // what the next write is

    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;
    void command(uint8_t value);
    void confirm_erase(uint64_t offset, uint8_t value);
    void take_buffer_byte(uint64_t offset, uint8_t value);
    void write_buffer(uint8_t value);
    void finish(uint8_t errors);
    void program(uint64_t offset, std::span<const uint8_t> bytes);
    void changed(uint64_t offset, uint64_t size);
    void show(Mode mode);

    GuestMemory& m_memory;
    const GuestAddress m_address;
    const std::span<std::byte> m_array;
    const std::unique_ptr<FlashStore> m_store;
    mutable IoGate m_gate;
    Mode m_mode = Mode::status;  // reset() shows the array
    Expecting m_expecting = Expecting::command;
    uint8_t m_status = 0;
    std::array<uint8_t, k_buffer> m_buffer{};
    uint64_t m_buffer_offset = 0;
    uint8_t m_buffer_size = 0;  // bytes announced
    uint8_t m_buffer_used = 0;
    IoClaim m_claim;  // last: no access reaches a half-made chip
};

}  // namespace skep
