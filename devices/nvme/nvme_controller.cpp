// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/nvme/nvme_controller.hpp"

#include <algorithm>

#include "devices/block/block_requests.hpp"
#include "vmm/base/bits.hpp"

namespace skep {
namespace {

using namespace nvme;

constexpr uint64_t k_bar_size = 0x4000;
constexpr uint32_t k_msix_table = 0x2000, k_msix_pending = 0x3000;
// Class 01 08 02: NVM Express I/O controller. The id pair is one that drivers know to be virtual.
constexpr PciIdentity k_identity{
    .vendor = 0x1b36, .device = 0x0010, .class_code = 0x010802, .revision = 2, .pin = IntxPin::a};
constexpr unsigned k_least_queue_pairs = 2, k_most_queue_pairs = 16;

}  // namespace

NvmeController::NvmeController(DeviceContext& context, std::string name, PciAddress address, std::shared_ptr<BlockBackend> disk,
                               NvmeConfig config)
    : PciFunction(context, std::move(name), address, k_identity),
      m_disk(std::move(disk)),
      m_queue_pairs(std::clamp(config.queue_pairs, k_least_queue_pairs, k_most_queue_pairs)),
      m_identity{.serial = std::move(config.serial),
                 .vendor = k_identity.vendor,
                 .subsystem_vendor = k_identity.subsystem_vendor} {
    add_bar({.index = 0, .kind = BarKind::memory64, .size = k_bar_size, .max_width = 4});
    add_msix(m_queue_pairs + 1, 0, k_msix_table, k_msix_pending);
    m_disk->set_on_no_space([this](const std::string& sentence) {
        this->context().machine.request(MachineRequest::pause_no_space, 0, sentence);
    });
}

NvmeController::~NvmeController() { quiesce(Held::cancel); }

void NvmeController::quiesce(Held held) {
    {
        const std::lock_guard lock(gate());
        m_stopped = true;
    }
    held == Held::cancel ? finish_all(*m_disk) : m_disk->drain();
}

void NvmeController::reset() {
    quiesce(Held::cancel);
    PciFunction::reset();
    const std::lock_guard lock(gate());
    power_on_registers();
    m_usage = {};
    m_stopped = false;
}

void NvmeController::power_on_registers() {
    disable();
    m_cc = m_csts = m_interrupt_mask = m_aqa = 0;
    m_asq = m_acq = 0;
}

void NvmeController::pause() { quiesce(Held::keep); }

void NvmeController::resume() {
    const std::lock_guard lock(gate());
    m_stopped = false;
    std::vector<Started> restored;
    restored.swap(m_restored);
    for (const Started& each : restored) {
        if (NvmeSubmissionQueue* queue = submission_queue(each.queue)) {
            queue->take_up();
            execute(each.queue, each.command);
        }
    }
    process_all();
}

// The registers are dwords; what does not name one exactly reads as zeros and changes nothing (3.1).
uint64_t NvmeController::bar_read(unsigned /*bar*/, uint64_t offset, unsigned size) {
    const uint32_t value = read_register(static_cast<unsigned>(align_down(offset, 4)));
    return bits(value, 8 * static_cast<unsigned>(offset % 4), 8 * size);
}

void NvmeController::bar_write(unsigned /*bar*/, uint64_t offset, unsigned size, uint64_t value) {
    if (offset % 4 != 0 || size != 4) {
        guest_errors().report("a write of {} bytes at {:#x}, where registers of 4 bytes are", size, offset);
        return;
    }
    write_register(static_cast<unsigned>(offset), static_cast<uint32_t>(value));
}

uint32_t NvmeController::read_register(unsigned offset) const {
    switch (offset) {
        case k_cap: return static_cast<uint32_t>(k_cap_value);
        case k_cap + 4: return static_cast<uint32_t>(k_cap_value >> 32);
        case k_vs: return k_version;
        case k_intms:
        case k_intmc: return m_interrupt_mask;
        case k_cc: return m_cc;
        case k_csts: return m_csts;
        case k_aqa: return m_aqa;
        case k_asq: return static_cast<uint32_t>(m_asq);
        case k_asq + 4: return static_cast<uint32_t>(m_asq >> 32);
        case k_acq: return static_cast<uint32_t>(m_acq);
        case k_acq + 4: return static_cast<uint32_t>(m_acq >> 32);
        default: return 0;
    }
}

void NvmeController::write_register(unsigned offset, uint32_t value) {
    constexpr uint32_t k_page_bits = 0xffff'f000;
    const auto set_low = [&](uint64_t& place) { place = (place >> 32 << 32) | (value & k_page_bits); };
    const auto set_high = [&](uint64_t& place) { place = bits(place, 0, 32) | uint64_t{value} << 32; };
    switch (offset) {
        case k_intms:
            m_interrupt_mask |= value;
            update_intx();
            break;
        case k_intmc:
            m_interrupt_mask &= ~value;
            update_intx();
            break;
        case k_cc: write_cc(value); break;
        case k_aqa: m_aqa = value & 0x0fff'0fff; break;
        case k_asq: set_low(m_asq); break;
        case k_asq + 4: set_high(m_asq); break;
        case k_acq: set_low(m_acq); break;
        case k_acq + 4: set_high(m_acq); break;
        default:
            if (offset >= k_doorbells) {
                doorbell((offset - k_doorbells) / 4, value);
            }
            break;
    }
}

void NvmeController::write_cc(uint32_t value) {
    constexpr uint32_t k_writable = 0x00ff'fff1;
    const uint32_t before = m_cc;
    m_cc = value & k_writable;
    if (((before ^ m_cc) & k_cc_en) != 0) {
        if ((m_cc & k_cc_en) != 0) {
            enable();
        } else {
            disable();
        }
    }
    if (bits(before, k_cc_shn, 2) == 0 && bits(m_cc, k_cc_shn, 2) != 0) {
        shut_down();
    } else if (bits(m_cc, k_cc_shn, 2) == 0) {
        m_csts &= ~k_csts_shst;
    }
}

// 7.6.1. What the driver has set wrong is answered as 3.1.5 says: undefined, so by the fatal status that drivers look for.
void NvmeController::enable() {
    const uint32_t submission_entries = (m_aqa & 0xfff) + 1;
    const uint32_t completion_entries = (m_aqa >> 16 & 0xfff) + 1;
    const auto good = [](uint32_t entries) { return entries >= 2 && entries <= k_most_entries; };
    if (bits(m_cc, k_cc_css, 3) != 0 || bits(m_cc, k_cc_mps, 4) != 0 || bits(m_cc, k_cc_ams, 3) != 0 ||
        !good(submission_entries) || !good(completion_entries)) {
        fatal("it was enabled with a command set, page size, arbitration or admin queue that it does not have");
        return;
    }
    m_submission_queues.emplace(0, NvmeSubmissionQueue(m_asq, submission_entries, 0));
    NvmeCompletionQueue completions(m_acq, completion_entries, NvmeCompletionQueue::Interrupts::on, 0);
    completions.users = 1;
    m_completion_queues.emplace(0, std::move(completions));
    m_csts = (m_csts & ~k_csts_shst) | k_csts_rdy;
}

// 7.3.2, controller reset: everything but the admin queue's registers is forgotten. CSTS.RDY stays until the host's I/O for
// the commands given up has ended: their data must not arrive in memory that the guest has put to another use.
void NvmeController::disable() {
    ++m_generation;
    m_orphans += m_in_flight;
    m_in_flight = 0;
    m_started.clear();
    m_restored.clear();
    m_submission_queues.clear();
    m_completion_queues.clear();
    m_features.clear();
    m_event_requests.clear();
    m_events.clear();
    m_interrupt_mask = 0;
    m_csts &= m_orphans != 0 ? k_csts_rdy : 0;
    set_intx(false);
}

void NvmeController::orphan_done() {
    if (--m_orphans == 0 && (m_cc & k_cc_en) == 0) {
        m_csts &= ~k_csts_rdy;
    }
}

// 7.6.2: the write cache becomes durable, then the status says complete.
void NvmeController::shut_down() {
    m_csts = (m_csts & ~k_csts_shst) | k_csts_shutting_down;
    ++m_in_flight;
    BlockRequest flush{.op = BlockOp::flush, .buffers = {}, .done = {}};
    flush.done = [this, generation = m_generation](BlockStatus) {
        const std::lock_guard lock(gate());
        if (generation != m_generation) {
            orphan_done();
            return;
        }
        --m_in_flight;
        if ((m_csts & k_csts_shst) == k_csts_shutting_down) {
            m_csts = (m_csts & ~k_csts_shst) | k_csts_shut_down;
        }
    };
    m_disk->submit(std::move(flush));
}

void NvmeController::fatal(const char* why) {
    guest_errors().report("{}", why);
    m_csts |= k_csts_cfs;
}

void NvmeController::bus_master_allowed() {
    process_all();
}

}  // namespace skep
