// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/usb/xhci_endpoint.hpp"

#include <algorithm>
#include <cstring>

namespace skep::xhci {
namespace {

constexpr size_t k_most_trbs = 4096;      // of one transfer
constexpr uint32_t k_most_setup_data = 0xffff;
constexpr uint32_t k_state_mask = 7;      // of word 0
constexpr unsigned k_type_shift = 3;      // of word 1
constexpr unsigned k_immediate_bytes = 8;

bool carries_data(const Trb& trb) { return trb.type() == k_trb_normal || trb.type() == k_trb_data; }

}  // namespace

// --- context and state (4.8.3) ----------------------------------------------------------------------------------------

bool Endpoint::configure(const Context& input) {
    const auto type = static_cast<uint8_t>(input.words[1] >> k_type_shift & 7);
    const bool fits = m_index == 1 ? type == k_ep_control
                                   : type != 0 && type != k_ep_control && (type > k_ep_control) == (m_index % 2 != 0);
    const bool streams = (input.words[0] >> 10 & 0x1f) != 0;
    if (!fits || streams) {
        m_controller.guest_errors.report("slot {}, endpoint {}: no endpoint of type {} can be there", m_slot, m_index, type);
        return false;
    }
    m_words = input;
    m_type = type;
    m_dequeue = RingPosition::unpack(input.words[2] | uint64_t{input.words[3]} << 32);
    m_moved = 0;
    m_current.reset();
    end_control();
    set_state(k_ep_running);
    return true;
}

void Endpoint::disable() {
    m_current.reset();
    m_moved = 0;
    set_state(k_ep_disabled);
}

void Endpoint::end_control() {
    m_stage = Stage::none;
    m_data.clear();
    m_data_moved = 0;
}

void Endpoint::set_max_packet_size(uint32_t size) {
    m_words.words[1] = (m_words.words[1] & 0xffff) | size << 16;
    write_context();
}

void Endpoint::set_state(EndpointState state) {
    m_state = state;
    write_context();
}

void Endpoint::write_context() {
    if (m_context == 0) {
        return;
    }
    Context output = m_words;
    output.words[0] = (output.words[0] & ~k_state_mask) | m_state;
    output.words[2] = static_cast<uint32_t>(m_dequeue.packed());
    output.words[3] = static_cast<uint32_t>(m_dequeue.address >> 32);
    if (!m_controller.memory.write_value(m_context, output)) {
        m_controller.guest_errors.report("slot {}: the device context at {:#x} is not memory", m_slot, m_context);
    }
}

void Endpoint::ring_doorbell() {
    if (m_state == k_ep_stopped) {
        set_state(k_ep_running);
    }
}

// 4.6.9. A transfer that has begun is told of, so that the driver knows how far it got; the doorbell takes it up again.
Completion Endpoint::stop() {
    if (m_state != k_ep_running) {
        return k_context_state_error;
    }
    if (m_current) {
        uint64_t left = m_moved;
        for (const FetchedTrb& each : m_current->trbs) {
            if (carries_data(each.trb) && left < each.trb.length()) {
                post(each.trb, each.address, k_stopped, each.trb.length() - static_cast<uint32_t>(left));
                break;
            }
            left -= carries_data(each.trb) ? each.trb.length() : 0;
        }
    }
    m_current.reset();  // the driver may change what is in the ring now
    set_state(k_ep_stopped);
    return k_success;
}

Completion Endpoint::reset() {
    if (m_state != k_ep_halted) {
        return k_context_state_error;
    }
    end_control();
    set_state(k_ep_stopped);
    return k_success;
}

Completion Endpoint::set_dequeue(RingPosition position) {
    if (m_state != k_ep_stopped && m_state != k_ep_error) {
        return k_context_state_error;
    }
    m_dequeue = position;
    m_moved = 0;
    m_current.reset();
    end_control();
    set_state(k_ep_stopped);
    return k_success;
}

// --- transfer descriptors (4.11) ----------------------------------------------------------------------------------------

// 6.4.1.2.1: immediate data lie in the TRB itself.
bool Endpoint::add_data(Descriptor& to, const FetchedTrb& trb) {
    const uint32_t length = trb.trb.length();
    if ((trb.trb.control & k_trb_idt) == 0) {
        to.data.add(trb.trb.parameter, length);
        return true;
    }
    if (length > k_immediate_bytes) {
        return false;
    }
    to.data.add(trb.address, length);
    return true;
}

Fetch Endpoint::parse(Descriptor& to) {
    RingPosition at = m_dequeue;
    FetchedTrb trb;
    do {
        const Fetch fetched = fetch_trb(m_controller.memory, at, trb);
        if (fetched != Fetch::trb) {
            return fetched;
        }
        if (to.trbs.empty() && m_moved == 0) {
            m_dequeue.address = trb.address;  // past links, as hardware would be
            m_dequeue.cycle = trb.trb.cycle();
        }
        to.trbs.push_back(trb);
        if (to.trbs.size() > k_most_trbs || (carries_data(trb.trb) && !add_data(to, trb))) {
            return Fetch::error;
        }
    } while ((trb.trb.control & k_trb_chain) != 0);
    to.next = at;
    return Fetch::trb;
}

bool Endpoint::is_in(const FetchedTrb& first) const {
    return is_control() ? (first.trb.control & k_trb_direction_in) != 0 : m_type > k_ep_control;
}

bool Endpoint::run(UsbDevice* device, unsigned& budget) {
    while (m_state == k_ep_running && !m_controller.blocked()) {
        if (budget == 0) {
            return false;
        }
        --budget;
        if (!m_current) {
            m_current.emplace();
            const Fetch fetched = parse(*m_current);
            if (fetched == Fetch::empty) {
                m_current.reset();
                return true;
            }
            if (fetched == Fetch::error) {
                m_controller.guest_errors.report("slot {}, endpoint {}: a bad ring at {:#x}", m_slot, m_index, m_dequeue.address);
                fail(*m_current, k_trb_error, k_ep_error);
                return true;
            }
        }
        m_moved = std::min(m_moved, m_current->data.size());  // the driver may have written another transfer there
        if (device == nullptr) {
            fail(*m_current, k_transaction_error, k_ep_halted);
            return true;
        }
        const std::optional<UsbAnswer> answer = carry_out(*device, *m_current);
        if (!answer) {
            fail(*m_current, k_trb_error, k_ep_error);
        } else if (*answer == UsbAnswer::stall) {
            fail(*m_current, k_stall_error, k_ep_halted);
        } else if (*answer == UsbAnswer::nak) {
            return true;
        } else {
            complete(*m_current);
        }
    }
    return true;
}

void Endpoint::disconnected() {
    if (m_state == k_ep_running && m_current) {
        fail(*m_current, k_transaction_error, k_ep_halted);
    }
}

// --- what a descriptor asks for -------------------------------------------------------------------------------------------

// Nothing: the TRBs are no transfer of this endpoint.
std::optional<UsbAnswer> Endpoint::carry_out(UsbDevice& device, const Descriptor& descriptor) {
    if (descriptor.trbs.front().trb.type() == k_trb_no_op) {
        return UsbAnswer::ack;
    }
    return is_control() ? control_stage(device, descriptor) : move_data(device, descriptor);
}

std::optional<UsbAnswer> Endpoint::move_data(UsbDevice& device, const Descriptor& descriptor) {
    for (const FetchedTrb& each : descriptor.trbs) {
        if (each.trb.type() != k_trb_normal && each.trb.type() != k_trb_data_event) {
            m_controller.guest_errors.report("slot {}, endpoint {}: a TRB of type {}", m_slot, m_index, each.trb.type());
            return std::nullopt;
        }
    }
    if (m_type == 1 || m_type == 5) {
        m_controller.guest_errors.report("slot {}, endpoint {}: no device here is isochronous", m_slot, m_index);
        return std::nullopt;
    }
    UsbTransfer transfer(m_controller.memory, descriptor.data, m_moved);
    const UsbAnswer answer = device.transfer(address(), transfer);
    m_moved = transfer.moved();
    if (transfer.failed()) {
        m_controller.guest_errors.report("slot {}, endpoint {}: data are not in memory", m_slot, m_index);
        return std::nullopt;
    }
    return answer;
}

std::optional<UsbAnswer> Endpoint::control_stage(UsbDevice& device, const Descriptor& descriptor) {
    const Trb& first = descriptor.trbs.front().trb;
    if (first.type() == k_trb_setup) {
        return setup_stage(device, first);
    }
    if (first.type() == k_trb_data && m_stage == Stage::data && is_in(descriptor.trbs.front()) == m_setup.to_host()) {
        if (m_refused && m_setup.to_host()) {
            return UsbAnswer::stall;
        }
        return data_stage(descriptor);
    }
    if (first.type() == k_trb_status && m_stage != Stage::none) {
        if (!m_setup.to_host() && m_setup.length != 0) {
            m_refused = device.control(m_setup, m_data) == UsbAnswer::stall;
        }
        end_control();
        return m_refused ? UsbAnswer::stall : UsbAnswer::ack;
    }
    m_controller.guest_errors.report("slot {}: a TRB of type {} is not what a control transfer goes on with", m_slot, first.type());
    return std::nullopt;
}

// Requests that bring no data from the host are carried out here, the others when their data are there.
std::optional<UsbAnswer> Endpoint::setup_stage(UsbDevice& device, const Trb& trb) {
    if ((trb.control & k_trb_idt) == 0 || trb.length() != k_immediate_bytes) {
        return std::nullopt;
    }
    m_setup = UsbSetup::unpack(trb.parameter);
    m_data.clear();
    m_data_moved = 0;
    m_refused = false;
    m_stage = m_setup.length != 0 ? Stage::data : Stage::status;
    if (m_setup.to_host() || m_setup.length == 0) {
        m_refused = device.control(m_setup, m_data) == UsbAnswer::stall;
        m_data.resize(std::min<size_t>(m_data.size(), m_setup.length));
    }
    return UsbAnswer::ack;
}

UsbAnswer Endpoint::data_stage(const Descriptor& descriptor) {
    UsbTransfer transfer(m_controller.memory, descriptor.data, 0);
    if (m_setup.to_host()) {
        m_data_moved += static_cast<uint32_t>(transfer.give(std::span(m_data).subspan(m_data_moved)));
    } else {
        const size_t before = m_data.size();
        m_data.resize(std::min<uint64_t>({before + transfer.length(), m_setup.length, k_most_setup_data}));
        transfer.take(std::span(m_data).subspan(before));
    }
    m_moved = transfer.moved();
    return transfer.failed() ? UsbAnswer::stall : UsbAnswer::ack;
}

// --- events (4.10) ------------------------------------------------------------------------------------------------------------

void Endpoint::post(const Trb& trb, uint64_t pointer, Completion code, uint32_t length, uint32_t flags) {
    const Trb event{.parameter = pointer,
                    .status = uint32_t{code} << 24 | (length & 0xff'ffff),
                    .control = trb_type_bits(k_trb_transfer_event) | m_slot << 24 | m_index << 16 | flags};
    m_controller.post(trb.interrupter(), event, (trb.control & k_trb_bei) != 0 ? Urgency::blocked : Urgency::interrupt);
}

// 4.10.1.1, 4.11.5.2: every TRB that asks for it has its event, until one was short; then only that one, or the last one
// for it, and the event data TRBs.
void Endpoint::complete(const Descriptor& descriptor) {
    uint64_t left = m_moved;
    uint32_t accumulated = 0;  // EDTLA
    bool was_short = false;
    bool told = false;
    for (const FetchedTrb& each : descriptor.trbs) {
        const Trb& trb = each.trb;
        const bool wanted = (trb.control & k_trb_ioc) != 0;
        if (trb.type() == k_trb_data_event) {
            if (wanted) {
                post(trb, trb.parameter, was_short ? k_short_packet : k_success, accumulated, k_trb_event_data);
                told |= was_short;
            }
            accumulated = 0;
            continue;
        }
        const uint32_t length = carries_data(trb) ? trb.length() : 0;
        const auto moved = static_cast<uint32_t>(std::min<uint64_t>(length, left));
        left -= moved;
        accumulated += moved;
        const bool skipped = was_short;
        was_short |= moved < length;
        if (was_short ? !told && (wanted || (!skipped && (trb.control & k_trb_isp) != 0)) : wanted) {
            post(trb, each.address, was_short ? k_short_packet : k_success, length - moved);
            told |= was_short;
        }
    }
    m_dequeue = descriptor.next;
    m_moved = 0;
    m_current.reset();
}

// The dequeue pointer stays; Reset Endpoint and Set TR Dequeue Pointer get the endpoint going again.
void Endpoint::fail(const Descriptor& descriptor, Completion code, EndpointState state) {
    Trb none;
    uint64_t left = m_moved;
    const FetchedTrb* culprit = nullptr;
    for (const FetchedTrb& each : descriptor.trbs) {
        culprit = &each;
        const uint32_t length = carries_data(each.trb) ? each.trb.length() : 0;
        if (left < length || length == 0) {
            break;
        }
        left -= length;
    }
    const uint32_t length = culprit != nullptr && carries_data(culprit->trb) ? culprit->trb.length() : 0;
    post(culprit != nullptr ? culprit->trb : none, culprit != nullptr ? culprit->address : m_dequeue.address, code,
         length - static_cast<uint32_t>(std::min<uint64_t>(left, length)));
    m_moved = 0;
    end_control();
    m_current.reset();
    set_state(state);
}

// --- saved state ----------------------------------------------------------------------------------------------------------------

void Endpoint::save(StateWriter& writer) const {
    for (const uint32_t word : m_words.words) {
        writer.put(word);
    }
    writer.put(m_state);
    writer.put(m_type);
    writer.put(m_dequeue.packed());
    writer.put(m_moved);
    writer.put(m_stage);
    writer.put(m_setup.type);
    writer.put(m_setup.request);
    writer.put(m_setup.value);
    writer.put(m_setup.index);
    writer.put(m_setup.length);
    writer.put(static_cast<uint8_t>(m_refused ? 1 : 0));
    writer.put(m_data_moved);
    writer.put_bytes(std::as_bytes(std::span(m_data)));
}

void Endpoint::load(StateReader& reader) {
    for (uint32_t& word : m_words.words) {
        reader.get(word);
    }
    reader.get(m_state);
    m_type = reader.get<uint8_t>() & 7;
    m_dequeue = RingPosition::unpack(reader.get<uint64_t>());
    reader.get(m_moved);
    reader.get(m_stage);
    reader.get(m_setup.type);
    reader.get(m_setup.request);
    reader.get(m_setup.value);
    reader.get(m_setup.index);
    reader.get(m_setup.length);
    m_refused = reader.get<uint8_t>() != 0;
    reader.get(m_data_moved);
    const std::vector<std::byte> data = reader.get_bytes();
    if (m_state > k_ep_error || m_stage > Stage::status || data.size() > k_most_setup_data || m_data_moved > data.size()) {
        reader.fail("an endpoint is in no state that there is");
        return;
    }
    m_data.resize(data.size());
    std::memcpy(m_data.data(), data.data(), data.size());
    m_current.reset();
}

}  // namespace skep::xhci
