// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/audio/hda_controller.hpp"

#include <algorithm>

#include "vmm/base/bits.hpp"

namespace skep {

using namespace hda;

namespace {

constexpr unsigned k_hdbar = 0;
constexpr unsigned k_hdctl = 0x40;  // ICH9 data sheet, 18.1: the link is in HD audio mode
constexpr unsigned k_tcsel = 0x44;  // traffic class of requests: kept
constexpr unsigned k_msi = 0x60;    // drivers of this controller write to TCSEL unasked: no capability may lie there
constexpr uint32_t k_codecs = 1U << HdaCodec::k_address;
constexpr uint32_t k_position_base_mask = ~0x7fU;

// INTB: in slot 27 this pin is named alike by SeaBIOS and by the bus; see devices/pci/intx.hpp.
constexpr PciIdentity k_identity{
    .vendor = 0x8086, .device = 0x293e, .class_code = 0x040300, .revision = 2, .pin = IntxPin::b};

}  // namespace

HdaController::HdaController(DeviceContext& context, std::shared_ptr<SoundBackend> host)
    : PciFunction(context, "hda0", k_pci_address, k_identity),
      m_link(std::move(host)),
      m_commands({context.memory, guest_errors(), m_link.codec(), [this] { return bus_master(); }}),
      m_timer(context.clock.make_timer([this] { on_timer(); })) {
    add_bar({.index = k_hdbar, .kind = BarKind::memory64, .size = k_bar_size});
    add_msi(1, k_msi);
    define8(k_hdctl, 1, 0);
    define8(k_tcsel, 0, 7);
    for (unsigned index = 0; index < k_streams; ++index) {
        m_streams.emplace_back(HdaStream::Controller{context.memory, guest_errors(), context.clock}, index,
                               index < k_input_streams ? HdaDirection::input : HdaDirection::output);
    }
}

HdaController::~HdaController() { m_timer->cancel(); }

void HdaController::reset() {
    m_timer->cancel();
    PciFunction::reset();
    const std::lock_guard lock(gate());
    m_wakeen = 0;
    m_statests = 0;
    link_reset();
}

// 3.3.7: what CRST leaves as it is are WAKEEN and STATESTS, which wait for codecs that wake the machine.
void HdaController::link_reset() {
    m_gctl = 0;
    m_gsts = 0;
    m_intctl = 0;
    m_ssync = 0;
    m_dplbase = 0;
    m_dpubase = 0;
    m_wall_zero = context().clock.now();
    m_commands.reset();
    m_link.disconnect();
    m_link.codec().reset();
    for (HdaStream& stream : m_streams) {
        stream.reset();
    }
    m_signalled = 0;
    set_intx(false);
}

void HdaController::pause() {
    {
        const std::lock_guard lock(gate());
        m_paused = true;
    }
    m_timer->cancel();
}

void HdaController::resume() {
    const std::lock_guard lock(gate());
    m_paused = false;
    schedule();
}

void HdaController::bus_master_allowed() {
    m_commands.run();
    advance_streams();
}

uint32_t HdaController::wall_clock() const {
    const Nanoseconds passed = context().clock.now() - std::min(m_wall_zero, context().clock.now());
    return static_cast<uint32_t>(passed / 1000 * (k_wall_clock_hz / 1'000'000) +
                                 passed % 1000 * (k_wall_clock_hz / 1'000'000) / 1000);
}

void HdaController::advance_streams() {
    if (!bus_master()) {
        return;
    }
    for (HdaStream& stream : m_streams) {
        const uint32_t before = stream.position();
        m_link.advance(stream);
        if (stream.position() != before) {
            write_position(stream);
        }
    }
    update_interrupts();
    schedule();
}

void HdaController::write_position(const HdaStream& stream) {
    if ((m_dplbase & k_dplbase_enable) == 0) {
        return;
    }
    const GuestAddress buffer = uint64_t{m_dpubase} << 32 | (m_dplbase & k_position_base_mask);
    if (!context().memory.write_value(buffer + uint64_t{stream.index()} * k_position_size, stream.position())) {
        guest_errors().report("the DMA position buffer is not in memory");
    }
}

void HdaController::schedule() {
    Nanoseconds next = ~Nanoseconds{0};
    for (const HdaStream& stream : m_streams) {
        if (stream.running()) {
            next = std::min(next, stream.next_look());
        }
    }
    if (next == ~Nanoseconds{0} || m_paused || !bus_master()) {
        m_timer->disarm();
    } else {
        m_timer->arm(next);
    }
}

void HdaController::on_timer() {
    const std::lock_guard lock(gate());
    if (!m_paused) {
        advance_streams();
    }
}

uint32_t HdaController::interrupt_status() const {
    uint32_t status = 0;
    for (const HdaStream& stream : m_streams) {
        status |= stream.interrupt_pending() ? 1U << stream.index() : 0;
    }
    const bool state_change = (m_statests & m_wakeen) != 0;
    return status | (state_change || m_commands.interrupt_pending() ? k_int_cie : 0);
}

// A message goes out for every new cause, and when the driver has acknowledged some cause while another is left: the
// pin would still be low then, a message would be missing.
void HdaController::update_interrupts(Acknowledged acknowledged) {
    const uint32_t enabled = (m_intctl & k_int_gie) != 0 ? interrupt_status() & m_intctl : 0;
    const bool fresh = (enabled & ~m_signalled) != 0;
    m_signalled = enabled;
    set_intx(enabled != 0);
    if (fresh || (enabled != 0 && acknowledged == Acknowledged::yes)) {
        notify_message(0);
    }
}

void HdaController::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section("hda0", 1);
    for (const uint32_t value : {m_gctl, m_wakeen, m_statests, m_gsts, m_intctl, m_ssync, m_dplbase, m_dpubase, m_signalled}) {
        writer.put(value);
    }
    writer.put(m_wall_zero);
    m_link.codec().save(writer);
    m_commands.save(writer);
    for (const HdaStream& stream : m_streams) {
        stream.save(writer);
    }
}

void HdaController::load(StateReader& reader) {
    PciFunction::load(reader);
    const std::lock_guard lock(gate());
    reader.section("hda0", 1);
    const auto take = [&reader](uint32_t& to, uint32_t valid) { to = reader.get<uint32_t>() & valid; };
    take(m_gctl, k_gctl_crst | k_gctl_unsol);
    take(m_wakeen, k_codecs);
    take(m_statests, k_codecs);
    take(m_gsts, k_gsts_fsts);
    take(m_intctl, k_int_gie | k_int_cie | k_int_streams);
    take(m_ssync, k_int_streams);
    take(m_dplbase, k_position_base_mask | k_dplbase_enable);
    take(m_dpubase, ~0U);
    take(m_signalled, k_int_cie | k_int_streams);
    reader.get(m_wall_zero);
    m_link.disconnect();
    m_link.codec().load(reader);
    m_commands.load(reader);
    for (HdaStream& stream : m_streams) {
        stream.load(reader);
    }
    schedule();
}

}  // namespace skep
