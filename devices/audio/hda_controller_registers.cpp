// SPDX-License-Identifier: GPL-3.0-or-later
// The controller's registers (HD Audio 1.0a, 3.3): accesses of one to four bytes at any offset.
#include <algorithm>

#include "devices/audio/hda_controller.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace hda;

namespace {

constexpr unsigned k_streams_end = k_streams_start + k_streams * k_stream_size;
constexpr uint32_t k_wakeen_writable = 1U << HdaCodec::k_address;

struct Span {
    unsigned start;
    unsigned size;
};

constexpr std::array k_global_registers{
    Span{k_gcap, 2},     Span{k_vmin, 1},     Span{k_vmaj, 1},         Span{k_outpay, 2},      Span{k_inpay, 2},
    Span{k_gctl, 4},     Span{k_wakeen, 2},   Span{k_statests, 2},     Span{k_gsts, 2},        Span{k_outstrmpay, 2},
    Span{k_instrmpay, 2}, Span{k_intctl, 4},  Span{k_intsts, 4},       Span{k_walclk, 4},      Span{k_ssync_ich, 4},
    Span{k_ssync, 4},    Span{k_corblbase, 4}, Span{k_corbubase, 4},   Span{k_corbwp, 2},      Span{k_corbrp, 2},
    Span{k_corbctl, 1},  Span{k_corbsts, 1},  Span{k_corbsize, 1},     Span{k_rirblbase, 4},   Span{k_rirbubase, 4},
    Span{k_rirbwp, 2},   Span{k_rintcnt, 2},  Span{k_rirbctl, 1},      Span{k_rirbsts, 1},     Span{k_rirbsize, 1},
    Span{k_icoi, 4},     Span{k_icii, 4},     Span{k_icis, 2},         Span{k_dplbase, 4},     Span{k_dpubase, 4},
};
constexpr std::array k_stream_registers{
    Span{k_sd_ctl, 3}, Span{k_sd_sts, 1}, Span{k_sd_lpib, 4}, Span{k_sd_cbl, 4}, Span{k_sd_lvi, 2},
    Span{k_sd_fifos, 2}, Span{k_sd_fmt, 2}, Span{k_sd_bdpl, 4}, Span{k_sd_bdpu, 4},
};

template <typename Registers>
Span find(const Registers& registers, unsigned offset) {
    const auto found = std::find_if(registers.begin(), registers.end(), [offset](const Span& span) {
        return offset >= span.start && offset < span.start + span.size;
    });
    return found == registers.end() ? Span{offset, 1} : *found;
}

bool is_stream_register(unsigned reg) { return reg >= k_streams_start && reg < k_streams_end; }
bool is_command_register(unsigned reg) { return reg >= k_corblbase && reg < k_icis + 2; }

}  // namespace

HdaController::Place HdaController::place_of(unsigned offset) {
    if (offset >= k_alias_start) {
        const Place place = place_of(offset - k_alias_start);
        const bool aliased = place.start == k_walclk || (is_stream_register(place.start) &&
                                                         (place.start - k_streams_start) % k_stream_size == k_sd_lpib);
        return aliased ? place : Place{k_bar_size, 1};  // no register
    }
    if (is_stream_register(offset)) {
        const unsigned base = offset - (offset - k_streams_start) % k_stream_size;
        const Span span = find(k_stream_registers, offset - base);
        return {base + span.start, span.size};
    }
    const Span span = find(k_global_registers, offset);
    return {span.start, span.size};
}

uint64_t HdaController::bar_read(unsigned /*bar*/, uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned done = 0; done < size;) {
        const auto at = static_cast<unsigned>(offset) + done;
        const Place place = place_of(at);
        // Inside an alias the register's own offset differs.
        const unsigned inside = place.size == 1 ? 0 : (at % k_alias_start) - place.start;
        const unsigned count = std::min(place.size - inside, size - done);
        value |= bits(read_register(place.start), inside * 8, count * 8) << (done * 8);
        done += count;
    }
    return value;
}

void HdaController::bar_write(unsigned /*bar*/, uint64_t offset, unsigned size, uint64_t value) {
    for (unsigned done = 0; done < size;) {
        const auto at = static_cast<unsigned>(offset) + done;
        const Place place = place_of(at);
        const unsigned inside = place.size == 1 ? 0 : (at % k_alias_start) - place.start;
        const unsigned count = std::min(place.size - inside, size - done);
        const auto mask = static_cast<uint32_t>(all_ones(count) << (inside * 8));
        const auto moved = static_cast<uint32_t>(value >> (done * 8) << (inside * 8));
        if (at < k_alias_start) {
            write_register(place.start, {moved & mask, mask});
        }
        done += count;
    }
}

