// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/storage/ahci_controller.hpp"

#include <algorithm>

#include "devices/block/block_requests.hpp"
#include "devices/storage/atapi_cd.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace ahci;

namespace {

constexpr unsigned k_abar = 5;
constexpr uint32_t k_all_ports = (1U << k_port_count) - 1;

// INTB, as the ICH9's D31IP register says after reset; see devices/pci/intx.hpp for why that matters.
constexpr PciIdentity k_identity{
    .vendor = 0x8086, .device = 0x2922, .class_code = 0x010601, .revision = 2, .pin = IntxPin::b};

}  // namespace

AhciController::AhciController(DeviceContext& context) : PciFunction(context, "ahci0", {0x1f, 2}, k_identity) {
    add_bar({.index = k_abar, .kind = BarKind::memory32, .size = k_abar_size, .min_width = 4, .max_width = 4});
    add_msi();
    for (unsigned i = 0; i < k_port_count; ++i) {
        m_ports[i] = std::make_unique<AhciPort>(
            i, AhciPort::Controller{context.memory, gate(), guest_errors(), [this] { return bus_master(); },
                                    [this] { collect_interrupts(); }, [this] { finish_hba_reset(); }});
    }
}

// Completions refer to the ports: none may be left.
AhciController::~AhciController() { quiesce(Held::cancel); }

void AhciController::attach_disk(unsigned port, std::shared_ptr<BlockBackend> backend, DiskIdentity identity) {
    watch_space(*backend);
    m_ports[port]->attach(std::make_unique<AtaDisk>(*m_ports[port], std::move(backend), std::move(identity)));
}

void AhciController::attach_cd(unsigned port, std::shared_ptr<BlockBackend> medium) {
    m_ports[port]->attach(std::make_unique<AtapiCd>(*m_ports[port], std::move(medium)));
}

void AhciController::watch_space(BlockBackend& backend) {
    backend.set_on_no_space([this](const std::string& sentence) {
        context().machine.request(MachineRequest::pause_no_space, 0, sentence);
    });
}

bool AhciController::change_cd(unsigned port, std::shared_ptr<BlockBackend> medium) {
    auto* drive = port < k_port_count ? dynamic_cast<AtapiCd*>(m_ports[port]->device()) : nullptr;
    if (drive == nullptr) {
        return false;
    }
    std::shared_ptr<BlockBackend> old;
    {
        const std::lock_guard lock(gate());
        old = drive->change_medium(std::move(medium));
    }
    if (old) {
        old->drain();
    }
    return true;
}

uint32_t AhciController::read_register(unsigned offset) const {
    if (offset >= k_ports_start) {
        const unsigned port = (offset - k_ports_start) / k_port_size;
        return port < k_port_count ? m_ports[port]->read((offset - k_ports_start) % k_port_size) : 0;
    }
    switch (offset) {
        case k_cap: return k_cap_value;
        case k_ghc: return m_ghc;
        case k_is: return m_is;
        case k_pi: return k_all_ports;
        case k_vs: return k_version;
        default: return 0;
    }
}

void AhciController::write_register(unsigned offset, uint32_t value) {
    if (offset >= k_ports_start) {
        const unsigned port = (offset - k_ports_start) / k_port_size;
        if (port < k_port_count) {
            m_ports[port]->write((offset - k_ports_start) % k_port_size, value);
        }
    } else if (offset == k_ghc) {
        write_ghc(value);
    } else if (offset == k_is) {
        // What is still pending sets its bit again, and a message says so (10.6.2.2).
        m_is = (m_is & ~value) | pending_ports();
        const bool asserted = m_is != 0 && (m_ghc & k_ghc_ie) != 0;
        set_intx(asserted);
        if (asserted) {
            notify_message(0);
        }
    }
}

void AhciController::write_ghc(uint32_t value) {
    if ((value & k_ghc_hr) != 0) {
        hba_reset();
        return;
    }
    const bool enabled_before = (m_ghc & k_ghc_ie) != 0;
    m_ghc = k_ghc_ae | (value & k_ghc_ie) | (m_ghc & k_ghc_hr);
    set_intx((m_ghc & k_ghc_ie) != 0 && m_is != 0);
    if (!enabled_before && (m_ghc & k_ghc_ie) != 0 && m_is != 0) {
        notify_message(0);
    }
}

