// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/audio/hda_stream.hpp"

#include <array>

#include "devices/audio/hda_regs.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace hda;

namespace {

// Stretches of memory touched at one look: enough for the longest debt of the widest and fastest frames in the shortest
// buffers that the specification allows, of 128 bytes.
constexpr unsigned k_piece_budget = 4096;
constexpr uint32_t k_lvi_mask = 0xff;
constexpr uint32_t k_bdl_base_mask = ~0x7fU;
constexpr Nanoseconds k_soonest_look = 1'000'000;
constexpr Nanoseconds k_latest_look = 10'000'000;

}  // namespace

void HdaStream::reset() {
    m_regs = {};
    m_entry = {};
    m_held = false;
    set_format(0);
    m_pace.start(m_controller.clock.now());
}

bool HdaStream::wants_to_run() const {
    return !m_held && (m_regs.ctl & (k_sd_ctl_run | k_sd_ctl_srst)) == k_sd_ctl_run;
}

uint8_t HdaStream::tag() const { return static_cast<uint8_t>(bits(m_regs.ctl, k_sd_ctl_strm_shift, 4)); }

// The enables lie in SDnCTL where the causes lie in SDnSTS.
bool HdaStream::interrupt_pending() const { return (m_regs.sts & m_regs.ctl & k_sd_sts_interrupts) != 0; }

uint32_t HdaStream::read(unsigned reg) const {
    switch (reg) {
        case k_sd_ctl: return m_regs.ctl;
        case k_sd_sts: {
            // The FIFO has no reason not to be ready: memory answers at once.
            const bool ready = (m_regs.ctl & (k_sd_ctl_run | k_sd_ctl_srst)) == k_sd_ctl_run;
            return m_regs.sts | (ready ? k_sd_sts_fifordy : 0);
        }
        case k_sd_lpib: return m_regs.lpib;
        case k_sd_cbl: return m_regs.cbl;
        case k_sd_lvi: return m_regs.lvi;
        case k_sd_fifos: return m_direction == HdaDirection::output ? k_fifos_output : k_fifos_input;
        case k_sd_fmt: return m_regs.fmt;
        case k_sd_bdpl: return m_regs.bdpl;
        case k_sd_bdpu: return m_regs.bdpu;
        default: return 0;
    }
}

void HdaStream::write(unsigned reg, RegisterWrite written) {
    if (reg == k_sd_ctl) {
        write_control(written);
        return;
    }
    if ((m_regs.ctl & k_sd_ctl_srst) != 0) {
        return;  // held in reset
    }
    switch (reg) {
        case k_sd_sts: m_regs.sts &= ~(written.value & k_sd_sts_interrupts); break;
        case k_sd_cbl: m_regs.cbl = written.over(m_regs.cbl, ~0U); break;
        case k_sd_lvi: m_regs.lvi = written.over(m_regs.lvi, k_lvi_mask); break;
        case k_sd_fmt: set_format(written.over(m_regs.fmt, k_sd_fmt_writable)); break;
        case k_sd_bdpl: m_regs.bdpl = written.over(m_regs.bdpl, k_bdl_base_mask); break;
        case k_sd_bdpu: m_regs.bdpu = written.over(m_regs.bdpu, ~0U); break;
        default: break;
    }
}

// 3.3.35: SRST reads as set until the driver takes it away; in between the stream is as after power-on.
void HdaStream::write_control(RegisterWrite written) {
    const bool ran = wants_to_run();
    const uint32_t ctl = written.over(m_regs.ctl, k_sd_ctl_writable | k_sd_ctl_srst);
    if ((ctl & k_sd_ctl_srst) != 0) {
        const bool held = m_held;
        reset();
        m_held = held;
        m_regs.ctl = k_sd_ctl_srst;
        return;
    }
    m_regs.ctl = ctl;
    if (wants_to_run() && !ran) {
        m_pace.start(m_controller.clock.now());
        if (!m_format) {
            m_controller.errors.report("stream {} is to run in the format {:#x}, which there is not", m_index, m_regs.fmt);
        }
    }
}

void HdaStream::hold(bool held) {
    const bool ran = wants_to_run();
    m_held = held;
    if (wants_to_run() && !ran) {
        m_pace.start(m_controller.clock.now());
    }
}

void HdaStream::set_format(uint32_t fmt) {
    m_regs.fmt = fmt;
    m_format = StreamFormat::parse(static_cast<uint16_t>(fmt));
}

size_t HdaStream::due(int32_t ppm) {
    m_interrupted = false;
    m_budget = k_piece_budget;
    return m_pace.due(m_controller.clock.now(), m_format->rate, ppm);
}

size_t HdaStream::ahead(size_t frames) {
    if (m_interrupted || m_budget == 0 || frames == 0 || (!m_entry.taken && !take_entry())) {
        return 0;
    }
    const size_t in_entry = (size_t{m_entry.left} + m_format->frame_bytes() - 1) / m_format->frame_bytes();
    return std::clamp<size_t>(in_entry, 1, frames);
}

