// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_pci.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_virtio_vendor = 0x1af4;
constexpr uint16_t k_modern_device_base = 0x1040;
constexpr uint8_t k_vendor_capability = 0x09;

// cfg_type of the capabilities (4.1.4)
enum : uint8_t { k_cap_common = 1, k_cap_notify = 2, k_cap_isr = 3, k_cap_device = 4, k_cap_pci = 5 };

// device_status (2.1)
enum : uint8_t {
    k_status_acknowledge = 1,
    k_status_driver = 2,
    k_status_driver_ok = 4,
    k_status_features_ok = 8,
    k_status_needs_reset = 64,
    k_status_failed = 128,
};

// struct virtio_pci_common_cfg (4.1.4.3)
enum : uint32_t {
    k_device_feature_select = 0,
    k_device_feature = 4,
    k_driver_feature_select = 8,
    k_driver_feature = 12,
    k_config_msix_vector = 16,
    k_num_queues = 18,
    k_device_status = 20,
    k_config_generation = 21,
    k_queue_select = 22,
    k_queue_size = 24,
    k_queue_msix_vector = 26,
    k_queue_enable = 28,
    k_queue_notify_off = 30,
    k_queue_desc = 32,
    k_queue_driver = 40,
    k_queue_device = 48,
};

constexpr uint8_t k_isr_queue = 1;
constexpr uint8_t k_isr_config = 2;

// The register that holds the byte at `offset` of the common structure.
constexpr uint32_t common_register_at(uint32_t offset) {
    if (offset >= k_config_msix_vector && offset < k_queue_desc) {
        return offset == k_device_status || offset == k_config_generation ? offset : offset & ~1U;
    }
    return offset & ~3U;
}

PciIdentity identity_of(const VirtioDevice& device) {
    const auto id = static_cast<uint16_t>(k_modern_device_base + device.device_id());
    return {.vendor = k_virtio_vendor,
            .device = id,
            .class_code = device.class_code(),
            .revision = 1,
            .subsystem_vendor = k_virtio_vendor,
            .subsystem = id,
            .pin = IntxPin::a};
}

}  // namespace

VirtioPci::VirtioPci(DeviceContext& context, std::string name, PciAddress address, std::unique_ptr<VirtioDevice> device)
    : PciFunction(context, std::move(name), address, identity_of(*device)), m_device(std::move(device)) {
    const std::vector<uint16_t> sizes = m_device->queue_sizes();
    for (const uint16_t size : sizes) {
        m_queues.push_back({.size = size, .max_size = size});
    }
    add_bar({.index = k_msix_bar, .kind = BarKind::memory32, .size = 0x1000});
    add_bar({.index = k_register_bar, .kind = BarKind::memory64, .size = 0x4000, .prefetch = Prefetch::yes});
    const auto vectors = static_cast<unsigned>(sizes.size()) + 1;  // one for configuration changes
    add_msix(vectors, k_msix_bar, 0, 0x800);
    declare_capabilities();
    m_device->set_transport(*this);
}

void VirtioPci::declare_capabilities() {
    const auto body = [](uint8_t type, uint32_t offset, uint32_t length) {
        std::vector<uint8_t> bytes(14);  // after id and next: cap_len, cfg_type, bar, id, padding[2], offset, length
        bytes[0] = 16;
        bytes[1] = type;
        bytes[2] = k_register_bar;
        store_le<uint32_t>(&bytes[6], offset);
        store_le<uint32_t>(&bytes[10], length);
        return bytes;
    };
    add_capability(k_vendor_capability, body(k_cap_common, k_common_offset, 56));
    add_capability(k_vendor_capability, body(k_cap_isr, k_isr_offset, 1));
    add_capability(k_vendor_capability, body(k_cap_device, k_device_offset, k_structure_size));
    std::vector<uint8_t> notify = body(k_cap_notify, k_notify_offset, k_structure_size);
    notify[0] = 20;
    notify.resize(18);
    store_le<uint32_t>(&notify[14], k_notify_multiplier);
    add_capability(k_vendor_capability, notify);
    std::vector<uint8_t> window = body(k_cap_pci, 0, 0);
    window[0] = 20;
    window.resize(18);
    std::vector<uint8_t> mask(18);
    mask[2] = 0xff;                                   // bar
    std::fill(mask.begin() + 6, mask.end(), 0xff);    // offset, length, data
    m_pci_config_cap = add_capability(k_vendor_capability, window, mask);
}

