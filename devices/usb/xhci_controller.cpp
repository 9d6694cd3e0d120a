// SPDX-License-Identifier: GPL-3.0-or-later
// The controller's life, its interrupts, and which ring is looked at when.
#include "devices/usb/xhci_controller.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/bits.hpp"

namespace skep {

using namespace xhci;

namespace {

constexpr unsigned k_mmio = 0;
constexpr unsigned k_msix_bar = k_mmio;
// Drivers know this one as a controller without quirks. INTA: see devices/pci/intx.hpp for slots from 25 on.
constexpr PciIdentity k_identity{
    .vendor = 0x1b36, .device = 0x000d, .class_code = 0x0c0330, .revision = 1, .pin = IntxPin::a};
constexpr unsigned k_sbrn = 0x60;  // serial bus release number (5.2.3)
constexpr unsigned k_fladj = 0x61;
constexpr unsigned k_dbesl = 0x62;
constexpr unsigned k_capabilities = 0x70;

constexpr unsigned k_budget = 512;  // transfers and commands at a time
constexpr Nanoseconds k_microframe = 125'000;

}  // namespace

XhciController::XhciController(DeviceContext& context)
    : PciFunction(context, "xhci0", k_pci_address, k_identity),
      m_port_hooks{[this](unsigned port) { port_changed(port); }, [this](unsigned port) { wake_port(port); }},
      m_endpoint_hooks{context.memory, guest_errors(),
                       [this](unsigned interrupter, Trb event, Urgency urgency) { post(interrupter, event, urgency); },
                       [this] { return events_blocked(); }},
      m_timer(context.clock.make_timer([this] {
          const std::lock_guard lock(gate());
          process();
      })) {
    add_bar({.index = k_mmio, .kind = BarKind::memory64, .size = k_bar_size, .min_width = 4, .max_width = 4});
    add_msi(1, k_capabilities);
    add_msix(k_interrupters, k_msix_bar, k_msix_table, k_msix_pending);
    define8(k_sbrn, 0x30, 0);
    define8(k_fladj, 0x20, 0x3f);
    define8(k_dbesl, 0, 0);
    for (unsigned index = 0; index < k_interrupters; ++index) {
        m_interrupters.emplace_back(index, Interrupter::Controller{context.memory, guest_errors(),
                                                                   [this](unsigned which) { interrupt_pending(which); },
                                                                   [this](unsigned which) { update_interrupt(which); }});
    }
    for (unsigned port = 0; port <= k_ports; ++port) {
        m_handles.emplace_back(*this, port);
        if (port != 0) {
            m_ports.emplace_back(port, m_port_hooks);
        }
    }
    for (unsigned slot = 1; slot <= k_slots; ++slot) {
        m_slots.emplace_back(slot, m_endpoint_hooks);
    }
}

XhciController::~XhciController() {
    m_timer->cancel();
    for (unsigned port = 1; port <= k_ports; ++port) {
        unplug(port);
    }
}

// --- devices come and go --------------------------------------------------------------------------------------------------

Result<unsigned> XhciController::plug(std::unique_ptr<UsbDevice> device) {
    const bool usb3 = device->speed() == UsbSpeed::super;
    const unsigned first = usb3 ? k_usb2_ports + 1 : 1;
    const unsigned last = usb3 ? k_ports : k_usb2_ports;
    for (unsigned port = first; port <= last; ++port) {
        if (m_devices[port]) {
            continue;
        }
        device->plug(m_handles[port]);
        const std::lock_guard lock(gate());
        m_devices[port] = std::move(device);
        m_devices[port]->reset();
        m_ports[port - 1].connect(m_devices[port].get());
        return port;
    }
    return fail(ErrorKind::no_space, "All {} USB ports of the machine are taken; take a device out first.", last - first + 1);
}

std::unique_ptr<UsbDevice> XhciController::unplug(unsigned port) {
    if (!m_devices[port]) {
        return nullptr;
    }
    {
        const std::lock_guard lock(gate());
        m_ports[port - 1].connect(nullptr);
        for (Slot& slot : m_slots) {
            for (unsigned index = 1; index < k_endpoints && slot.port() == port; ++index) {
                if (Endpoint* const endpoint = slot.endpoint(index)) {
                    endpoint->disconnected();
                }
            }
        }
    }
    std::unique_ptr<UsbDevice> device = std::move(m_devices[port]);
    device->unplug();
    return device;
}

// --- life --------------------------------------------------------------------------------------------------------------------

void XhciController::reset() {
    m_timer->cancel();
    bool paused = false;
    {
        const std::lock_guard lock(gate());
        paused = std::exchange(m_paused, true);  // what completes now starts nothing new
    }
    for (const auto& device : m_devices) {
        if (device) {
            device->cancel_held();
        }
    }
    PciFunction::reset();
    const std::lock_guard lock(gate());
    controller_reset();
    m_paused = paused;
}

// 4.2, 5.4.1: HCRST, and power-on.
void XhciController::controller_reset() {
    m_usbcmd = 0;
    m_usbsts = k_sts_hch;
    m_dnctrl = 0;
    m_dcbaap = 0;
    m_config = 0;
    m_commands = {};
    m_commands_run = false;
    m_commands_due = false;
    m_due.fill(0);
    for (Interrupter& interrupter : m_interrupters) {
        interrupter.reset();
    }
    for (Slot& slot : m_slots) {
        slot.disable();
    }
    for (RootPort& port : m_ports) {
        port.reset();
    }
    set_intx(false);
}

void XhciController::pause() {
    {
        const std::lock_guard lock(gate());
        m_paused = true;
    }
    m_timer->cancel();
    for (const auto& device : m_devices) {
        if (device) {
            device->drain();
        }
    }
}

void XhciController::resume() {
    const std::lock_guard lock(gate());
    m_paused = false;
    process();
}

void XhciController::bus_master_allowed() {
    process();
}

// --- interrupts ------------------------------------------------------------------------------------------------------------------

void XhciController::interrupt_pending(unsigned index) {
    m_usbsts |= k_sts_eint;
    update_interrupt(index);
}

// 4.17.5: messages acknowledge themselves; the pin stands for the first interrupter.
void XhciController::update_interrupt(unsigned index) {
    Interrupter& interrupter = m_interrupters[index];
    const bool asserted = interrupter.asserted() && (m_usbcmd & k_cmd_inte) != 0;
    if (msi_enabled() || msix_enabled()) {
        if (asserted) {
            interrupter.acknowledge();
            notify_message(msix_enabled() ? index : 0);
        }
        set_intx(false);
    } else if (index == 0) {
        set_intx(asserted);
    }
}

bool XhciController::events_blocked() const {
    return std::any_of(m_interrupters.begin(), m_interrupters.end(), [](const Interrupter& each) { return each.blocked(); });
}

void XhciController::post(unsigned interrupter, Trb event, Urgency urgency) {
    if (interrupter >= k_interrupters) {
        guest_errors().report("an event for interrupter {}, which is not there", interrupter);
        return;
    }
    m_interrupters[interrupter].post(event, urgency);
}

void XhciController::port_changed(unsigned port) {
    m_usbsts |= k_sts_pcd;
    if ((m_usbcmd & k_cmd_rs) != 0 && bus_master()) {
        post(0, {.parameter = uint64_t{port} << 24,
                 .status = uint32_t{k_success} << 24,
                 .control = trb_type_bits(k_trb_port_status_change)},
             Urgency::interrupt);
    }
}

// --- work ---------------------------------------------------------------------------------------------------------------------------

bool XhciController::may_run() const { return (m_usbcmd & k_cmd_rs) != 0 && bus_master() && !m_paused; }

void XhciController::wake(unsigned port, uint8_t endpoint) {
    RootPort& root = m_ports[port - 1];
    if (root.suspended()) {
        if (root.device() != nullptr && root.device()->may_wake_host()) {
            root.wake();
        }
        return;  // everything is looked at when the link is up
    }
    for (unsigned index = 0; index < k_slots; ++index) {
        if (m_slots[index].port() == port) {
            const unsigned number = endpoint & 0xf;
            set_due(index + 1, number == 0 ? 1 : number * 2 + ((endpoint & k_usb_in) != 0 ? 1 : 0));
        }
    }
    process();
}

void XhciController::wake_port(unsigned port) {
    for (unsigned index = 0; index < k_slots; ++index) {
        if (m_slots[index].port() == port) {
            m_due[index + 1] = ~1U;
        }
    }
    process();
}

bool XhciController::endpoint_runs(unsigned port, uint8_t address) const {
    if ((m_usbcmd & k_cmd_rs) == 0) {
        return false;
    }
    return std::any_of(m_slots.begin(), m_slots.end(), [&](const Slot& slot) {
        const Endpoint* const endpoint = slot.port() == port ? slot.endpoint_at(address) : nullptr;
        return endpoint != nullptr && endpoint->state() == k_ep_running;
    });
}

void XhciController::all_due() {
    m_commands_due = m_commands_run;
    m_due.fill(~1U);
}

// Devices may call wake() while they are served: that is noted and done in the same loop.
void XhciController::process() {
    if (m_processing || !may_run()) {
        return;
    }
    m_processing = true;
    unsigned budget = k_budget;
    bool again = true;
    while (again && !events_blocked()) {
        if (m_commands_due) {
            run_commands(budget);
        }
        again = run_endpoints(budget) && budget != 0;
    }
    m_processing = false;
    if (budget == 0 && !events_blocked()) {
        m_timer->arm(context().clock.now() + k_microframe);
    }
}

// One pass over what is due; true when there was something.
bool XhciController::run_endpoints(unsigned& budget) {
    bool any = false;
    for (unsigned number = 1; number <= k_slots; ++number) {
        Slot& slot = m_slots[number - 1];
        RootPort* const port = port_of(slot);
        uint32_t due = m_due[number];
        if (due == 0) {
            continue;
        }
        m_due[number] = 0;
        for (unsigned index = 1; index < k_endpoints && port != nullptr && !port->suspended(); ++index) {
            Endpoint* const endpoint = (due & 1U << index) != 0 ? slot.endpoint(index) : nullptr;
            if (endpoint == nullptr) {
                continue;
            }
            any = true;
            if (!endpoint->run(port->enabled_device(), budget) || events_blocked()) {
                set_due(number, index);
            }
        }
    }
    return any;
}

// --- saved state ------------------------------------------------------------------------------------------------------------------------

void XhciController::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section("xhci0", 1);
    writer.put(m_usbcmd);
    writer.put(m_usbsts);
    writer.put(m_dnctrl);
    writer.put(m_dcbaap);
    writer.put(m_config);
    writer.put(m_commands.packed());
    writer.put(static_cast<uint8_t>(m_commands_run ? 1 : 0));
    writer.put(m_frame_zero);
    for (const Interrupter& interrupter : m_interrupters) {
        interrupter.save(writer);
    }
    for (const RootPort& port : m_ports) {
        port.save(writer);
    }
    for (const Slot& slot : m_slots) {
        slot.save(writer);
    }
    for (const auto& device : m_devices) {
        if (device) {
            writer.put_string(device->kind());
            device->save(writer);
        }
    }
}

