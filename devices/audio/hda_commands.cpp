// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/audio/hda_commands.hpp"

#include <array>

#include "devices/audio/hda_regs.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace hda;

namespace {

constexpr uint32_t k_corbctl_writable = k_corbctl_cmeie | k_corbctl_run;
constexpr uint32_t k_rirbctl_writable = k_rirbctl_rintctl | k_rirbctl_dmaen | k_rirbctl_rirboic;
constexpr uint32_t k_rirbsts_clearable = k_rirbsts_rintfl | k_rirbsts_rirbois;
constexpr uint32_t k_response_size = 8;

}  // namespace

void HdaCommands::reset() { m_regs = {}; }

uint32_t HdaCommands::read(unsigned reg) const {
    switch (reg) {
        case k_corblbase: return m_regs.corblbase;
        case k_corbubase: return m_regs.corbubase;
        case k_corbwp: return m_regs.corbwp;
        case k_corbrp: return m_regs.corbrp;
        case k_corbctl: return m_regs.corbctl;
        case k_corbsts: return m_regs.corbsts;
        case k_corbsize:
        case k_rirbsize: return k_ring_size_value;
        case k_rirblbase: return m_regs.rirblbase;
        case k_rirbubase: return m_regs.rirbubase;
        case k_rirbwp: return m_regs.rirbwp;
        case k_rintcnt: return m_regs.rintcnt;
        case k_rirbctl: return m_regs.rirbctl;
        case k_rirbsts: return m_regs.rirbsts;
        case k_icoi: return m_regs.icoi;
        case k_icii: return m_regs.icii;
        case k_icis: return m_regs.icis;
        default: return 0;
    }
}

void HdaCommands::write(unsigned reg, RegisterWrite written) {
    if (reg == k_icoi) {
        m_regs.icoi = written.over(m_regs.icoi, ~0U);
    } else if (reg == k_icis) {
        write_immediate_status(written);
    } else if (reg >= k_rirblbase) {
        write_rirb(reg, written);
    } else {
        write_corb(reg, written);
        run();
    }
}

void HdaCommands::write_corb(unsigned reg, RegisterWrite written) {
    switch (reg) {
        case k_corblbase: m_regs.corblbase = written.over(m_regs.corblbase, k_ring_base_mask); break;
        case k_corbubase: m_regs.corbubase = written.over(m_regs.corbubase, ~0U); break;
        case k_corbwp: m_regs.corbwp = written.over(m_regs.corbwp, k_pointer_mask); break;
        case k_corbrp:
            // The reset bit stays until the driver takes it away, so that it can see that the reset was done (3.3.19).
            m_regs.corbrp = written.over(m_regs.corbrp, k_pointer_rst);
            if ((m_regs.corbrp & k_pointer_rst) != 0) {
                m_regs.corbrp = k_pointer_rst;
            }
            break;
        case k_corbctl: m_regs.corbctl = written.over(m_regs.corbctl, k_corbctl_writable); break;
        case k_corbsts: m_regs.corbsts &= ~(written.value & k_corbsts_cmei); break;
        default: break;
    }
}

void HdaCommands::write_rirb(unsigned reg, RegisterWrite written) {
    switch (reg) {
        case k_rirblbase: m_regs.rirblbase = written.over(m_regs.rirblbase, k_ring_base_mask); break;
        case k_rirbubase: m_regs.rirbubase = written.over(m_regs.rirbubase, ~0U); break;
        case k_rirbwp:
            if ((written.value & k_pointer_rst) != 0) {
                m_regs.rirbwp = 0;
            }
            break;
        case k_rintcnt: m_regs.rintcnt = written.over(m_regs.rintcnt, 0xff); break;
        case k_rirbctl: m_regs.rirbctl = written.over(m_regs.rirbctl, k_rirbctl_writable); break;
        case k_rirbsts: m_regs.rirbsts &= ~(written.value & k_rirbsts_clearable); break;
        default: break;
    }
}

// 3.4.3: a written ICB sends the command; it is answered before the driver can look.
void HdaCommands::write_immediate_status(RegisterWrite written) {
    m_regs.icis &= ~(written.value & k_icis_irv);
    if ((written.value & k_icis_icb) == 0) {
        return;
    }
    m_regs.icis &= ~k_icis_irv;
    if (const auto response = execute(m_regs.icoi)) {
        m_regs.icii = *response;
        m_regs.icis |= k_icis_irv;
    }
}