// 2.4: back to the initial state, with no request in flight.
void VirtioPci::reset_device() {
    if (m_device->active()) {
        m_device->deactivate();
    }
    m_device->reset_state();
    m_reset_waits = false;
    m_is_parked = false;
    m_parked = {};
    for (QueueRegisters& queue : m_queues) {
        queue = {.size = queue.max_size, .max_size = queue.max_size};
    }
    m_device_feature_select = m_driver_feature_select = 0;
    m_driver_features = 0;
    m_config_vector = k_no_vector;
    m_status = 0;
    m_queue_select = 0;
    m_isr = 0;
    set_intx(false);
}

void VirtioPci::reset() {
    m_device->cancel_held();
    m_device->drain();
    PciFunction::reset();
    const std::lock_guard lock(gate());
    reset_device();
}

void VirtioPci::device_idle() {
    if (m_reset_waits) {
        reset_device();
    }
}

void VirtioPci::pause() {
    m_device->drain();
    const std::lock_guard lock(gate());
    if (m_device->active()) {
        m_parked = m_device->deactivate();
        m_is_parked = true;
    }
}

void VirtioPci::resume() {
    const std::lock_guard lock(gate());
    if (m_is_parked) {
        m_is_parked = false;
        m_device->activate(std::move(m_parked));
    }
}

uint64_t VirtioPci::offered_features() const {
    return m_device->features() | virtio::k_feature_version_1 | virtio::k_feature_indirect_desc | virtio::k_feature_event_idx;
}

uint64_t VirtioPci::common_read(uint32_t offset) const {
    switch (offset) {
        case k_device_feature_select: return m_device_feature_select;
        case k_device_feature: return m_device_feature_select < 2 ? bits(offered_features(), m_device_feature_select * 32, 32) : 0;
        case k_driver_feature_select: return m_driver_feature_select;
        case k_driver_feature: return m_driver_feature_select < 2 ? bits(m_driver_features, m_driver_feature_select * 32, 32) : 0;
        case k_config_msix_vector: return m_config_vector;
        case k_num_queues: return m_queues.size();
        case k_device_status: return m_status;
        case k_config_generation: return m_config_generation;
        case k_queue_select: return m_queue_select;
        default: break;
    }
    if (m_queue_select >= m_queues.size()) {
        return 0;  // 4.1.4.3.1: a queue that is not there has size 0
    }
    const QueueRegisters& queue = m_queues[m_queue_select];
    switch (offset) {
        case k_queue_size: return queue.size;
        case k_queue_msix_vector: return queue.vector;
        case k_queue_enable: return queue.enabled;
        case k_queue_notify_off: return m_queue_select;
        case k_queue_desc: return bits(queue.descriptors, 0, 32);
        case k_queue_desc + 4: return bits(queue.descriptors, 32, 32);
        case k_queue_driver: return bits(queue.driver_area, 0, 32);
        case k_queue_driver + 4: return bits(queue.driver_area, 32, 32);
        case k_queue_device: return bits(queue.device_area, 0, 32);
        case k_queue_device + 4: return bits(queue.device_area, 32, 32);
        default: return 0;
    }
}

void VirtioPci::write_driver_features(uint32_t value) {
    if (m_driver_feature_select < 2 && (m_status & k_status_features_ok) == 0) {
        m_driver_features = merge_bytes(m_driver_features, m_driver_feature_select * 4, 4, value);
    }
}

void VirtioPci::common_write(uint32_t offset, uint64_t value) {
    const auto vector_or_none = [this](uint64_t wanted) {
        return wanted <= m_queues.size() ? static_cast<uint16_t>(wanted) : k_no_vector;  // 4.1.5.1.2
    };
    switch (offset) {
        case k_device_feature_select: m_device_feature_select = static_cast<uint32_t>(value); return;
        case k_driver_feature_select: m_driver_feature_select = static_cast<uint32_t>(value); return;
        case k_driver_feature: write_driver_features(static_cast<uint32_t>(value)); return;
        case k_config_msix_vector: m_config_vector = vector_or_none(value); return;
        case k_device_status: write_status(static_cast<uint8_t>(value)); return;
        case k_queue_select: m_queue_select = static_cast<uint16_t>(value); return;
        default: break;
    }
    if (m_queue_select >= m_queues.size()) {
        return;
    }
    QueueRegisters& queue = m_queues[m_queue_select];
    if (offset == k_queue_msix_vector) {
        queue.vector = vector_or_none(value);
    } else {
        queue_write(queue, offset, value);
    }
}

