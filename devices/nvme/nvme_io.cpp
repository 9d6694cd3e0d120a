// SPDX-License-Identifier: GPL-3.0-or-later
// NvmeController: the NVM command set (NVM Express 1.4, chapter 6), and saving the controller in the middle of it.
#include <array>

#include "devices/nvme/nvme_controller.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace nvme;

namespace {

constexpr uint32_t k_force_unit_access = 1U << 30;
constexpr uint32_t k_deallocate = 1U << 25;       // of Write Zeroes
constexpr uint32_t k_attribute_deallocate = 4;    // of Dataset Management

struct Range {
    uint32_t attributes;
    uint32_t blocks;
    uint64_t start;
};
static_assert(sizeof(Range) == 16);

uint64_t blocks_of(const NvmeCommand& command) { return (command.cdw(12) & 0xffff) + uint64_t{1}; }

}  // namespace

bool NvmeController::in_range(uint64_t lba, uint64_t blocks) const {
    const uint64_t all = m_disk->info().size / m_disk->info().block_size;
    return lba <= all && blocks <= all - lba;
}

Durability NvmeController::durability(bool force_unit_access) const {
    const auto cache = m_features.find(k_volatile_write_cache);
    const bool cached = cache == m_features.end() || cache->second != 0;
    return force_unit_access || !cached ? Durability::through : Durability::cached;
}

void NvmeController::start_command(uint16_t queue, const NvmeCommand& command) {
    auto flight = std::make_shared<Flight>();
    flight->queue = queue;
    flight->command = command;
    flight->generation = m_generation;
    const bool flush = command.opcode() == k_flush;
    const bool changes = command.opcode() == k_write || command.opcode() == k_write_zeroes ||
                         (command.opcode() == k_dataset_management && (command.cdw(11) & k_attribute_deallocate) != 0);
    StatusCode status = k_success;
    if (!command.plain_prps()) {
        status = k_invalid_field;
    } else if (command.nsid() != 1 && !(flush && command.nsid() == k_broadcast_namespace)) {
        status = k_invalid_namespace;
    } else if (changes && m_disk->info().read_only) {
        status = k_write_protected;
    } else if (flush) {
        submit(flight, {.op = BlockOp::flush, .buffers = {}, .done = {}});
    } else {
        switch (command.opcode()) {
            case k_read:
            case k_write: status = start_transfer(flight); break;
            case k_write_zeroes: status = start_write_zeroes(flight); break;
            case k_dataset_management: status = start_dataset_management(flight); break;
            default: status = k_invalid_opcode; break;
        }
    }
    if (flight->number == 0) {  // the disk has none of it
        complete(queue, command.cid(), status);
    }
}

StatusCode NvmeController::start_transfer(const std::shared_ptr<Flight>& flight) {
    const NvmeCommand& command = flight->command;
    const bool to_guest = command.opcode() == k_read;
    const uint64_t block_size = m_disk->info().block_size;
    const uint64_t bytes = blocks_of(command) * block_size;
    if (!in_range(command.slba(), blocks_of(command))) {
        return k_lba_out_of_range;
    }
    if (bytes > k_most_transfer) {
        return k_invalid_field;
    }
    PrpResult place = read_prps(context().memory, command.prp1(), command.prp2(), bytes);
    if (place.status != k_success) {
        return place.status;
    }
    auto buffers = place.buffer.map(context().memory, 0, bytes, to_guest);
    if (!buffers) {
        return k_data_transfer_error;
    }
    flight->buffer = std::move(place.buffer);
    flight->bytes_to_guest = to_guest ? bytes : 0;
    (to_guest ? m_usage.bytes_read : m_usage.bytes_written) += bytes;
    ++(to_guest ? m_usage.reads : m_usage.writes);
    submit(flight, {.op = to_guest ? BlockOp::read : BlockOp::write,
                    .offset = command.slba() * block_size,
                    .buffers = std::move(*buffers),
                    .durability = durability((command.cdw(12) & k_force_unit_access) != 0),
                    .done = {}});
    return k_success;
}