// Nothing when no codec has this address: then no response comes.
std::optional<uint32_t> HdaCommands::execute(uint32_t command) {
    const auto address = bits(command, 28, 4);
    if (address != HdaCodec::k_address) {
        m_controller.errors.report("a command for codec {}, which is not there", address);
        return std::nullopt;
    }
    return m_controller.codec.execute(static_cast<uint32_t>(bits(command, 0, 28)));
}

void HdaCommands::respond(uint32_t response) {
    if ((m_regs.rirbctl & k_rirbctl_dmaen) == 0) {
        return;
    }
    m_regs.rirbwp = (m_regs.rirbwp + 1) & k_pointer_mask;
    const GuestAddress entry = (uint64_t{m_regs.rirbubase} << 32 | m_regs.rirblbase) + uint64_t{m_regs.rirbwp} * k_response_size;
    const std::array<uint32_t, 2> words{response, HdaCodec::k_address};
    if (!m_controller.memory.write(entry, words.data(), sizeof words)) {
        m_controller.errors.report("the RIRB is not in memory");
        m_regs.rirbsts |= k_rirbsts_rirbois;
    }
    m_regs.rirbsts |= k_rirbsts_rintfl;
}

// At most as many commands as the ring holds. RINTCNT needs no counting: an interrupt also comes when the link has no
// further response (3.3.28), and here that is at the end of the same access.
void HdaCommands::run() {
    while ((m_regs.corbctl & k_corbctl_run) != 0 && (m_regs.corbrp & k_pointer_rst) == 0 && m_regs.corbrp != m_regs.corbwp &&
           m_controller.may_dma()) {
        const uint32_t next = (m_regs.corbrp + 1) & k_pointer_mask;
        const GuestAddress ring = uint64_t{m_regs.corbubase} << 32 | m_regs.corblbase;
        const auto command = m_controller.memory.read_value<uint32_t>(ring + uint64_t{next} * sizeof(uint32_t));
        if (!command) {
            m_controller.errors.report("the CORB is not in memory");
            m_regs.corbsts |= k_corbsts_cmei;
            m_regs.corbctl &= ~k_corbctl_run;
            return;
        }
        m_regs.corbrp = next;
        if (const auto response = execute(*command)) {
            respond(*response);
        }
    }
}

bool HdaCommands::interrupt_pending() const {
    const bool response = (m_regs.rirbctl & k_rirbctl_rintctl) != 0 && (m_regs.rirbsts & k_rirbsts_rintfl) != 0;
    const bool overrun = (m_regs.rirbctl & k_rirbctl_rirboic) != 0 && (m_regs.rirbsts & k_rirbsts_rirbois) != 0;
    const bool memory_error = (m_regs.corbctl & k_corbctl_cmeie) != 0 && (m_regs.corbsts & k_corbsts_cmei) != 0;
    return response || overrun || memory_error;
}

void HdaCommands::save(StateWriter& writer) const {
    for (const uint32_t value : {m_regs.corblbase, m_regs.corbubase, m_regs.corbwp, m_regs.corbrp, m_regs.corbctl,
                                 m_regs.corbsts, m_regs.rirblbase, m_regs.rirbubase, m_regs.rirbwp, m_regs.rintcnt,
                                 m_regs.rirbctl, m_regs.rirbsts, m_regs.icoi, m_regs.icii, m_regs.icis}) {
        writer.put(value);
    }
}

void HdaCommands::load(StateReader& reader) {
    const auto take = [&reader](uint32_t& to, uint32_t valid) { to = reader.get<uint32_t>() & valid; };
    take(m_regs.corblbase, k_ring_base_mask);
    take(m_regs.corbubase, ~0U);
    take(m_regs.corbwp, k_pointer_mask);
    take(m_regs.corbrp, k_pointer_mask | k_pointer_rst);
    take(m_regs.corbctl, k_corbctl_writable);
    take(m_regs.corbsts, k_corbsts_cmei);
    take(m_regs.rirblbase, k_ring_base_mask);
    take(m_regs.rirbubase, ~0U);
    take(m_regs.rirbwp, k_pointer_mask);
    take(m_regs.rintcnt, 0xff);
    take(m_regs.rirbctl, k_rirbctl_writable);
    take(m_regs.rirbsts, k_rirbsts_clearable);
    take(m_regs.icoi, ~0U);
    take(m_regs.icii, ~0U);
    take(m_regs.icis, k_icis_irv);
}

}  // namespace skep
