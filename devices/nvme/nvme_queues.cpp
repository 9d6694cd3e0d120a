// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nvme/nvme_queues.hpp"

namespace skep {
namespace {

constexpr uint32_t k_most_waiting = 64 * nvme::k_most_entries;  // in a saved state: all queues' commands

bool good_ring(uint32_t size, uint32_t head, uint32_t tail) {
    return size >= 2 && size <= nvme::k_most_entries && head < size && tail < size;
}

}  // namespace

bool NvmeSubmissionQueue::set_tail(uint32_t tail) {
    if (tail >= m_size) {
        return false;
    }
    m_tail = tail;
    return true;
}

std::optional<NvmeCommand> NvmeSubmissionQueue::fetch(const GuestMemory& memory) {
    const auto command = memory.read_value<NvmeCommand>(m_base + (uint64_t{m_head} << nvme::k_submission_entry_shift));
    if (command) {
        m_head = (m_head + 1) % m_size;
        ++m_outstanding;
    }
    return command;
}

void NvmeSubmissionQueue::save(StateWriter& writer) const {
    writer.put(m_base);
    writer.put(m_size);
    writer.put(m_completion_queue);
    writer.put(m_head);
    writer.put(m_tail);
    writer.put(static_cast<uint8_t>(deletion ? 1 : 0));
    writer.put(deletion.value_or(0));
}

std::optional<NvmeSubmissionQueue> NvmeSubmissionQueue::load(StateReader& reader) {
    const auto base = reader.get<uint64_t>();
    const auto size = reader.get<uint32_t>();
    NvmeSubmissionQueue queue(base, size, reader.get<uint16_t>());
    reader.get(queue.m_head);
    reader.get(queue.m_tail);
    const bool deleting = reader.get<uint8_t>() != 0;
    const auto cid = reader.get<uint16_t>();
    if (deleting) {
        queue.deletion = cid;
    }
    return good_ring(size, queue.m_head, queue.m_tail) ? std::optional(queue) : std::nullopt;
}

bool NvmeCompletionQueue::set_head(uint32_t head) {
    // From the old head forward to the tail: an entry that was never written cannot have been read.
    const uint32_t unread = (m_tail + m_size - m_head) % m_size;
    if (head >= m_size || (head + m_size - m_head) % m_size > unread) {
        return false;
    }
    m_head = head;
    return true;
}

NvmeCompletionQueue::Posted NvmeCompletionQueue::post(GuestMemory& memory) {
    Posted posted = Posted::none;
    while (!m_waiting.empty() && (m_tail + 1) % m_size != m_head) {
        const NvmeCompletion& next = m_waiting.front();
        const GuestAddress at = m_base + (uint64_t{m_tail} << nvme::k_completion_entry_shift);
        const std::array<uint32_t, 3> first{next.result, 0, next.submission_head | uint32_t{next.submission_queue} << 16};
        const uint32_t last = next.cid | uint32_t{m_phase} << 16 | uint32_t{next.status} << 17;
        // The phase tag last: who sees it sees the rest.
        if (!memory.write_value(at, first) || !memory.write_value(at + sizeof first, last)) {
            return Posted::failed;
        }
        m_waiting.pop_front();
        m_tail = (m_tail + 1) % m_size;
        m_phase = m_tail == 0 ? !m_phase : m_phase;
        posted = Posted::some;
    }
    return posted;
}

void NvmeCompletionQueue::save(StateWriter& writer) const {
    writer.put(m_base);
    writer.put(m_size);
    writer.put(m_interrupts);
    writer.put(m_vector);
    writer.put(m_head);
    writer.put(m_tail);
    writer.put(static_cast<uint8_t>(m_phase ? 1 : 0));
    writer.put(static_cast<uint32_t>(m_waiting.size()));
    for (const NvmeCompletion& each : m_waiting) {
        writer.put(each.result);
        writer.put(each.submission_queue);
        writer.put(each.submission_head);
        writer.put(each.cid);
        writer.put(each.status);
    }
}

std::optional<NvmeCompletionQueue> NvmeCompletionQueue::load(StateReader& reader) {
    const auto base = reader.get<uint64_t>();
    const auto size = reader.get<uint32_t>();
    const auto interrupts = reader.get<uint8_t>() != 0 ? Interrupts::on : Interrupts::off;
    NvmeCompletionQueue queue(base, size, interrupts, reader.get<uint16_t>());
    reader.get(queue.m_head);
    reader.get(queue.m_tail);
    queue.m_phase = reader.get<uint8_t>() != 0;
    const auto waiting = reader.get<uint32_t>();
    if (!good_ring(size, queue.m_head, queue.m_tail) || waiting > k_most_waiting) {
        return std::nullopt;
    }
    for (uint32_t i = 0; i < waiting && reader.ok(); ++i) {
        NvmeCompletion each;
        reader.get(each.result);
        reader.get(each.submission_queue);
        reader.get(each.submission_head);
        reader.get(each.cid);
        reader.get(each.status);
        queue.m_waiting.push_back(each);
    }
    return queue;
}

}  // namespace skep