void VirtioPci::queue_write(QueueRegisters& queue, uint32_t offset, uint64_t value) {
    if (queue.enabled != 0) {
        guest_errors().report("queue {} is written to after it was enabled", m_queue_select);
        return;
    }
    switch (offset) {
        case k_queue_size:
            if (is_power_of_two(value) && value <= queue.max_size) {
                queue.size = static_cast<uint16_t>(value);
            }
            break;
        case k_queue_enable: queue.enabled = value == 1 ? 1 : 0; break;
        case k_queue_desc: queue.descriptors = merge_bytes(queue.descriptors, 0, 4, value); break;
        case k_queue_desc + 4: queue.descriptors = merge_bytes(queue.descriptors, 4, 4, value); break;
        case k_queue_driver: queue.driver_area = merge_bytes(queue.driver_area, 0, 4, value); break;
        case k_queue_driver + 4: queue.driver_area = merge_bytes(queue.driver_area, 4, 4, value); break;
        case k_queue_device: queue.device_area = merge_bytes(queue.device_area, 0, 4, value); break;
        case k_queue_device + 4: queue.device_area = merge_bytes(queue.device_area, 4, 4, value); break;
        default: break;
    }
}

void VirtioPci::write_status(uint8_t value) {
    if (value == 0) {
        if (m_device->busy()) {
            m_reset_waits = true;
        } else {
            reset_device();
        }
        return;
    }
    if (m_reset_waits) {
        return;
    }
    const auto added = static_cast<uint8_t>(value & ~m_status);
    m_status = static_cast<uint8_t>(m_status | value);
    if ((added & k_status_features_ok) != 0) {
        write_features_ok();
    }
    if ((added & k_status_driver_ok) != 0 && !m_device->active()) {
        activate_device();
    }
}

void VirtioPci::write_features_ok() {
    const bool acceptable = (m_driver_features & ~offered_features()) == 0 && (m_driver_features & virtio::k_feature_version_1) != 0;
    if (!acceptable) {
        m_status = static_cast<uint8_t>(m_status & ~k_status_features_ok);  // 2.2.2: the driver reads it back
        guest_errors().report("features {:#x} are not on offer ({:#x})", m_driver_features, offered_features());
    }
}

void VirtioPci::activate_device() {
    if ((m_status & k_status_features_ok) == 0) {
        guest_errors().report("DRIVER_OK without FEATURES_OK");
        return;
    }
    m_device->activate(make_session());
}

VirtioSession VirtioPci::make_session() const {
    VirtioSession session;
    session.features = m_driver_features;
    const auto event_index = (m_driver_features & virtio::k_feature_event_idx) != 0 ? Virtqueue::EventIndex::on : Virtqueue::EventIndex::off;
    for (const QueueRegisters& queue : m_queues) {
        if (queue.enabled != 0) {
            session.queues.push_back(std::make_unique<Virtqueue>(
                context().memory, VirtqueueConfig{queue.size, queue.descriptors, queue.driver_area, queue.device_area}, event_index));
        } else {
            session.queues.push_back(nullptr);
        }
    }
    return session;
}

uint64_t VirtioPci::device_config_read(uint32_t offset, unsigned size) const {
    const std::vector<std::byte> config = m_device->config();
    uint64_t value = 0;
    for (unsigned index = 0; index < size; ++index) {
        if (offset + index < config.size()) {
            value |= std::to_integer<uint64_t>(config[offset + index]) << (index * 8);
        }
    }
    return value;
}

uint64_t VirtioPci::isr_read() {
    const uint8_t value = m_isr;
    m_isr = 0;
    set_intx(false);
    return value;
}

void VirtioPci::notify(uint32_t offset) {
    const uint32_t queue = offset / k_notify_multiplier;
    if (queue < m_queues.size() && m_device->active() && !m_reset_waits) {
        m_device->queue_notified(queue);
    }
}

uint64_t VirtioPci::bar_read(unsigned bar, uint64_t offset, unsigned size) {
    if (bar != k_register_bar) {
        return all_ones(size);
    }
    const auto inside = static_cast<uint32_t>(offset % k_structure_size);
    switch (offset - inside) {
        case k_common_offset: {
            const uint32_t start = common_register_at(inside);
            return bits(common_read(start), (inside - start) * 8, size * 8);
        }
        case k_isr_offset: return inside == 0 ? isr_read() : 0;
        case k_device_offset: return device_config_read(inside, size);
        default: return 0;
    }
}

void VirtioPci::bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) {
    if (bar != k_register_bar) {
        return;
    }
    const auto inside = static_cast<uint32_t>(offset % k_structure_size);
    switch (offset - inside) {
        case k_common_offset: common_write(inside, value); break;
        case k_device_offset: {
            std::array<std::byte, 8> bytes{};
            std::memcpy(bytes.data(), &value, sizeof value);
            m_device->config_written(inside, std::span(bytes).first(size));
            break;
        }
        case k_notify_offset: notify(inside); break;
        default: break;
    }
}