uint32_t HdaController::read_register(unsigned reg) {
    if (is_stream_register(reg)) {
        const unsigned from_start = reg - k_streams_start;
        if (from_start % k_stream_size == k_sd_lpib) {
            advance_streams();  // positions are exact whenever somebody looks
        }
        return m_streams[from_start / k_stream_size].read(from_start % k_stream_size);
    }
    return is_command_register(reg) ? m_commands.read(reg) : read_global(reg);
}

uint32_t HdaController::read_global(unsigned reg) const {
    switch (reg) {
        case k_gcap: return k_gcap_value;
        case k_vmaj: return 1;
        case k_outpay: return k_outpay_value;
        case k_inpay: return k_inpay_value;
        case k_gctl: return m_gctl;
        case k_wakeen: return m_wakeen;
        case k_statests: return m_statests;
        case k_gsts: return m_gsts;
        case k_intctl: return m_intctl;
        case k_intsts: {
            const uint32_t status = interrupt_status();
            return status | (status != 0 ? k_int_gie : 0);
        }
        case k_walclk: return in_reset() ? 0 : wall_clock();
        case k_ssync_ich:
        case k_ssync: return m_ssync;
        case k_dplbase: return m_dplbase;
        case k_dpubase: return m_dpubase;
        default: return 0;
    }
}

// 3.3.7: while the link is in reset, only GCTL and the wake registers listen.
void HdaController::write_register(unsigned reg, RegisterWrite written) {
    if (in_reset() && reg != k_gctl && reg != k_wakeen && reg != k_statests) {
        return;
    }
    if (is_stream_register(reg)) {
        // What has fallen due is done with the old values.
        advance_streams();
        m_streams[(reg - k_streams_start) / k_stream_size].write((reg - k_streams_start) % k_stream_size, written);
        advance_streams();
    } else if (is_command_register(reg)) {
        m_commands.write(reg, written);
    } else {
        write_global(reg, written);
    }
    const bool acknowledges = reg == k_statests || reg == k_corbsts || reg == k_rirbsts ||
                              (is_stream_register(reg) && (reg - k_streams_start) % k_stream_size == k_sd_sts);
    update_interrupts(acknowledges ? Acknowledged::yes : Acknowledged::no);
}

void HdaController::write_global(unsigned reg, RegisterWrite written) {
    switch (reg) {
        case k_gctl: write_gctl(written); break;
        case k_wakeen: m_wakeen = written.over(m_wakeen, k_wakeen_writable); break;
        case k_statests: m_statests &= ~written.value; break;
        case k_gsts: m_gsts &= ~(written.value & k_gsts_fsts); break;
        case k_intctl: m_intctl = written.over(m_intctl, k_int_gie | k_int_cie | k_int_streams); break;
        case k_ssync_ich:
        case k_ssync: write_ssync(written); break;
        case k_dplbase: m_dplbase = written.over(m_dplbase, ~0x7fU | k_dplbase_enable); break;
        case k_dpubase: m_dpubase = written.over(m_dpubase, ~0U); break;
        default: break;
    }
}

void HdaController::write_gctl(RegisterWrite written) {
    const uint32_t gctl = written.over(m_gctl, k_gctl_crst | k_gctl_unsol);
    if ((gctl & k_gctl_crst) == 0) {
        link_reset();
        return;
    }
    if (in_reset()) {
        m_wall_zero = context().clock.now();
        m_statests |= 1U << HdaCodec::k_address;  // the codec asks for its address as the link comes up (4.3)
    }
    m_gctl = gctl;
    if ((written.value & k_gctl_fcntrl) != 0) {
        m_gsts |= k_gsts_fsts;  // there is nothing that a flush would have to wait for
    }
}

void HdaController::write_ssync(RegisterWrite written) {
    advance_streams();
    m_ssync = written.over(m_ssync, k_int_streams);
    for (HdaStream& stream : m_streams) {
        stream.hold((m_ssync >> stream.index() & 1) != 0);
    }
    advance_streams();
}

}  // namespace skep