// GHC.HR reads as set until the host's I/O for the commands given up has ended: their data must not arrive in memory
// that the guest has put to another use.
void AhciController::hba_reset() {
    m_ghc = k_ghc_ae | k_ghc_hr;
    m_is = 0;
    for (const auto& port : m_ports) {
        port->reset(AhciPort::ResetKind::hba);
    }
    set_intx(false);
    finish_hba_reset();
}

void AhciController::finish_hba_reset() {
    if (std::none_of(m_ports.begin(), m_ports.end(), [](const auto& port) { return port->has_orphans(); })) {
        m_ghc &= ~k_ghc_hr;
    }
}

uint32_t AhciController::pending_ports() const {
    uint32_t pending = 0;
    for (unsigned i = 0; i < k_port_count; ++i) {
        pending |= m_ports[i]->interrupt_pending() ? 1U << i : 0;
    }
    return pending;
}

void AhciController::collect_interrupts() {
    const uint32_t pending = pending_ports();
    const bool fresh = (pending & ~m_is) != 0;
    m_is |= pending;
    const bool enabled = (m_ghc & k_ghc_ie) != 0;
    set_intx(enabled && m_is != 0);
    if (enabled && fresh) {
        notify_message(0);
    }
}

// The registers are dwords (3): a crossing read sees parts of two, a crossing write is not for anybody.
uint64_t AhciController::bar_read(unsigned /*bar*/, uint64_t offset, unsigned /*size*/) {
    const auto aligned = static_cast<unsigned>(offset) & ~3U;
    const unsigned shift = static_cast<unsigned>(offset & 3) * 8;
    const uint64_t low = read_register(aligned) >> shift;
    return shift == 0 ? low : low | bits(uint64_t{read_register(aligned + 4)} << (32 - shift), 0, 32);
}

void AhciController::bar_write(unsigned /*bar*/, uint64_t offset, unsigned /*size*/, uint64_t value) {
    if (offset % 4 != 0) {
        guest_errors().report("a write across two registers at {:#x}", offset);
        return;
    }
    write_register(static_cast<unsigned>(offset), static_cast<uint32_t>(value));
}

void AhciController::bus_master_allowed() {
    for (const auto& port : m_ports) {
        port->kick();
    }
}

void AhciController::quiesce(Held held) {
    {
        const std::lock_guard lock(gate());
        for (const auto& port : m_ports) {
            port->stop_intake();
        }
    }
    for (const auto& port : m_ports) {
        const std::shared_ptr<BlockBackend> backend = port->device() != nullptr ? port->device()->backend() : nullptr;
        if (backend) {
            held == Held::cancel ? finish_all(*backend) : backend->drain();
        }
    }
}

void AhciController::reset() {
    quiesce(Held::cancel);
    PciFunction::reset();
    const std::lock_guard lock(gate());
    m_ghc = k_ghc_ae;
    m_is = 0;
    for (const auto& port : m_ports) {
        port->reset(AhciPort::ResetKind::power_on);
    }
    set_intx(false);
}

void AhciController::pause() { quiesce(Held::keep); }

void AhciController::resume() {
    const std::lock_guard lock(gate());
    for (const auto& port : m_ports) {
        port->resume();
    }
}

void AhciController::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section("ahci0", 1);
    writer.put(m_ghc);
    writer.put(m_is);
    for (const auto& port : m_ports) {
        port->save(writer);
    }
}

void AhciController::load(StateReader& reader) {
    quiesce(Held::cancel);
    PciFunction::load(reader);
    const std::lock_guard lock(gate());
    reader.section("ahci0", 1);
    m_ghc = k_ghc_ae | (reader.get<uint32_t>() & k_ghc_ie);
    m_is = reader.get<uint32_t>() & k_all_ports;
    for (const auto& port : m_ports) {
        port->load(reader);
    }
}

}  // namespace skep
