// SPDX-License-Identifier: GPL-3.0-or-later
// NvmeController: the admin command set (NVM Express 1.4, chapter 5).
#include <algorithm>
#include <cstring>
#include <optional>

#include "devices/nvme/nvme_controller.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace nvme;

namespace {

constexpr size_t k_most_event_requests = 4;

enum Cns : uint8_t { k_cns_namespace = 0, k_cns_controller = 1, k_cns_active_namespaces = 2, k_cns_descriptors = 3 };
// What both commands that create a queue carry (5.3, 5.4: PRP1, command dwords 10 and 11).
struct NewQueue {
    explicit NewQueue(const NvmeCommand& command)
        : id(static_cast<uint16_t>(command.cdw(10))),
          entries((command.cdw(10) >> 16) + 1),
          base(command.prp1()),
          contiguous((command.cdw(11) & 1) != 0),
          other(static_cast<uint16_t>(command.cdw(11) >> 16)) {}

    // Nothing where the queue can lie there.
    [[nodiscard]] std::optional<StatusCode> refused() const {
        if (entries < 2 || entries > k_most_entries) {
            return k_invalid_queue_size;
        }
        if (!contiguous) {
            return k_invalid_field;
        }
        return base % k_nvme_page != 0 ? std::optional(k_invalid_prp_offset) : std::nullopt;
    }

    uint16_t id;
    uint32_t entries;
    uint64_t base;
    bool contiguous;
    uint16_t other;  // the interrupt vector, or the completion queue
};

enum LogPage : uint8_t { k_error_log = 1, k_health_log = 2, k_firmware_log = 3 };

}  // namespace

NvmeController::Answer NvmeController::admin(const NvmeCommand& command) {
    switch (command.opcode()) {
        case k_delete_submission_queue: return delete_submission_queue(command);
        case k_create_submission_queue: return create_submission_queue(command);
        case k_get_log_page: return get_log_page(command);
        case k_delete_completion_queue: return delete_completion_queue(command);
        case k_create_completion_queue: return create_completion_queue(command);
        case k_identify: return identify(command);
        case k_abort: return {k_success, 1};  // 5.1: it may say that it did not, which is all a busy disk could
        case k_set_features: return set_features(command);
        case k_get_features: return get_features(command);
        case k_asynchronous_event_request: return request_event(command);
        default: return {k_invalid_opcode};
    }
}

// Puts data where the command wants it.
NvmeController::Answer NvmeController::give(const NvmeCommand& command, std::span<const uint8_t> data) {
    const PrpResult place = read_prps(context().memory, command.prp1(), command.prp2(), data.size());
    if (place.status != k_success) {
        return {place.status};
    }
    return {place.buffer.write(context().memory, 0, data) ? k_success : k_data_transfer_error};
}

NvmeController::Answer NvmeController::identify(const NvmeCommand& command) {
    const uint32_t nsid = command.nsid();
    switch (bits(command.cdw(10), 0, 8)) {
        case k_cns_namespace:
            return nsid == 1 ? give(command, identify_namespace(m_disk->info())) : Answer{k_invalid_namespace};
        case k_cns_controller: return give(command, identify_controller(m_identity, m_disk->info()));
        case k_cns_active_namespaces: {
            if (nsid >= k_broadcast_namespace - 1) {
                return {k_invalid_namespace};
            }
            NvmePage list{};
            list[0] = nsid < 1 ? 1 : 0;  // those above nsid
            return give(command, list);
        }
        case k_cns_descriptors:
            return nsid == 1 ? give(command, identify_descriptors(m_identity)) : Answer{k_invalid_namespace};
        default: return {k_invalid_field};
    }
}

NvmeController::Answer NvmeController::get_log_page(const NvmeCommand& command) {
    std::vector<uint8_t> log;
    switch (bits(command.cdw(10), 0, 8)) {
        case k_error_log: log.resize(64); break;  // one entry, which was never used
        case k_health_log: log = health_log(m_usage); break;
        case k_firmware_log: log = firmware_log(); break;
        default: return {k_invalid_log_page};
    }
    const uint64_t bytes = ((command.cdw(10) >> 16 | (command.cdw(11) & 0xffff) << 16) + uint64_t{1}) * 4;
    const uint64_t offset = command.cdw(12) | uint64_t{command.cdw(13)} << 32;
    if (bytes > k_most_transfer || offset > log.size() || offset % 4 != 0) {
        return {k_invalid_field};
    }
    log.erase(log.begin(), log.begin() + static_cast<long>(offset));
    log.resize(bytes);
    return give(command, log);
}

uint32_t NvmeController::default_feature(uint8_t feature) const {
    switch (feature) {
        case k_volatile_write_cache: return 1;
        case k_number_of_queues: return (m_queue_pairs - 1) | (m_queue_pairs - 1) << 16;
        case k_temperature_threshold: return 343;
        default: return 0;
    }
}

