// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/board/dma8237.hpp"

namespace skep {
namespace {

constexpr uint16_t k_state_version = 1;
constexpr uint64_t k_pages = 0x80;
constexpr uint64_t k_second = 0xc0;

enum Register : unsigned {
    k_command_or_status = 8,
    k_request = 9,
    k_single_mask = 10,
    k_mode = 11,
    k_clear_byte_pointer = 12,
    k_master_clear = 13,
    k_clear_mask = 14,
    k_all_masks = 15,
};

}  // namespace

Dma8237::Dma8237(IoSpace& ports) {
    m_claims[0] = ports.claim({.start = 0x00, .size = 16, .max_width = 1}, *this, m_gate);
    m_claims[1] = ports.claim({.start = k_pages, .size = 16, .max_width = 1}, m_page_window, m_gate);
    m_claims[2] = ports.claim({.start = k_second, .size = 32, .max_width = 1}, m_second_window, m_gate);
}

void Dma8237::reset() {
    const std::lock_guard lock(m_gate);
    m_controllers = {};
    m_pages = {};
}

uint8_t Dma8237::read(Controller& controller, unsigned reg) {
    if (reg < 8) {
        const uint16_t value = controller.counters[reg];
        controller.high_next = !controller.high_next;
        return static_cast<uint8_t>(controller.high_next ? value : value >> 8);
    }
    switch (reg) {
        case k_command_or_status:
            return 0;  // nothing requested, nothing finished
        case k_all_masks:
            return static_cast<uint8_t>(0xf0 | controller.mask);
        default:
            return 0;
    }
}

void Dma8237::write(Controller& controller, unsigned reg, uint8_t value) {
    if (reg < 8) {
        uint16_t& counter = controller.counters[reg];
        controller.high_next = !controller.high_next;
        counter =
            static_cast<uint16_t>(controller.high_next ? (counter & 0xff00) | value : (counter & 0x00ff) | value << 8);
        return;
    }
    const auto channel = static_cast<uint8_t>(1U << (value & 3));
    switch (reg) {
        case k_command_or_status:
            controller.command = value;
            break;
        case k_request:
            controller.request =
                static_cast<uint8_t>((value & 4) != 0 ? controller.request | channel : controller.request & ~channel);
            break;
        case k_single_mask:
            controller.mask =
                static_cast<uint8_t>((value & 4) != 0 ? controller.mask | channel : controller.mask & ~channel);
            break;
        case k_mode:
            controller.modes[value & 3] = value;
            break;
        case k_clear_byte_pointer:
            controller.high_next = false;
            break;
        case k_master_clear:
            controller = Controller();
            break;
        case k_clear_mask:
            controller.mask = 0;
            break;
        default:
            controller.mask = value & 0x0f;
    }
}

uint64_t Dma8237::io_read(uint64_t offset, unsigned /*size*/) {
    if (offset >= k_second) {
        return offset % 2 == 0 ? read(m_controllers[1], static_cast<unsigned>(offset - k_second) / 2) : 0xff;
    }
    if (offset >= k_pages) {
        return m_pages[offset % 16];
    }
    return read(m_controllers[0], static_cast<unsigned>(offset % 16));
}

void Dma8237::io_write(uint64_t offset, unsigned /*size*/, uint64_t value) {
    const auto byte = static_cast<uint8_t>(value);
    if (offset >= k_second) {
        if (offset % 2 == 0) {
            write(m_controllers[1], static_cast<unsigned>(offset - k_second) / 2, byte);
        }
    } else if (offset >= k_pages) {
        m_pages[offset % 16] = byte;
    } else {
        write(m_controllers[0], static_cast<unsigned>(offset % 16), byte);
    }
}

void Dma8237::save(StateWriter& writer) const {
    const std::lock_guard lock(m_gate);
    writer.section(name(), k_state_version);
    for (const Controller& controller : m_controllers) {
        for (const uint16_t value : controller.counters) {
            writer.put(value);
        }
        for (const uint8_t value : {controller.command, controller.request, controller.mask, controller.modes[0],
                                    controller.modes[1], controller.modes[2], controller.modes[3]}) {
            writer.put(value);
        }
        writer.put(static_cast<uint8_t>(controller.high_next));
    }
    for (const uint8_t value : m_pages) {
        writer.put(value);
    }
}

void Dma8237::load(StateReader& reader) {
    const std::lock_guard lock(m_gate);
    reader.section(name(), k_state_version);
    for (Controller& controller : m_controllers) {
        for (uint16_t& value : controller.counters) {
            reader.get(value);
        }
        for (uint8_t* value : {&controller.command, &controller.request, &controller.mask, &controller.modes[0],
                               &controller.modes[1], &controller.modes[2], &controller.modes[3]}) {
            reader.get(*value);
        }
        controller.mask &= 0x0f;
        controller.high_next = reader.get<uint8_t>() != 0;
    }
    for (uint8_t& value : m_pages) {
        reader.get(value);
    }
}

}  // namespace skep
