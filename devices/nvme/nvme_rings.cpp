// SPDX-License-Identifier: GPL-3.0-or-later
// NvmeController: doorbells, taking commands, completing them, interrupts (NVM Express 1.4, 3.1.24, 4.1, 7.2, 7.5).
#include "devices/nvme/nvme_controller.hpp"
#include "vmm/base/bits.hpp"

namespace skep {

using namespace nvme;

NvmeSubmissionQueue* NvmeController::submission_queue(unsigned id) {
    const auto found = m_submission_queues.find(static_cast<uint16_t>(id));
    return found == m_submission_queues.end() ? nullptr : &found->second;
}

NvmeCompletionQueue* NvmeController::completion_queue(unsigned id) {
    const auto found = m_completion_queues.find(static_cast<uint16_t>(id));
    return found == m_completion_queues.end() ? nullptr : &found->second;
}

// index: twice the queue, plus one for its completion queue.
void NvmeController::doorbell(unsigned index, uint32_t value) {
    if ((m_csts & k_csts_rdy) == 0 || (m_cc & k_cc_en) == 0) {
        return;
    }
    const auto id = static_cast<uint16_t>(index / 2);
    if (index % 2 == 0) {
        NvmeSubmissionQueue* queue = submission_queue(id);
        if (queue == nullptr || queue->deletion) {
            event(k_event_invalid_doorbell);
        } else if (!queue->set_tail(value)) {
            event(k_event_invalid_doorbell_value);
        } else {
            process(id);
        }
        return;
    }
    NvmeCompletionQueue* queue = completion_queue(id);
    if (queue == nullptr) {
        event(k_event_invalid_doorbell);
        return;
    }
    if (!queue->set_head(value)) {
        event(k_event_invalid_doorbell_value);
        return;
    }
    const bool backed_up = queue->backed_up();
    post(id);
    if (backed_up) {
        process_all();
    }
}

void NvmeController::process(uint16_t id) {
    for (;;) {
        // Looked up anew each time: the command before may have removed it.
        NvmeSubmissionQueue* queue = submission_queue(id);
        if (queue == nullptr || queue->deletion || !queue->has_work() || m_stopped || !bus_master() ||
            (m_csts & k_csts_cfs) != 0 || completion_queue(queue->completion_queue())->backed_up()) {
            return;
        }
        const std::optional<NvmeCommand> command = queue->fetch(context().memory);
        if (!command) {
            fatal("a submission queue lies outside memory");
            return;
        }
        execute(id, *command);
    }
}

void NvmeController::process_all() {
    std::vector<uint16_t> ids;
    for (const auto& [id, queue] : m_submission_queues) {
        ids.push_back(id);
    }
    for (const uint16_t id : ids) {
        process(id);
    }
}

void NvmeController::execute(uint16_t queue, const NvmeCommand& command) {
    if (queue != 0) {
        start_command(queue, command);
        return;
    }
    const Answer answer = command.plain_prps() ? admin(command) : Answer{k_invalid_field};
    if (!answer.later) {
        complete(0, command.cid(), answer.status, answer.result);
    }
}

void NvmeController::complete(uint16_t id, uint16_t cid, StatusCode status, uint32_t result) {
    constexpr uint16_t k_do_not_retry = 1 << 14;
    NvmeSubmissionQueue& queue = *submission_queue(id);
    queue.finished();
    const bool final_answer = status != k_success && status != k_write_fault && status != k_unrecovered_read;
    const uint16_t completion_id = queue.completion_queue();
    completion_queue(completion_id)
        ->add({result, id, queue.head(), cid, static_cast<uint16_t>(status | (final_answer ? k_do_not_retry : 0))});
    post(completion_id);
    if (queue.deletion && queue.idle()) {
        finish_deletion(id);
    }
}

void NvmeController::post(uint16_t id) {
    NvmeCompletionQueue& queue = *completion_queue(id);
    const NvmeCompletionQueue::Posted posted = queue.post(context().memory);
    if (posted == NvmeCompletionQueue::Posted::failed) {
        fatal("a completion queue lies outside memory");
    }
    if (posted == NvmeCompletionQueue::Posted::some && queue.interrupts() && msix_enabled()) {
        notify_message(queue.vector());
    }
    update_intx();
}

// 7.5.1: the pin is high while something unread lies in a queue whose vector is not masked.
void NvmeController::update_intx() {
    bool level = false;
    for (const auto& [id, queue] : m_completion_queues) {
        const bool masked = queue.vector() < 32 && (m_interrupt_mask & bit(queue.vector())) != 0;
        level = level || (queue.interrupts() && !masked && queue.has_unread());
    }
    set_intx(level);
}

void NvmeController::finish_deletion(uint16_t id) {
    const NvmeSubmissionQueue& queue = *submission_queue(id);
    const uint16_t cid = *queue.deletion;
    --completion_queue(queue.completion_queue())->users;
    m_submission_queues.erase(id);
    complete(0, cid, k_success);
}

// 5.2: an event goes out with a request that waits for one; without any it waits, one of each kind.
void NvmeController::event(uint32_t what) {
    guest_errors().report("a doorbell of no queue, or a value outside it");
    if (m_event_requests.empty()) {
        if (std::find(m_events.begin(), m_events.end(), what) == m_events.end()) {
            m_events.push_back(what);
        }
        return;
    }
    const uint16_t cid = m_event_requests.front();
    m_event_requests.erase(m_event_requests.begin());
    submission_queue(0)->take_up();
    complete(0, cid, k_success, what);
}

}  // namespace skep
