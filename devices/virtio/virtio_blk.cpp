// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/virtio/virtio_blk.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>

#include "vmm/base/bits.hpp"

namespace skep {
namespace {

constexpr uint16_t k_block_device_id = 2;
constexpr uint32_t k_class_storage = 0x018000;
constexpr uint16_t k_queue_size = 256;  // no more than 256: SeaBIOS
constexpr uint64_t k_sector = 512;
constexpr uint32_t k_seg_max = k_queue_size - 2;
constexpr uint32_t k_max_range_sectors = 1U << 22;  // 2 GiB a discard or write-zeroes segment
constexpr uint32_t k_max_range_segments = 32;

// Feature bits (5.2.3)
constexpr uint64_t k_feature_seg_max = bit(2);
constexpr uint64_t k_feature_read_only = bit(5);
constexpr uint64_t k_feature_blk_size = bit(6);
constexpr uint64_t k_feature_flush = bit(9);
constexpr uint64_t k_feature_config_wce = bit(11);
constexpr uint64_t k_feature_mq = bit(12);
constexpr uint64_t k_feature_discard = bit(13);
constexpr uint64_t k_feature_write_zeroes = bit(14);

// struct virtio_blk_config (5.2.4)
constexpr size_t k_config_bytes = 60;
constexpr uint32_t k_config_writeback = 32;

enum RequestType : uint32_t { k_in = 0, k_out = 1, k_flush = 4, k_get_id = 8, k_discard = 11, k_write_zeroes = 13 };
enum RequestStatus : uint8_t { k_ok = 0, k_ioerr = 1, k_unsupp = 2 };

struct RequestHeader {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
struct RangeSegment {
    uint64_t sector;
    uint32_t count;
    uint32_t flags;
};
constexpr uint32_t k_range_unmap = 1;
constexpr size_t k_id_bytes = 20;

class VirtioBlk final : public VirtioDevice {
  public:
    VirtioBlk(GuestMemory& memory, std::shared_ptr<BlockBackend> backend, VirtioBlkConfig config)
        : m_memory(memory), m_backend(std::move(backend)), m_config(std::move(config)) {
        m_config.queue_count = std::clamp(m_config.queue_count, 1U, 16U);
        m_backend->set_on_grown([this] { grown(); });
    }
    ~VirtioBlk() override { m_backend->set_on_grown({}); }
    VirtioBlk(const VirtioBlk&) = delete;
    VirtioBlk& operator=(const VirtioBlk&) = delete;

    [[nodiscard]] uint16_t device_id() const override { return k_block_device_id; }
    [[nodiscard]] uint32_t class_code() const override { return k_class_storage; }
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::vector<uint16_t> queue_sizes() const override {
        return std::vector<uint16_t>(m_config.queue_count, k_queue_size);
    }
    [[nodiscard]] std::vector<std::byte> config() const override;
    void config_written(uint32_t offset, std::span<const std::byte> data) override;
    void set_transport(VirtioTransport& transport) override { m_transport = &transport; }
    void grown();
    void activate(VirtioSession session) override;
    [[nodiscard]] bool active() const override { return m_active; }
    VirtioSession deactivate() override;
    [[nodiscard]] bool busy() const override { return m_in_flight != 0; }
    void queue_notified(unsigned queue) override;
    void drain() override { m_backend->drain(); }
    void cancel_held() override {
        m_restored.clear();
        m_backend->cancel_held();
    }
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    // One request on its way; shared by the back end's completions of its parts.
    struct Flight {
        unsigned queue = 0;
        VirtioChain chain;
        uint64_t number = 0;      // its place in m_started, 0 while the back end has none of it
        uint64_t data_bytes = 0;  // written to the guest on success
        unsigned parts = 1;
        RequestStatus status = k_ok;
    };