// 4.5.1: a buffer or list that cannot be read is a descriptor error, and fatal for the stream.
void HdaStream::fail(const char* why) {
    m_controller.errors.report("stream {}: {}", m_index, why);
    m_regs.sts |= k_sd_sts_dese;
    m_regs.ctl &= ~k_sd_ctl_run;
}

bool HdaStream::take_entry() {
    std::array<std::byte, k_bdl_entry_size> bytes;
    const GuestAddress list = uint64_t{m_regs.bdpu} << 32 | m_regs.bdpl;
    if (!m_controller.memory.read(list + uint64_t{m_entry.index} * k_bdl_entry_size, bytes.data(), bytes.size())) {
        fail("its buffer descriptor list is not in memory");
        return false;
    }
    m_entry.address = load_le<uint64_t>(&bytes[0]);
    m_entry.left = load_le<uint32_t>(&bytes[8]);
    m_entry.interrupts = (load_le<uint32_t>(&bytes[12]) & k_bdl_ioc) != 0;
    m_entry.taken = true;
    return true;
}

void HdaStream::finish_entry() {
    if (m_entry.interrupts) {
        m_regs.sts |= k_sd_sts_bcis;
        m_interrupted = true;
    }
    m_entry.index = m_entry.index >= m_regs.lvi ? 0 : m_entry.index + 1;
    m_entry.taken = false;
}

template <typename Piece>
size_t HdaStream::walk(size_t size, Piece piece) {
    size_t done = 0;
    for (; done < size && m_budget > 0; --m_budget) {
        if (!m_entry.taken && !take_entry()) {
            break;
        }
        // LPIB goes round at CBL, wherever the list is.
        const uint32_t until_wrap = m_regs.lpib < m_regs.cbl ? m_regs.cbl - m_regs.lpib : ~0U;
        const auto length = static_cast<uint32_t>(std::min<uint64_t>({size - done, m_entry.left, until_wrap}));
        if (length != 0 && !piece(m_entry.address, done, length)) {
            fail("a buffer is not in memory");
            break;
        }
        done += length;
        m_entry.address += length;
        m_entry.left -= length;
        m_regs.lpib += length;
        if (m_regs.lpib >= m_regs.cbl) {
            m_regs.lpib = 0;
        }
        if (m_entry.left == 0) {
            finish_entry();
        }
    }
    return done;
}

size_t HdaStream::fetch(std::span<std::byte> to) {
    return walk(to.size(), [&](GuestAddress address, size_t offset, uint32_t length) {
        return m_controller.memory.read(address, &to[offset], length);
    });
}

size_t HdaStream::store(std::span<const std::byte> from) {
    return walk(from.size(), [&](GuestAddress address, size_t offset, uint32_t length) {
        return m_controller.memory.write(address, &from[offset], length);
    });
}

Nanoseconds HdaStream::next_look() const {
    Nanoseconds wait = m_entry.taken ? k_latest_look : k_soonest_look;
    if (m_entry.taken && m_entry.interrupts) {
        wait = m_pace.until((m_entry.left + m_format->frame_bytes() - 1) / m_format->frame_bytes(), m_format->rate);
    }
    return m_controller.clock.now() + std::clamp(wait, k_soonest_look, k_latest_look);
}

void HdaStream::save(StateWriter& writer) const {
    for (const uint32_t value : {m_regs.ctl, m_regs.sts, m_regs.lpib, m_regs.cbl, m_regs.lvi, m_regs.fmt, m_regs.bdpl,
                                 m_regs.bdpu, m_entry.left, m_entry.index}) {
        writer.put(value);
    }
    writer.put(m_entry.address);
    writer.put(static_cast<uint8_t>(m_entry.interrupts));
    writer.put(static_cast<uint8_t>(m_entry.taken));
    writer.put(static_cast<uint8_t>(m_held));
    m_pace.save(writer);
}

void HdaStream::load(StateReader& reader) {
    const auto take = [&reader](uint32_t& to, uint32_t valid) { to = reader.get<uint32_t>() & valid; };
    take(m_regs.ctl, k_sd_ctl_writable | k_sd_ctl_srst);
    take(m_regs.sts, k_sd_sts_interrupts);
    take(m_regs.lpib, ~0U);
    take(m_regs.cbl, ~0U);
    take(m_regs.lvi, k_lvi_mask);
    take(m_regs.fmt, k_sd_fmt_writable);
    take(m_regs.bdpl, k_bdl_base_mask);
    take(m_regs.bdpu, ~0U);
    take(m_entry.left, ~0U);
    take(m_entry.index, k_lvi_mask);
    reader.get(m_entry.address);
    m_entry.interrupts = reader.get<uint8_t>() != 0;
    m_entry.taken = reader.get<uint8_t>() != 0;
    m_held = reader.get<uint8_t>() != 0;
    set_format(m_regs.fmt);
    m_pace.load(reader);
}

}  // namespace skep
