// SPDX-License-Identifier: GPL-3.0-or-later
// The Intel 82540EM network card, for guests without virtio drivers (8254x manual 317453). Life and interrupts are in
// e1000.cpp, registers in e1000_registers.cpp, frames in e1000_transmit.cpp and e1000_receive.cpp. Left out: messages (MSI),
// power management, wake-up, loopback, UDP fragmentation.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/net/e1000_eeprom.hpp"
#include "devices/net/e1000_phy.hpp"
#include "devices/net/e1000_regs.hpp"
#include "devices/net/net_cable.hpp"
#include "devices/net/offload.hpp"
#include "devices/pci/pci_function.hpp"

namespace skep {

class E1000 final : public PciFunction, public NetCard {
  public:
    using Mac = E1000Eeprom::Mac;

    E1000(DeviceContext& context, std::string name, PciAddress address, std::shared_ptr<NetCable> cable, const Mac& mac);
    ~E1000() override;

    void reset() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

    // NetCard
    size_t frames_arrived(std::span<const NetFrame> frames) override;
    void room_made() override;
    void link_changed() override;

  private:
    // 3.3.6: what a context descriptor says, for the packets after it. One is kept for segmentation, one for the rest.
    struct Offload {
        uint8_t ip_start = 0;  // IPCSS
        uint8_t ip_at = 0;     // IPCSO
        uint16_t ip_end = 0;   // IPCSE; 0: the packet's end
        uint8_t tu_start = 0;
        uint8_t tu_at = 0;
        uint16_t tu_end = 0;
        uint8_t header_bytes = 0;
        uint16_t mss = 0;
        bool ip4 = false;
        bool tcp = false;
    };
    // The packet whose descriptors are being read.
    struct Packet {
        bool begun = false;
        bool segmented = false;
        bool too_long = false;
        uint8_t options = 0;         // of its first data descriptor: 1 the IP checksum, 2 that of TCP or UDP
        uint32_t segments_done = 0;  // went out already, of a packet that is segmented
        std::vector<uint8_t> bytes;
    };
    struct Outgoing {
        NetHeader header;
        std::vector<uint8_t> bytes;
    };
    enum Deadline { k_transmitted, k_received, k_throttled, k_more_to_send, k_deadlines };
    static constexpr Nanoseconds k_never = ~Nanoseconds{0};

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;
    void bus_master_allowed() override;

    // e1000_registers.cpp
    [[nodiscard]] uint32_t read_register(uint32_t offset);
    void write_register(uint32_t offset, uint32_t value);
    void write_plain(uint32_t offset, uint32_t value);
    void write_control(uint32_t value);
    void write_mdic(uint32_t value);
    [[nodiscard]] uint32_t& reg(uint32_t offset) { return m_registers[offset / 4]; }
    [[nodiscard]] uint32_t reg(uint32_t offset) const { return m_registers[offset / 4]; }
    void count(uint32_t statistic, uint32_t by = 1);
    void count_long(uint32_t statistic, uint64_t by);
    void count_size(uint32_t first, size_t bytes);

    // e1000.cpp
    void reset_mac();
    void link_came_or_went();
    void set_cause(uint32_t causes);
    void update_interrupt();
    // The causes now, or when nothing more has come for `delay` units of 1024 ns, or `most` after the first of them.
    void set_cause_later(Deadline which, Nanoseconds& first, uint32_t delay, uint32_t most, uint32_t causes);
    void schedule();
    void on_timer();

    // e1000_transmit.cpp
    void transmit();
    [[nodiscard]] bool send_batch();
    [[nodiscard]] uint32_t take_descriptor(const e1000::TxDescriptor& descriptor, GuestAddress at);
    void take_context(const e1000::TxDescriptor& descriptor);
    void append(GuestAddress address, uint32_t bytes);
    void finish_packet(const e1000::TxDescriptor& last);
    void insert_checksum(uint32_t start, uint32_t at, uint32_t end);
    enum class Part { more_follows, last };
    void send_segments(Part part);
    void send_frame(const NetHeader& header, std::span<const uint8_t> bytes);

    // e1000_receive.cpp
    [[nodiscard]] bool receiving() const;
    enum class Placed { yes, no_descriptors, dropped };
    Placed place(const NetFrame& frame, uint32_t& causes);
    void take_in(const NetFrame& frame);
    [[nodiscard]] bool wanted() const;
    [[nodiscard]] bool listed() const;
    [[nodiscard]] e1000::RxDescriptor describe(const NetHeader& header) const;
    [[nodiscard]] uint32_t receive_buffer_bytes() const;
    void write_out(std::span<const uint8_t> bytes, e1000::RxDescriptor last);
    void count_received();

    std::shared_ptr<NetCable> m_cable;
    E1000Eeprom m_eeprom;
    E1000Phy m_phy;
    std::array<uint32_t, e1000::k_file_bytes / 4> m_registers{};
    uint32_t m_io_address = 0;  // IOADDR of the I/O BAR
    bool m_paused = false;

    std::array<Nanoseconds, k_deadlines> m_deadlines{};
    Nanoseconds m_first_transmitted = k_never;  // of those whose interrupt is delayed
    Nanoseconds m_first_received = k_never;
    uint32_t m_delayed_causes = 0;
    Nanoseconds m_next_interrupt = 0;  // by ITR not earlier

    Offload m_offload;
    Offload m_segmentation;
    Packet m_packet;
    std::vector<Outgoing> m_batch;  // on its way to the back end, or waiting for room there
    bool m_transmitting = false;

    std::vector<uint8_t> m_incoming;
    bool m_card_waits = false;  // frames_arrived() has refused some
    std::unique_ptr<Timer> m_timer;  // last: its callback uses the rest
};

}  // namespace skep
