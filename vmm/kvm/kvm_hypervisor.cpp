// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/kvm/kvm_hypervisor.hpp"

#include <fcntl.h>
#include <linux/kvm.h>

#include <array>

#include "vmm/kvm/kvm_fd.hpp"
#include "vmm/kvm/kvm_vm.hpp"

namespace skep {
namespace {

struct Required {
    unsigned long capability;
    const char* name;
};
constexpr std::array k_required{
    Required{KVM_CAP_USER_MEMORY, "user memory"},     Required{KVM_CAP_READONLY_MEM, "read-only memory"},
    Required{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"}, Required{KVM_CAP_XSAVE, "XSAVE state"},
    Required{KVM_CAP_VCPU_EVENTS, "vCPU events"},     Required{KVM_CAP_EXT_CPUID, "CPUID"},
};

class KvmHypervisor final : public Hypervisor {
  public:
    explicit KvmHypervisor(Fd device) : m_device(std::move(device)) {}

    [[nodiscard]] std::string name() const override { return "kvm"; }

    Result<std::unique_ptr<Vm>> create_vm(GuestMemory& memory, const CpuConfig& config) override {
        auto vm = SKEP_KVM_CALL(m_device.get(), KVM_CREATE_VM, 0UL);
        if (!vm) {
            return tl::unexpected(vm.error());
        }
        auto made = std::make_unique<kvm::KvmVm>(m_device.get(), Fd(*vm), memory, config);
        if (Status ready = made->initialise(); !ready) {
            return tl::unexpected(ready.error());
        }
        return made;
    }

  private:
    Fd m_device;
};

}  // namespace

Result<std::unique_ptr<Hypervisor>> open_kvm() {
    Fd device(open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (!device) {
        return fail_errno(errno, "Opening /dev/kvm");
    }
    auto version = SKEP_KVM_CALL(device.get(), KVM_GET_API_VERSION, 0UL);
    if (!version || *version != KVM_API_VERSION) {
        return fail(ErrorKind::unsupported, "/dev/kvm speaks an unknown API version; use the software CPU.");
    }
    for (const Required& required : k_required) {
        auto present = SKEP_KVM_CALL(device.get(), KVM_CHECK_EXTENSION, required.capability);
        if (!present || *present <= 0) {
            return fail(ErrorKind::unsupported, "The kernel's KVM lacks {}; use the software CPU or a newer kernel.",
                        required.name);
        }
    }
    return std::make_unique<KvmHypervisor>(std::move(device));
}

}  // namespace skep