void XhciController::load(StateReader& reader) {
    for (const auto& device : m_devices) {
        if (device) {
            device->cancel_held();
        }
    }
    PciFunction::load(reader);
    const std::lock_guard lock(gate());
    reader.section("xhci0", 1);
    m_usbcmd = reader.get<uint32_t>() & k_cmd_kept;
    m_usbsts = (reader.get<uint32_t>() & k_sts_write_one_clears) | ((m_usbcmd & k_cmd_rs) == 0 ? k_sts_hch : 0);
    reader.get(m_dnctrl);
    m_dcbaap = reader.get<uint64_t>() & ~uint64_t{0x3f};
    m_config = reader.get<uint32_t>() & 0x3ff;
    m_commands = RingPosition::unpack(reader.get<uint64_t>());
    m_commands_run = reader.get<uint8_t>() != 0;
    reader.get(m_frame_zero);
    for (Interrupter& interrupter : m_interrupters) {
        interrupter.load(reader);
    }
    for (RootPort& port : m_ports) {
        port.load(reader);
    }
    for (Slot& slot : m_slots) {
        slot.load(reader);
    }
    for (const auto& device : m_devices) {
        if (!device) {
            continue;
        }
        if (reader.get_string() != device->kind()) {
            reader.fail("another device is in a USB port than was when the state was saved");
            return;
        }
        device->load(reader);
    }
    all_due();  // what was under way is in the rings
}

}  // namespace skep
