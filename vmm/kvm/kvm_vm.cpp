// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/kvm/kvm_vm.hpp"

#include <asm/kvm_para.h>
#include <fcntl.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdlib>

#include "vmm/base/bits.hpp"
#include "vmm/base/log.hpp"
#include "vmm/kvm/kvm_fd.hpp"
#include "vmm/kvm/kvm_vcpu.hpp"

namespace skep::kvm {
namespace {

// Three pages for the task state segment that real mode needs on old VMX, one for the identity map:
// below the firmware's flash, in a hole of the Q35 map.
constexpr uint64_t k_tss_address = 0xfeff'd000;
constexpr uint64_t k_identity_map_address = 0xfeff'c000;

constexpr uint32_t k_kvm_signature = 0x4000'0000, k_kvm_features = 0x4000'0001, k_timing = 0x4000'0010;
constexpr uint32_t k_apic_timer_khz = 1'000'000;
// kvmclock (both MSR sets), no I/O delay, stable clock. What needs KVM's own APIC is left out.
constexpr uint32_t k_offered_kvm_features = static_cast<uint32_t>(bit(KVM_FEATURE_CLOCKSOURCE) | bit(KVM_FEATURE_NOP_IO_DELAY) |
                                                                  bit(KVM_FEATURE_CLOCKSOURCE2) | bit(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT));

bool same(const MemoryRange& a, const MemoryRange& b) {
    return a.start == b.start && a.size == b.size && a.host == b.host && a.writable == b.writable;
}

}  // namespace

KvmVm::KvmVm(int device, Fd vm, GuestMemory& memory, const CpuConfig& config)
    : m_device(device), m_vm(std::move(vm)), m_memory(memory), m_config(config) {
    m_memory.add_listener(*this);
}

KvmVm::~KvmVm() { m_memory.remove_listener(*this); }

Status KvmVm::initialise() {
    auto run_size = SKEP_KVM_CALL(m_device, KVM_GET_VCPU_MMAP_SIZE, 0UL);
    if (!run_size) {
        return tl::unexpected(run_size.error());
    }
    m_run_size = *run_size;
    if (auto set = SKEP_KVM_CALL(m_vm.get(), KVM_SET_TSS_ADDR, k_tss_address); !set) {
        return tl::unexpected(set.error());
    }
    uint64_t identity = k_identity_map_address;
    if (auto set = SKEP_KVM_CALL(m_vm.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity); !set) {
        return tl::unexpected(set.error());
    }
    if (Status read = read_supported_cpuid(); !read) {
        return read;
    }
    return update_slots();
}

Status KvmVm::read_supported_cpuid() {
    CpuidList list;
    list.count = k_max_cpuid_entries;
    if (auto got = SKEP_KVM_CALL(m_device, k_get_supported_cpuid, &list); !got) {
        return tl::unexpected(got.error());
    }
    m_cpuid.assign(list.entries.begin(), list.entries.begin() + std::min(list.count, k_max_cpuid_entries));
    for (const kvm_cpuid_entry2& entry : m_cpuid) {
        if (entry.function == 1) {
            m_signature = entry.eax;
        }
    }
    return {};
}

std::vector<kvm_cpuid_entry2> KvmVm::cpuid_for(unsigned index) const {
    constexpr uint32_t k_x2apic = 1U << 21;
    constexpr uint32_t k_tsc_deadline = 1U << 24;
    constexpr uint32_t k_hypervisor = 1U << 31;
    constexpr uint32_t k_htt = 1U << 28;
    std::vector<kvm_cpuid_entry2> entries = m_cpuid;
    for (kvm_cpuid_entry2& entry : entries) {
        if (entry.function == 1) {
            entry.ebx = (entry.ebx & 0xffff) | (m_config.cpu_count << 16) | (index << 24);
            // Both need the APIC inside KVM: with ours the guest uses the xAPIC page and its timer.
            entry.ecx = (entry.ecx & ~(k_x2apic | k_tsc_deadline)) | k_hypervisor;
            entry.edx = m_config.cpu_count > 1 ? entry.edx | k_htt : entry.edx & ~k_htt;
        } else if (entry.function == 0xb || entry.function == 0x1f) {
            entry.edx = index;
            if (entry.index == 0) {  // one thread a core
                entry.eax = 0;
                entry.ebx = 1;
            } else if (entry.index == 1) {
                entry.eax = static_cast<uint32_t>(std::bit_width(m_config.cpu_count - 1));
                entry.ebx = m_config.cpu_count;
            }
        } else if (entry.function == k_kvm_features) {
            entry.eax &= k_offered_kvm_features;
        } else if (entry.function == k_kvm_signature) {
            entry.eax = k_timing;
        }
    }
    // TSC and APIC timer in kHz, so that the guest need not measure them.
    kvm_cpuid_entry2 timing{};
    timing.function = k_timing;
    timing.eax = static_cast<uint32_t>(m_tsc_hz / 1000);
    timing.ebx = k_apic_timer_khz;
    entries.push_back(timing);
    return entries;
}

Result<std::unique_ptr<Vcpu>> KvmVm::create_vcpu(unsigned index) {
    auto fd = SKEP_KVM_CALL(m_vm.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(index));
    if (!fd) {
        return tl::unexpected(fd.error());
    }
    auto vcpu = std::make_unique<KvmVcpu>(Fd(*fd), static_cast<size_t>(m_run_size));
    if (m_tsc_hz == 0) {
        m_tsc_hz = vcpu->tsc_hz();
    }
    if (Status ready = vcpu->initialise(cpuid_for(index)); !ready) {
        return tl::unexpected(ready.error());
    }
    m_vcpus.emplace_back(fcntl(*fd, F_DUPFD_CLOEXEC, 0));
    return vcpu;
}

uint64_t KvmVm::tsc_now() const { return __rdtsc(); }

void KvmVm::resume_clock(uint64_t /*missed_ns*/) {
    for (const Fd& vcpu : m_vcpus) {
        ioctl(vcpu.get(), KVM_KVMCLOCK_CTRL, 0UL);  // refused when this guest does not use kvmclock
    }
}

void KvmVm::memory_map_changed() {
    if (Status updated = update_slots(); !updated) {
        log_error("{}", updated.error().message);
    }
}

Status KvmVm::set_slot(uint32_t slot, const MemoryRange& range) {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    region.flags = range.writable || range.size == 0 ? 0 : KVM_MEM_READONLY;
    if (range.size != 0 && is_logged(range)) {
        region.flags |= KVM_MEM_LOG_DIRTY_PAGES;
        m_log_is_new = true;
    }
    region.guest_phys_addr = range.start;
    region.memory_size = range.size;
    region.userspace_addr = reinterpret_cast<uint64_t>(range.host);
    if (auto set = SKEP_KVM_CALL(m_vm.get(), KVM_SET_USER_MEMORY_REGION, &region); !set) {
        return tl::unexpected(set.error());
    }
    return {};
}

Status KvmVm::update_slots() {
    const std::lock_guard lock(m_mutex);
    std::vector<MemoryRange> wanted = m_memory.ranges();
    // First drop what changed (slots may not overlap), then fill free slots.
    for (uint32_t slot = 0; slot < m_slots.size(); ++slot) {
        MemoryRange& current = m_slots[slot];
        const auto kept = std::find_if(wanted.begin(), wanted.end(), [&](const auto& range) { return same(range, current); });
        if (kept != wanted.end()) {
            wanted.erase(kept);
        } else if (current.size != 0) {
            if (Status dropped = set_slot(slot, {current.start, 0, current.host, true}); !dropped) {
                return dropped;
            }
            current = {};
        }
    }
    for (const MemoryRange& range : wanted) {
        auto free_slot = std::find_if(m_slots.begin(), m_slots.end(), [](const auto& slot) { return slot.size == 0; });
        if (free_slot == m_slots.end()) {
            free_slot = m_slots.insert(m_slots.end(), MemoryRange{});
        }
        if (Status set = set_slot(static_cast<uint32_t>(free_slot - m_slots.begin()), range); !set) {
            return set;
        }
        *free_slot = range;
    }
    return {};
}

}  // namespace skep::kvm