// The window into the BAR for firmware that has not mapped it (4.1.4.9): bar, offset and length are programmed, then
// the data register is read or written.
bool VirtioPci::is_pci_config_access(unsigned offset, unsigned size) const {
    const unsigned data = m_pci_config_cap + 16;
    return offset < data + 4 && offset + size > data;
}

void VirtioPci::before_config_read(unsigned offset, unsigned size) {
    if (!is_pci_config_access(offset, size)) {
        return;
    }
    const uint32_t length = config32(m_pci_config_cap + 12);
    const uint32_t where = config32(m_pci_config_cap + 8);
    if (config8(m_pci_config_cap + 4) == k_register_bar && where < 0x4000 && (length == 1 || length == 2 || length == 4)) {
        set_config32(m_pci_config_cap + 16, static_cast<uint32_t>(bar_read(k_register_bar, where, length)));
    }
}

void VirtioPci::config_written(unsigned offset, unsigned size) {
    if (!is_pci_config_access(offset, size)) {
        return;
    }
    const uint32_t length = config32(m_pci_config_cap + 12);
    const uint32_t where = config32(m_pci_config_cap + 8);
    if (config8(m_pci_config_cap + 4) == k_register_bar && where < 0x4000 && (length == 1 || length == 2 || length == 4)) {
        bar_write(k_register_bar, where, length, bits(config32(m_pci_config_cap + 16), 0, length * 8));
    }
}

void VirtioPci::raise(uint16_t vector, uint8_t isr_bit) {
    if (msix_enabled()) {
        if (vector != k_no_vector) {
            notify_message(vector);
        }
        return;
    }
    m_isr |= isr_bit;
    set_intx(true);
}

void VirtioPci::interrupt_queue(unsigned queue) { raise(m_queues[queue].vector, k_isr_queue); }

void VirtioPci::interrupt_config() {
    ++m_config_generation;
    raise(m_config_vector, k_isr_config);
}

void VirtioPci::device_broken(const std::string& why) {
    guest_errors().report("{}; the device needs a reset", why);
    if ((m_status & k_status_needs_reset) == 0) {
        m_status |= k_status_needs_reset;
        raise(m_config_vector, k_isr_config);
    }
}

void VirtioPci::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section("virtio-pci", 1);
    writer.put(m_device_feature_select);
    writer.put(m_driver_feature_select);
    writer.put(m_driver_features);
    writer.put(m_config_vector);
    writer.put(m_status);
    writer.put(m_config_generation);
    writer.put(m_queue_select);
    writer.put(m_isr);
    for (const QueueRegisters& queue : m_queues) {
        writer.put(queue.size);
        writer.put(queue.vector);
        writer.put(queue.enabled);
        writer.put(queue.descriptors);
        writer.put(queue.driver_area);
        writer.put(queue.device_area);
    }
    writer.put(static_cast<uint8_t>(m_is_parked ? 1 : 0));
    if (m_is_parked) {
        for (const auto& queue : m_parked.queues) {
            if (queue) {
                queue->save(writer);
            }
        }
    }
    m_device->save(writer);
}

void VirtioPci::load(StateReader& reader) {
    m_device->drain();
    m_device->cancel_held();  // requests of the state that ends here
    PciFunction::load(reader);
    const std::lock_guard lock(gate());
    if (m_device->active()) {
        m_device->deactivate();
    }
    reader.section("virtio-pci", 1);
    reader.get(m_device_feature_select);
    reader.get(m_driver_feature_select);
    reader.get(m_driver_features);
    reader.get(m_config_vector);
    reader.get(m_status);
    reader.get(m_config_generation);
    reader.get(m_queue_select);
    reader.get(m_isr);
    for (QueueRegisters& queue : m_queues) {
        reader.get(queue.size);
        reader.get(queue.vector);
        reader.get(queue.enabled);
        reader.get(queue.descriptors);
        reader.get(queue.driver_area);
        reader.get(queue.device_area);
        const bool known_vector = queue.vector == k_no_vector || queue.vector <= m_queues.size();
        if (!is_power_of_two(queue.size) || queue.size > queue.max_size || !known_vector) {
            reader.fail("a queue's registers are out of range");
            queue = {.size = queue.max_size, .max_size = queue.max_size};
        }
    }
    m_parked = {};
    m_is_parked = reader.get<uint8_t>() != 0 && reader.ok();
    if (m_is_parked) {
        m_parked = make_session();
        for (auto& queue : m_parked.queues) {
            if (queue) {
                queue->load(reader);
            }
        }
    }
    m_device->load(reader);
}

}  // namespace skep
