// SPDX-License-Identifier: GPL-3.0-or-later
// An NVM Express controller with one namespace (NVM Express base specification 1.4): registers, queues, the admin and NVM
// command sets with flush, dataset management and write zeroes. Left out, and said so in Identify: scatter-gather lists,
// namespaces beyond the first, fused commands, firmware update, formatting, security, controller memory buffers.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "devices/nvme/nvme_identify.hpp"
#include "devices/nvme/nvme_prp.hpp"
#include "devices/nvme/nvme_queues.hpp"
#include "devices/pci/pci_function.hpp"

namespace skep {

struct NvmeConfig {
    std::string serial;        // up to 20 printable characters
    unsigned queue_pairs = 2;  // for commands to the disk, 2 .. 16; edk2's driver (OVMF) starts with no fewer than two
};

class NvmeController final : public PciFunction {
  public:
    // name: of the device in saved states and logs. A full host disk becomes a MachineRequest::pause_no_space; after making
    // room call retry() of the back end, whose block size is 512.
    NvmeController(DeviceContext& context, std::string name, PciAddress address, std::shared_ptr<BlockBackend> disk,
                   NvmeConfig config);
    ~NvmeController() override;

    void reset() override;
    void pause() override;
    void resume() override;
    void save(StateWriter& writer) const override;
    void load(StateReader& reader) override;

  private:
    // A command that the disk has; shared by the completions of its parts.
    struct Flight {
        uint64_t number = 0;      // its place in m_started
        uint64_t generation = 0;  // of the controller; an older one's results are dropped
        uint16_t queue = 0;
        NvmeCommand command;
        GuestBuffer buffer;
        uint64_t bytes_to_guest = 0;
        unsigned parts = 1;
        nvme::StatusCode status = nvme::k_success;
    };
    struct Started {
        uint16_t queue = 0;
        NvmeCommand command;
    };

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value) override;
    void bus_master_allowed() override;

    // --- nvme_controller.cpp: registers and life
    [[nodiscard]] uint32_t read_register(unsigned offset) const;
    void write_register(unsigned offset, uint32_t value);
    void write_cc(uint32_t value);
    void enable();
    void disable();
    void shut_down();
    void power_on_registers();
    void fatal(const char* why);
    void orphan_done();
    enum class Held { keep, cancel };
    void quiesce(Held held);  // without the gate

    // --- nvme_rings.cpp: doorbells, taking commands, completing them, interrupts
    void doorbell(unsigned index, uint32_t value);
    void process(uint16_t queue);
    void process_all();
    void execute(uint16_t queue, const NvmeCommand& command);
    void complete(uint16_t queue, uint16_t cid, nvme::StatusCode status, uint32_t result = 0);
    void post(uint16_t completion_queue);
    void finish_deletion(uint16_t queue);
    void event(uint32_t what);
    void update_intx();
    [[nodiscard]] NvmeSubmissionQueue* submission_queue(unsigned id);
    [[nodiscard]] NvmeCompletionQueue* completion_queue(unsigned id);

    // --- nvme_admin.cpp
    struct Answer {
        nvme::StatusCode status = nvme::k_success;
        uint32_t result = 0;
        bool later = false;  // completed some other time
    };
    [[nodiscard]] Answer admin(const NvmeCommand& command);
    [[nodiscard]] Answer identify(const NvmeCommand& command);
    [[nodiscard]] Answer get_log_page(const NvmeCommand& command);
    [[nodiscard]] Answer set_features(const NvmeCommand& command);
    [[nodiscard]] Answer get_features(const NvmeCommand& command);
    [[nodiscard]] Answer create_completion_queue(const NvmeCommand& command);
    [[nodiscard]] Answer create_submission_queue(const NvmeCommand& command);
    [[nodiscard]] Answer delete_completion_queue(const NvmeCommand& command);
    [[nodiscard]] Answer delete_submission_queue(const NvmeCommand& command);
    [[nodiscard]] Answer request_event(const NvmeCommand& command);
    [[nodiscard]] Answer give(const NvmeCommand& command, std::span<const uint8_t> data);
    [[nodiscard]] uint32_t default_feature(uint8_t feature) const;

    // --- nvme_io.cpp
    void start_command(uint16_t queue, const NvmeCommand& command);
    [[nodiscard]] nvme::StatusCode start_transfer(const std::shared_ptr<Flight>& flight);
    [[nodiscard]] nvme::StatusCode start_write_zeroes(const std::shared_ptr<Flight>& flight);
    [[nodiscard]] nvme::StatusCode start_dataset_management(const std::shared_ptr<Flight>& flight);
    void submit(std::shared_ptr<Flight> flight, BlockRequest request);
    void part_done(Flight& flight, BlockStatus status);
    [[nodiscard]] bool in_range(uint64_t lba, uint64_t blocks) const;
    [[nodiscard]] Durability durability(bool force_unit_access) const;

    const std::shared_ptr<BlockBackend> m_disk;
    const unsigned m_queue_pairs;
    NvmeIdentity m_identity;

    uint32_t m_cc = 0;
    uint32_t m_csts = 0;
    uint32_t m_interrupt_mask = 0;
    uint32_t m_aqa = 0;
    uint64_t m_asq = 0;
    uint64_t m_acq = 0;
    std::map<uint16_t, NvmeSubmissionQueue> m_submission_queues;
    std::map<uint16_t, NvmeCompletionQueue> m_completion_queues;
    std::map<uint8_t, uint32_t> m_features;  // those that differ from their defaults
    std::vector<uint16_t> m_event_requests;  // commands that wait for an event
    std::vector<uint32_t> m_events;          // events that wait for a command

    NvmeUsage m_usage;
    std::map<uint64_t, Started> m_started;  // in the order of their start
    uint64_t m_last_number = 0;
    uint64_t m_generation = 0;
    unsigned m_in_flight = 0;         // host requests of this generation
    unsigned m_orphans = 0;           // ... of earlier ones
    bool m_stopped = false;           // takes no commands until resume()
    std::vector<Started> m_restored;  // of a saved state, to be started by resume()
};

}  // namespace skep
