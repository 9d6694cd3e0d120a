// SPDX-License-Identifier: GPL-3.0-or-later
// From frames to receive descriptors (8254x manual 317453, 3.2). A card that is short of descriptors lets the back end wait
// where a real one would lose frames.
#include <algorithm>
#include <mutex>

#include "devices/net/e1000.hpp"
#include "vmm/base/bits.hpp"
#include "devices/net/frame_crc.hpp"

namespace skep {

using namespace e1000;

namespace {

constexpr size_t k_least_frame = 60;    // without its CRC
constexpr size_t k_crc_bytes = 4;
constexpr size_t k_most_usual = 1518;   // with a VLAN tag, without its CRC
constexpr size_t k_most_long = 16380;   // 13.4.22, LPE
constexpr unsigned k_addresses = 16;

bool is_broadcast(std::span<const uint8_t> frame) {
    return std::all_of(frame.begin(), frame.begin() + 6, [](uint8_t byte) { return byte == 0xff; });
}

}  // namespace

bool E1000::receiving() const { return (reg(k_rctl) & k_rctl_en) != 0 && bus_master() && m_phy.link(); }

size_t E1000::frames_arrived(std::span<const NetFrame> frames) {
    const std::lock_guard lock(gate());
    if (m_paused || !receiving()) {
        m_card_waits = m_paused;
        return m_paused ? 0 : frames.size();
    }
    uint32_t causes = 0;
    size_t done = 0;
    for (; done < frames.size(); ++done) {
        if (place(frames[done], causes) == Placed::no_descriptors) {
            m_card_waits = true;
            break;
        }
    }
    if ((causes & ~k_int_rxt0) != 0) {
        set_cause(causes & ~k_int_rxt0);
    }
    if ((causes & k_int_rxt0) != 0) {
        set_cause_later(k_received, m_first_received, reg(k_rdtr), reg(k_radv), k_int_rxt0);
    }
    return done;
}

uint32_t E1000::receive_buffer_bytes() const {
    const uint32_t size = 2048U >> (reg(k_rctl) >> k_rctl_bsize_shift & 3);
    return (reg(k_rctl) & k_rctl_bsex) != 0 && size != 2048 ? size * 16 : size;
}

// Into m_incoming, with room for the CRC.
void E1000::take_in(const NetFrame& frame) {
    m_incoming.clear();
    for (const iovec& piece : frame.pieces) {
        const auto* const bytes = static_cast<const uint8_t*>(piece.iov_base);
        m_incoming.insert(m_incoming.end(), bytes, bytes + piece.iov_len);
    }
    if ((frame.header.flags & net::k_needs_csum) != 0) {
        [[maybe_unused]] const bool in_frame = complete_checksum(m_incoming, frame.header);  // else as it came
    }
    m_incoming.resize(std::max(m_incoming.size(), k_least_frame));
}

E1000::Placed E1000::place(const NetFrame& frame, uint32_t& causes) {
    const uint32_t count = reg(k_rdlen) / sizeof(RxDescriptor);
    if (reg(k_rdh) >= count || reg(k_rdt) >= count) {
        return reg(k_rdh) == reg(k_rdt) ? Placed::no_descriptors : Placed::dropped;
    }
    const bool strips_crc = (reg(k_rctl) & k_rctl_secrc) != 0;
    const size_t most = (reg(k_rctl) & k_rctl_lpe) != 0 ? k_most_long : k_most_usual;
    const size_t bytes = std::max<size_t>(frame.bytes, k_least_frame) + (strips_crc ? 0 : k_crc_bytes);
    const uint32_t buffer = receive_buffer_bytes();
    const auto needed = static_cast<uint32_t>((bytes + buffer - 1) / buffer);
    const uint32_t free = (reg(k_rdt) + count - reg(k_rdh)) % count;
    if (frame.bytes > most || needed >= count) {
        this->count(k_roc);
        return Placed::dropped;
    }
    if (needed > free) {
        return Placed::no_descriptors;
    }
    take_in(frame);
    if (!wanted()) {
        return Placed::dropped;
    }
    RxDescriptor last = describe(frame.header);
    count_received();
    if ((last.status & k_rx_vp) != 0) {
        m_incoming.erase(m_incoming.begin() + 12, m_incoming.begin() + 16);
    }
    if (!strips_crc) {
        std::array<uint8_t, k_crc_bytes> crc{};
        store_le(crc.data(), frame_crc(m_incoming));
        m_incoming.insert(m_incoming.end(), crc.begin(), crc.end());
    }
    const bool small = reg(k_rsrpd) != 0 && m_incoming.size() <= reg(k_rsrpd);
    write_out(m_incoming, last);
    const uint32_t left = (reg(k_rdt) + count - reg(k_rdh)) % count;
    const bool low = left <= count >> ((reg(k_rctl) >> k_rctl_rdmts_shift & 3) + 1);
    causes |= (small ? k_int_srpd : k_int_rxt0) | (low ? k_int_rxdmt0 : 0);
    return Placed::yes;
}

// The status goes last: with it the descriptor is the driver's.
void E1000::write_out(std::span<const uint8_t> bytes, RxDescriptor last) {
    GuestMemory& memory = context().memory;
    const GuestAddress ring = uint64_t{reg(k_rdbah)} << 32 | reg(k_rdbal);
    const uint32_t buffer = receive_buffer_bytes();
    while (!bytes.empty()) {
        const GuestAddress at = ring + uint64_t{reg(k_rdh)} * sizeof(RxDescriptor);
        const auto piece = bytes.first(std::min<size_t>(bytes.size(), buffer));
        bytes = bytes.subspan(piece.size());
        RxDescriptor descriptor = last;
        descriptor.length = static_cast<uint16_t>(piece.size());
        const uint8_t status = bytes.empty() ? static_cast<uint8_t>(last.status | k_rx_dd | k_rx_eop) : k_rx_dd;
        descriptor.status = 0;
        const auto address = memory.read_value<uint64_t>(at);
        constexpr size_t k_behind = offsetof(RxDescriptor, length);
        const bool good = address && memory.write(*address, piece.data(), piece.size()) &&
                          memory.write(at + k_behind, &descriptor.length, sizeof descriptor - k_behind) &&
                          memory.write_value(at + offsetof(RxDescriptor, status), status);
        if (!good) {
            guest_errors().report("the receive descriptor at {:#x} or its buffer is not in memory", at);
        }
        reg(k_rdh) = reg(k_rdh) + 1 == reg(k_rdlen) / sizeof(RxDescriptor) ? 0 : reg(k_rdh) + 1;
    }
}

// 3.2.1: by the address, then by the VLAN.
bool E1000::wanted() const {
    const uint32_t rctl = reg(k_rctl);
    const bool group = (m_incoming[0] & 1) != 0;
    const bool by_address = group ? (rctl & k_rctl_mpe) != 0 || ((rctl & k_rctl_bam) != 0 && is_broadcast(m_incoming))
                                  : (rctl & k_rctl_upe) != 0;
    if (!by_address && !listed()) {
        return false;
    }
    const bool tagged = load_be<uint16_t>(&m_incoming[12]) == reg(k_vet);
    if ((rctl & k_rctl_vfe) == 0 || !tagged) {
        return true;
    }
    const unsigned vlan = load_be<uint16_t>(&m_incoming[14]) & 0xfff;
    return (reg(k_vfta + vlan / 32 * 4) >> vlan % 32 & 1) != 0;
}

// One of the sixteen addresses, or of a group whose bit in the table is set (13.5.2).
bool E1000::listed() const {
    const auto low = load_le<uint32_t>(m_incoming.data());
    const auto high = load_le<uint16_t>(&m_incoming[4]);
    for (unsigned index = 0; index < k_addresses; ++index) {
        const uint32_t rah = reg(k_ra + index * 8 + 4);
        if ((rah & k_rah_av) != 0 && (rah & 0xffff) == high && reg(k_ra + index * 8) == low) {
            return true;
        }
    }
    if ((m_incoming[0] & 1) == 0) {
        return false;
    }
    constexpr std::array<unsigned, 4> k_shifts{4, 3, 2, 0};
    const unsigned hash = high >> k_shifts[reg(k_rctl) >> k_rctl_mo_shift & 3] & 0xfff;
    return (reg(k_mta + hash / 32 * 4) >> hash % 32 & 1) != 0;
}

// The descriptor of the frame's end, but for DD and EOP.
RxDescriptor E1000::describe(const NetHeader& header) const {
    RxDescriptor descriptor{};
    const std::span<const uint8_t> frame(m_incoming);
    const bool exact = (frame[0] & 1) == 0 && load_le<uint32_t>(frame.data()) == reg(k_ra) &&
                       load_le<uint16_t>(&frame[4]) == (reg(k_ra + 4) & 0xffff);
    descriptor.status = exact ? uint8_t{0} : k_rx_pif;
    if ((reg(k_ctrl) & k_ctrl_vme) != 0 && load_be<uint16_t>(&frame[12]) == reg(k_vet)) {
        descriptor.status |= k_rx_vp;
        descriptor.special = load_be<uint16_t>(&frame[14]);
    }
    const uint32_t rxcsum = reg(k_rxcsum);
    const size_t start = rxcsum & k_rxcsum_pcss;
    if (start < frame.size()) {
        const uint16_t sum = static_cast<uint16_t>(~finish_sum(internet_sum(frame.subspan(start))));
        descriptor.checksum = byte_swap(sum);
    }
    const FrameLayout layout = frame_layout(frame);
    if (layout.kind == FrameLayout::Kind::other || (rxcsum & (k_rxcsum_ipofld | k_rxcsum_tuofld)) == 0) {
        descriptor.status |= k_rx_ixsm;
        return descriptor;
    }
    const bool trusted = (header.flags & (net::k_data_valid | net::k_needs_csum)) != 0;
    if ((rxcsum & k_rxcsum_ipofld) != 0 && layout.is_ip4()) {
        const bool good = trusted || finish_sum(internet_sum(frame.subspan(layout.ip, layout.transport - layout.ip))) == 0;
        descriptor.status |= k_rx_ipcs;
        descriptor.errors |= good ? uint8_t{0} : k_rx_ipe;
    }
    const bool has_sum = layout.is_tcp() || load_le<uint16_t>(&frame[layout.transport + 6]) != 0;
    if ((rxcsum & k_rxcsum_tuofld) != 0 && has_sum) {
        const uint32_t bytes = layout.end - layout.transport;
        const bool good = trusted || finish_sum(internet_sum(frame.subspan(layout.transport, bytes),
                                                             pseudo_header_sum(frame, layout, bytes))) == 0;
        descriptor.status |= k_rx_tcpcs;
        descriptor.errors |= good ? uint8_t{0} : k_rx_tcpe;
    }
    return descriptor;
}

void E1000::count_received() {
    const size_t on_wire = m_incoming.size() + k_crc_bytes;
    count(k_gprc);
    count(k_tpr);
    count_long(k_gorcl, on_wire);
    count_long(k_torl, on_wire);
    count_size(k_prc64, on_wire);
    if ((m_incoming[0] & 1) != 0) {
        count(is_broadcast(m_incoming) ? k_bprc : k_mprc);
    }
}

}  // namespace skep