NvmeController::Answer NvmeController::get_features(const NvmeCommand& command) {
    const auto feature = static_cast<uint8_t>(command.cdw(10));
    const auto select = bits(command.cdw(10), 8, 3);
    if (feature < k_arbitration || feature > k_asynchronous_event_configuration || feature == 0x03 || select > 3) {
        return {k_invalid_field};
    }
    if (select == 3) {
        constexpr uint32_t k_changeable = 4;
        return {k_success, feature == k_number_of_queues ? 0 : k_changeable};
    }
    if (feature == k_interrupt_vector_configuration) {
        const uint32_t vector = command.cdw(11) & 0xffff;
        return vector <= m_queue_pairs ? Answer{k_success, vector} : Answer{k_invalid_field};
    }
    if (feature == k_temperature_threshold && (command.cdw(11) & 0x0030'0000) != 0) {
        return {k_success, 0};  // the lower threshold: none
    }
    const auto found = m_features.find(feature);
    return {k_success, select == 0 && found != m_features.end() ? found->second : default_feature(feature)};
}

NvmeController::Answer NvmeController::set_features(const NvmeCommand& command) {
    const auto feature = static_cast<uint8_t>(command.cdw(10));
    const uint32_t value = command.cdw(11);
    if ((command.cdw(10) & bit(31)) != 0) {
        return {k_not_saveable};
    }
    switch (feature) {
        case k_number_of_queues:
            // As many as there are, whatever was asked for (5.21.1.7); ffffh is no number.
            if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff) {
                return {k_invalid_field};
            }
            return {k_success, default_feature(feature)};
        case k_power_management: return {(value & 0x1f) == 0 ? k_success : k_invalid_field};
        case k_interrupt_vector_configuration: return {(value & 0xffff) <= m_queue_pairs ? k_success : k_invalid_field};
        case k_volatile_write_cache: m_features[feature] = value & 1; return {};
        case k_temperature_threshold:
            if ((value & 0x0030'0000) == 0) {
                m_features[feature] = value & 0xffff;
            }
            return {};
        case k_arbitration:
        case k_error_recovery:
        case k_interrupt_coalescing:
        case k_write_atomicity:
        case k_asynchronous_event_configuration: m_features[feature] = value; return {};
        default: return {k_invalid_field};
    }
}

NvmeController::Answer NvmeController::create_completion_queue(const NvmeCommand& command) {
    const NewQueue queue(command);
    const bool interrupts = (command.cdw(11) & 2) != 0;
    if (queue.id == 0 || queue.id > m_queue_pairs || completion_queue(queue.id) != nullptr) {
        return {k_invalid_queue_identifier};
    }
    if (const auto why = queue.refused()) {
        return {*why};
    }
    if (interrupts && queue.other > m_queue_pairs) {
        return {k_invalid_interrupt_vector};
    }
    using Interrupts = NvmeCompletionQueue::Interrupts;
    m_completion_queues.emplace(queue.id, NvmeCompletionQueue(queue.base, queue.entries,
                                                              interrupts ? Interrupts::on : Interrupts::off, queue.other));
    return {};
}

NvmeController::Answer NvmeController::create_submission_queue(const NvmeCommand& command) {
    const NewQueue queue(command);
    if (queue.id == 0 || queue.id > m_queue_pairs || submission_queue(queue.id) != nullptr) {
        return {k_invalid_queue_identifier};
    }
    if (queue.other == 0 || completion_queue(queue.other) == nullptr) {
        return {queue.other > m_queue_pairs ? k_invalid_queue_identifier : k_completion_queue_invalid};
    }
    if (const auto why = queue.refused()) {
        return {*why};
    }
    m_submission_queues.emplace(queue.id, NvmeSubmissionQueue(queue.base, queue.entries, queue.other));
    ++completion_queue(queue.other)->users;
    return {};
}

NvmeController::Answer NvmeController::delete_completion_queue(const NvmeCommand& command) {
    const auto id = static_cast<uint16_t>(command.cdw(10));
    const NvmeCompletionQueue* queue = completion_queue(id);
    if (id == 0 || queue == nullptr) {
        return {k_invalid_queue_identifier};
    }
    if (queue->users != 0) {
        return {k_invalid_queue_deletion};
    }
    m_completion_queues.erase(id);
    update_intx();
    return {};
}

// 5.6: completes when all of the queue's commands have completed.
NvmeController::Answer NvmeController::delete_submission_queue(const NvmeCommand& command) {
    const auto id = static_cast<uint16_t>(command.cdw(10));
    NvmeSubmissionQueue* queue = submission_queue(id);
    if (id == 0 || queue == nullptr || queue->deletion) {
        return {k_invalid_queue_identifier};
    }
    queue->deletion = command.cid();
    if (queue->idle()) {
        finish_deletion(id);
    }
    return {.later = true};
}

NvmeController::Answer NvmeController::request_event(const NvmeCommand& command) {
    if (!m_events.empty()) {
        const uint32_t what = m_events.front();
        m_events.erase(m_events.begin());
        return {k_success, what};
    }
    if (m_event_requests.size() == k_most_event_requests) {
        return {k_event_limit_exceeded};
    }
    m_event_requests.push_back(command.cid());
    submission_queue(0)->set_aside();
    return {.later = true};
}

}  // namespace skep