    // A request that the back end has, as saved: one that waits for room on the host's disk outlives a pause.
    struct Started {
        uint16_t queue = 0;
        uint16_t head = 0;
    };
    void start_again();
    void tell_driver(unsigned queue);
    void start(unsigned queue, VirtioChain chain);
    void start_transfer(std::shared_ptr<Flight> flight, const RequestHeader& header);
    void start_ranges(std::shared_ptr<Flight> flight, const RequestHeader& header);
    void submit(std::shared_ptr<Flight> flight, BlockRequest request);
    void part_done(Flight& flight, BlockStatus status);
    void finish(Flight& flight);
    void refuse(Flight& flight, RequestStatus status);
    [[nodiscard]] bool in_range(uint64_t sector, uint64_t bytes) const;
    [[nodiscard]] Durability durability() const { return m_writeback ? Durability::cached : Durability::through; }

    GuestMemory& m_memory;
    std::shared_ptr<BlockBackend> m_backend;
    VirtioBlkConfig m_config;
    VirtioTransport* m_transport = nullptr;
    VirtioSession m_session;
    bool m_active = false;
    bool m_writeback = true;
    unsigned m_in_flight = 0;
    std::map<uint64_t, Started> m_started;  // in the order of their start
    uint64_t m_last_number = 0;
    std::vector<Started> m_restored;        // of a saved state, to be started when the session comes
};

uint64_t VirtioBlk::features() const {
    uint64_t features = k_feature_seg_max | k_feature_blk_size | k_feature_flush | k_feature_config_wce;
    if (m_config.queue_count > 1) {
        features |= k_feature_mq;
    }
    if (m_backend->info().read_only) {
        return features | k_feature_read_only;
    }
    features |= k_feature_write_zeroes;
    return m_backend->info().can_discard ? features | k_feature_discard : features;
}

std::vector<std::byte> VirtioBlk::config() const {
    std::vector<std::byte> bytes(k_config_bytes);
    const uint32_t block_size = m_backend->info().block_size;
    store_le<uint64_t>(&bytes[0], m_backend->info().size / k_sector);
    store_le<uint32_t>(&bytes[12], k_seg_max);
    store_le<uint32_t>(&bytes[20], block_size);
    bytes[k_config_writeback] = std::byte{m_writeback ? uint8_t{1} : uint8_t{0}};
    store_le<uint16_t>(&bytes[34], static_cast<uint16_t>(m_config.queue_count));
    store_le<uint32_t>(&bytes[36], k_max_range_sectors);
    store_le<uint32_t>(&bytes[40], k_max_range_segments);
    store_le<uint32_t>(&bytes[44], 8);  // discard alignment: 4 KiB, the host's block
    store_le<uint32_t>(&bytes[48], k_max_range_sectors);
    store_le<uint32_t>(&bytes[52], k_max_range_segments);
    bytes[56] = std::byte{1};  // write zeroes may unmap
    return bytes;
}

void VirtioBlk::config_written(uint32_t offset, std::span<const std::byte> data) {
    if (offset == k_config_writeback && !data.empty() && (m_session.features & k_feature_config_wce) != 0) {
        m_writeback = data[0] != std::byte{0};
    }
}

void VirtioBlk::activate(VirtioSession session) {
    m_session = std::move(session);
    // 5.2.5.2: a driver that knows neither of these cannot flush, so its writes must be durable when they complete.
    if ((m_session.features & (k_feature_flush | k_feature_config_wce)) == 0) {
        m_writeback = false;
    } else if ((m_session.features & k_feature_config_wce) == 0) {
        m_writeback = true;
    }
    m_active = true;
    start_again();
}

// 5.2.4: the driver reads `capacity` again after a configuration change.
void VirtioBlk::grown() {
    const std::lock_guard lock(m_transport->device_gate());
    if (m_active) {
        m_transport->interrupt_config();
    }
}

void VirtioBlk::start_again() {
    std::vector<Started> requests;
    requests.swap(m_restored);
    for (const Started& request : requests) {
        if (request.queue >= m_session.queues.size() || !m_session.queues[request.queue]) {
            continue;
        }
        if (auto chain = m_session.queues[request.queue]->take_again(request.head)) {
            start(request.queue, std::move(*chain));
        }
        tell_driver(request.queue);
    }
}

// After requests were given back.
void VirtioBlk::tell_driver(unsigned queue_index) {
    Virtqueue& queue = *m_session.queues[queue_index];
    if (queue.take_notification()) {
        m_transport->interrupt_queue(queue_index);
    }
    if (!queue.problem().empty()) {
        m_transport->device_broken(queue.problem());
    }
}

VirtioSession VirtioBlk::deactivate() {
    m_active = false;
    return std::move(m_session);
}

bool VirtioBlk::in_range(uint64_t sector, uint64_t bytes) const {
    const uint64_t sectors = m_backend->info().size / k_sector;
    return bytes % k_sector == 0 && sector <= sectors && bytes / k_sector <= sectors - sector;
}

void VirtioBlk::queue_notified(unsigned queue_index) {
    if (queue_index >= m_session.queues.size() || !m_session.queues[queue_index]) {
        return;
    }
    Virtqueue& queue = *m_session.queues[queue_index];
    unsigned budget = 2U * queue.config().size;  // the rest waits for the next notification
    do {
        for (auto chain = queue.pop(); chain; chain = queue.pop()) {
            start(queue_index, std::move(*chain));
        }
    } while (queue.enable_notifications() && --budget > 0);
    tell_driver(queue_index);
}

void VirtioBlk::start(unsigned queue, VirtioChain chain) {
    auto flight = std::make_shared<Flight>();
    flight->queue = queue;
    flight->chain = std::move(chain);
    RequestHeader header{};
    if (flight->chain.writable_bytes() == 0 || !flight->chain.read(m_memory, 0, &header, sizeof header)) {
        m_session.queues[queue]->push(flight->chain.head, 0);  // not even room for the status
        return;
    }
    switch (header.type) {
        case k_in:
        case k_out: start_transfer(std::move(flight), header); return;
        case k_discard:
        case k_write_zeroes: start_ranges(std::move(flight), header); return;
        case k_flush: submit(std::move(flight), {.op = BlockOp::flush, .buffers = {}, .done = {}}); return;
        case k_get_id: {
            std::array<char, k_id_bytes> id{};
            std::memcpy(id.data(), m_config.serial.data(), std::min(m_config.serial.size(), id.size()));
            const uint64_t room = std::min<uint64_t>(flight->chain.writable_bytes() - 1, id.size());
            flight->data_bytes = room;
            refuse(*flight, flight->chain.write(m_memory, 0, id.data(), room) ? k_ok : k_ioerr);
            return;
        }
        default: refuse(*flight, k_unsupp); return;
    }
}

void VirtioBlk::start_transfer(std::shared_ptr<Flight> flight, const RequestHeader& header) {
    const bool to_guest = header.type == k_in;
    const VirtioChain& chain = flight->chain;
    const uint64_t bytes = to_guest ? chain.writable_bytes() - 1 : chain.readable_bytes() - sizeof header;
    BlockRequest request{.op = to_guest ? BlockOp::read : BlockOp::write, .buffers = {}, .done = {}};
    const bool sliced = to_guest ? chain.slices(m_memory, VirtioChain::Part::writable, 0, bytes, request.buffers)
                                 : chain.slices(m_memory, VirtioChain::Part::readable, sizeof header, bytes, request.buffers);
    if (!sliced || !in_range(header.sector, bytes) || (!to_guest && m_backend->info().read_only)) {
        refuse(*flight, k_ioerr);
        return;
    }
    if (bytes == 0) {
        refuse(*flight, k_ok);
        return;
    }
    request.offset = header.sector * k_sector;
    request.durability = durability();
    flight->data_bytes = to_guest ? bytes : 0;
    submit(std::move(flight), std::move(request));
}

void VirtioBlk::start_ranges(std::shared_ptr<Flight> flight, const RequestHeader& header) {
    const uint64_t bytes = flight->chain.readable_bytes() - sizeof header;
    const uint64_t count = bytes / sizeof(RangeSegment);
    const bool zeroes = header.type == k_write_zeroes;
    if (bytes % sizeof(RangeSegment) != 0 || count == 0 || count > k_max_range_segments || m_backend->info().read_only) {
        refuse(*flight, k_ioerr);
        return;
    }
    std::vector<RangeSegment> segments(count);
    if (!flight->chain.read(m_memory, sizeof header, segments.data(), bytes)) {
        refuse(*flight, k_ioerr);
        return;
    }
    for (const RangeSegment& segment : segments) {
        if ((segment.flags & ~(zeroes ? k_range_unmap : 0U)) != 0) {  // 5.2.6.2
            refuse(*flight, k_unsupp);
            return;
        }
        if (segment.count > k_max_range_sectors || !in_range(segment.sector, segment.count * k_sector)) {
            refuse(*flight, k_ioerr);
            return;
        }
    }
    flight->parts = static_cast<unsigned>(count);
    for (const RangeSegment& segment : segments) {
        submit(flight, {.op = zeroes ? BlockOp::write_zeroes : BlockOp::discard,
                        .offset = segment.sector * k_sector,
                        .length = segment.count * k_sector,
                        .buffers = {},
                        .durability = durability(),
                        .may_unmap = (segment.flags & k_range_unmap) != 0,
                        .done = {}});
    }
}

void VirtioBlk::submit(std::shared_ptr<Flight> flight, BlockRequest request) {
    ++m_in_flight;
    if (flight->number == 0) {
        flight->number = ++m_last_number;
        m_started[flight->number] = {static_cast<uint16_t>(flight->queue), flight->chain.head};
    }
    request.done = [this, flight = std::move(flight)](BlockStatus status) {
        const std::lock_guard lock(m_transport->device_gate());
        part_done(*flight, status);
        if (--m_in_flight == 0) {
            m_transport->device_idle();
        }
    };
    m_backend->submit(std::move(request));
}

void VirtioBlk::part_done(Flight& flight, BlockStatus status) {
    if (status != BlockStatus::ok && flight.status == k_ok) {
        flight.status = status == BlockStatus::unsupported ? k_unsupp : k_ioerr;
    }
    if (--flight.parts != 0) {
        return;
    }
    m_started.erase(flight.number);
    if (!m_active) {
        return;  // given up while the session was away: nobody is left to answer
    }
    finish(flight);
    tell_driver(flight.queue);
}

// Answers without the back end; the caller of start() looks after the interrupt.
void VirtioBlk::refuse(Flight& flight, RequestStatus status) {
    flight.status = status;
    finish(flight);
}

void VirtioBlk::finish(Flight& flight) {
    const uint64_t data = flight.status == k_ok ? flight.data_bytes : 0;
    flight.chain.mark_written(m_memory, 0, data);
    const uint64_t status_at = flight.chain.writable_bytes() - 1;
    const auto status = static_cast<uint8_t>(flight.status);
    const bool written = flight.chain.write(m_memory, status_at, &status, 1);
    m_session.queues[flight.queue]->push(flight.chain.head, written ? static_cast<uint32_t>(data + 1) : 0);
}

void VirtioBlk::save(StateWriter& writer) const {
    writer.section("virtio-blk", 2);
    writer.put(static_cast<uint8_t>(m_writeback ? 1 : 0));
    std::vector<Started> requests = m_restored;
    for (const auto& [number, request] : m_started) {
        requests.push_back(request);
    }
    writer.put(static_cast<uint32_t>(requests.size()));
    for (const Started& request : requests) {
        writer.put(request.queue);
        writer.put(request.head);
    }
}

void VirtioBlk::load(StateReader& reader) {
    const uint16_t version = reader.section("virtio-blk", 2);
    m_writeback = reader.get<uint8_t>() != 0;
    m_restored.clear();
    const uint32_t count = version < 2 ? 0 : reader.get<uint32_t>();
    if (count > m_config.queue_count * uint32_t{k_queue_size}) {
        reader.fail("more requests are on their way than the queues hold");
        return;
    }
    for (uint32_t index = 0; index < count; ++index) {
        const auto queue = reader.get<uint16_t>();
        const auto head = reader.get<uint16_t>();
        m_restored.push_back({queue, head});
    }
}

}  // namespace

std::unique_ptr<VirtioDevice> make_virtio_blk(GuestMemory& memory, std::shared_ptr<BlockBackend> backend, VirtioBlkConfig config) {
    return std::make_unique<VirtioBlk>(memory, std::move(backend), std::move(config));
}

}  // namespace skep