StatusCode NvmeController::start_write_zeroes(const std::shared_ptr<Flight>& flight) {
    const NvmeCommand& command = flight->command;
    const uint64_t block_size = m_disk->info().block_size;
    if (!in_range(command.slba(), blocks_of(command))) {
        return k_lba_out_of_range;
    }
    submit(flight, {.op = BlockOp::write_zeroes,
                    .offset = command.slba() * block_size,
                    .length = blocks_of(command) * block_size,
                    .buffers = {},
                    .durability = durability((command.cdw(12) & k_force_unit_access) != 0),
                    .may_unmap = (command.cdw(12) & k_deallocate) != 0,
                    .done = {}});
    return k_success;
}

// Its other attributes are hints, and a disk that cannot give blocks back may keep them (6.7).
StatusCode NvmeController::start_dataset_management(const std::shared_ptr<Flight>& flight) {
    const NvmeCommand& command = flight->command;
    const size_t count = bits(command.cdw(10), 0, 8) + 1;
    std::array<Range, 256> ranges{};
    const PrpResult place = read_prps(context().memory, command.prp1(), command.prp2(), count * sizeof(Range));
    if (place.status != k_success) {
        return place.status;
    }
    const std::span bytes(reinterpret_cast<uint8_t*>(ranges.data()), count * sizeof(Range));
    if (!place.buffer.read(context().memory, 0, bytes)) {
        return k_data_transfer_error;
    }
    const uint64_t block_size = m_disk->info().block_size;
    std::vector<BlockRequest> requests;
    for (const Range& range : std::span(ranges).first(count)) {
        if (!in_range(range.start, range.blocks)) {
            return k_lba_out_of_range;
        }
        if (range.blocks != 0) {
            requests.push_back({.op = BlockOp::discard,
                                .offset = range.start * block_size,
                                .length = range.blocks * block_size,
                                .buffers = {},
                                .done = {}});
        }
    }
    if ((command.cdw(11) & k_attribute_deallocate) == 0 || !m_disk->info().can_discard) {
        return k_success;
    }
    flight->parts = static_cast<unsigned>(requests.size());
    for (BlockRequest& request : requests) {
        submit(flight, std::move(request));
    }
    return k_success;
}

void NvmeController::submit(std::shared_ptr<Flight> flight, BlockRequest request) {
    ++m_in_flight;
    if (flight->number == 0) {
        flight->number = ++m_last_number;
        m_started[flight->number] = {flight->queue, flight->command};
    }
    request.done = [this, flight = std::move(flight)](BlockStatus status) {
        const std::lock_guard lock(gate());
        part_done(*flight, status);
    };
    m_disk->submit(std::move(request));
}

void NvmeController::part_done(Flight& flight, BlockStatus status) {
    if (flight.generation != m_generation) {
        orphan_done();
        return;
    }
    --m_in_flight;
    if (status != BlockStatus::ok && status != BlockStatus::unsupported) {
        flight.status = flight.command.opcode() == k_read ? k_unrecovered_read : k_write_fault;
    }
    if (--flight.parts != 0) {
        return;
    }
    m_started.erase(flight.number);
    flight.buffer.mark_written(context().memory, 0, flight.status == k_success ? flight.bytes_to_guest : 0);
    complete(flight.queue, flight.command.cid(), flight.status);
    process(flight.queue);
}

void NvmeController::save(StateWriter& writer) const {
    PciFunction::save(writer);
    writer.section(name(), 1);
    for (const uint32_t each : {m_cc, m_csts, m_interrupt_mask, m_aqa}) {
        writer.put(each);
    }
    writer.put(m_asq);
    writer.put(m_acq);
    writer.put(static_cast<uint16_t>(m_completion_queues.size()));
    for (const auto& [id, queue] : m_completion_queues) {
        writer.put(id);
        queue.save(writer);
    }
    writer.put(static_cast<uint16_t>(m_submission_queues.size()));
    for (const auto& [id, queue] : m_submission_queues) {
        writer.put(id);
        queue.save(writer);
    }
    writer.put(static_cast<uint8_t>(m_features.size()));
    for (const auto& [feature, value] : m_features) {
        writer.put(feature);
        writer.put(value);
    }
    writer.put(static_cast<uint8_t>(m_event_requests.size()));
    for (const uint16_t cid : m_event_requests) {
        writer.put(cid);
    }
    writer.put(static_cast<uint8_t>(m_events.size()));
    for (const uint32_t what : m_events) {
        writer.put(what);
    }
    for (const uint64_t each : {m_usage.bytes_read, m_usage.bytes_written, m_usage.reads, m_usage.writes}) {
        writer.put(each);
    }
    // One that waits for room on the host's disk outlives a pause.
    std::vector<Started> started = m_restored;
    for (const auto& [number, each] : m_started) {
        started.push_back(each);
    }
    writer.put(static_cast<uint32_t>(started.size()));
    for (const Started& each : started) {
        writer.put(each.queue);
        for (const uint32_t dword : each.command.dwords) {
            writer.put(dword);
        }
    }
}

