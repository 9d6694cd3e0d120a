// SPDX-License-Identifier: GPL-3.0-or-later
// The rings between driver and controller (NVM Express 1.4, 4.1). Not thread-safe: the controller's gate guards them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "devices/nvme/nvme_command.hpp"
#include "devices/nvme/nvme_regs.hpp"
#include "vmm/device/state_io.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace skep {

class NvmeSubmissionQueue {
  public:
    // size: 2 .. nvme::k_most_entries entries.
    NvmeSubmissionQueue(GuestAddress base, uint32_t size, uint16_t completion_queue)
        : m_base(base), m_size(size), m_completion_queue(completion_queue) {}

    [[nodiscard]] uint16_t completion_queue() const { return m_completion_queue; }
    [[nodiscard]] uint16_t head() const { return static_cast<uint16_t>(m_head); }
    // False when the value lies outside the ring.
    [[nodiscard]] bool set_tail(uint32_t tail);
    // Never more commands under way than entries, whatever the doorbell says.
    [[nodiscard]] bool has_work() const { return m_head != m_tail && m_outstanding < m_size; }
    // Takes the next entry; nothing when the ring does not lie in memory.
    [[nodiscard]] std::optional<NvmeCommand> fetch(const GuestMemory& memory);
    void finished() { --m_outstanding; }
    // A command that needs no place of its own any longer (an event request), and that it has one again.
    void set_aside() { --m_outstanding; }
    void take_up() { ++m_outstanding; }
    [[nodiscard]] bool idle() const { return m_outstanding == 0; }

    void save(StateWriter& writer) const;
    [[nodiscard]] static std::optional<NvmeSubmissionQueue> load(StateReader& reader);

    std::optional<uint16_t> deletion;  // the Delete command that waits until it is idle

  private:
    GuestAddress m_base;
    uint32_t m_size;
    uint16_t m_completion_queue;
    uint32_t m_head = 0;
    uint32_t m_tail = 0;
    uint32_t m_outstanding = 0;
};

struct NvmeCompletion {
    uint32_t result = 0;
    uint16_t submission_queue = 0;
    uint16_t submission_head = 0;
    uint16_t cid = 0;
    uint16_t status = 0;  // bits 1 to 15 of the entry's status field
};

class NvmeCompletionQueue {
  public:
    enum class Interrupts : uint8_t { off, on };
    NvmeCompletionQueue(GuestAddress base, uint32_t size, Interrupts interrupts, uint16_t vector)
        : m_base(base), m_size(size), m_interrupts(interrupts), m_vector(vector) {}

    [[nodiscard]] bool set_head(uint32_t head);
    void add(const NvmeCompletion& completion) { m_waiting.push_back(completion); }
    // No room for what has been added: its submission queues take nothing more.
    [[nodiscard]] bool backed_up() const { return !m_waiting.empty(); }
    enum class Posted { none, some, failed };
    // Writes what fits; failed: the ring does not lie in memory.
    [[nodiscard]] Posted post(GuestMemory& memory);
    [[nodiscard]] bool interrupts() const { return m_interrupts == Interrupts::on; }
    [[nodiscard]] uint16_t vector() const { return m_vector; }
    [[nodiscard]] bool has_unread() const { return m_head != m_tail; }

    void save(StateWriter& writer) const;
    [[nodiscard]] static std::optional<NvmeCompletionQueue> load(StateReader& reader);

    unsigned users = 0;  // submission queues that complete here

  private:
    GuestAddress m_base;
    uint32_t m_size;
    Interrupts m_interrupts;
    uint16_t m_vector;
    uint32_t m_head = 0;
    uint32_t m_tail = 0;
    bool m_phase = true;
    std::deque<NvmeCompletion> m_waiting;
};

}  // namespace skep