void NvmeController::load(StateReader& reader) {
    quiesce(Held::cancel);
    PciFunction::load(reader);
    const std::lock_guard lock(gate());
    power_on_registers();
    reader.section(name(), 1);
    for (uint32_t* each : {&m_cc, &m_csts, &m_interrupt_mask, &m_aqa}) {
        reader.get(*each);
    }
    reader.get(m_asq);
    reader.get(m_acq);
    const auto completion_queues = reader.get<uint16_t>();
    for (unsigned i = 0; i < completion_queues && reader.ok(); ++i) {
        const auto id = reader.get<uint16_t>();
        auto queue = NvmeCompletionQueue::load(reader);
        if (!queue || id > m_queue_pairs || !m_completion_queues.emplace(id, std::move(*queue)).second) {
            reader.fail("a completion queue that cannot be");
        }
    }
    const auto submission_queues = reader.get<uint16_t>();
    for (unsigned i = 0; i < submission_queues && reader.ok(); ++i) {
        const auto id = reader.get<uint16_t>();
        const auto queue = NvmeSubmissionQueue::load(reader);
        NvmeCompletionQueue* answers = queue ? completion_queue(queue->completion_queue()) : nullptr;
        if (answers == nullptr || id > m_queue_pairs || !m_submission_queues.emplace(id, *queue).second) {
            reader.fail("a submission queue that cannot be");
            break;
        }
        ++answers->users;
    }
    NvmeSubmissionQueue* admin_queue = submission_queue(0);
    if (!m_submission_queues.empty() && admin_queue == nullptr) {
        reader.fail("queues without an admin queue");
        return;
    }
    for (const auto& [id, queue] : m_submission_queues) {
        if (queue.deletion) {
            admin_queue->take_up();  // by the command that waits for it
        }
    }
    const auto features = reader.get<uint8_t>();
    for (unsigned i = 0; i < features && reader.ok(); ++i) {
        const auto feature = reader.get<uint8_t>();
        m_features[feature] = reader.get<uint32_t>();
    }
    const auto requests = reader.get<uint8_t>();
    for (unsigned i = 0; i < requests && reader.ok(); ++i) {
        m_event_requests.push_back(reader.get<uint16_t>());
    }
    const auto events = reader.get<uint8_t>();
    for (unsigned i = 0; i < events && reader.ok(); ++i) {
        m_events.push_back(reader.get<uint32_t>());
    }
    for (uint64_t* each : {&m_usage.bytes_read, &m_usage.bytes_written, &m_usage.reads, &m_usage.writes}) {
        reader.get(*each);
    }
    const auto started = reader.get<uint32_t>();
    if (started > m_queue_pairs * k_most_entries || (!m_event_requests.empty() && submission_queue(0) == nullptr)) {
        reader.fail("more commands are on their way than the queues hold");
    }
    for (unsigned i = 0; i < started && reader.ok(); ++i) {
        Started each;
        reader.get(each.queue);
        for (uint32_t& dword : each.command.dwords) {
            reader.get(dword);
        }
        m_restored.push_back(each);
    }
    if ((m_cc & k_cc_en) == 0) {
        m_csts &= ~k_csts_rdy;
    }
    if ((m_csts & k_csts_shst) == k_csts_shutting_down) {
        shut_down();  // its flush was under way
    }
    update_intx();
}

}  // namespace skep
