// SPDX-License-Identifier: GPL-3.0-or-later
// ioctl() on KVM's descriptors with a Status that names the call.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <array>
#include <string>

#include "vmm/base/fd.hpp"
#include "vmm/base/result.hpp"

namespace skep::kvm {

template <typename Argument>
Result<int> call(int fd, unsigned long request, const char* name, Argument argument) {
    int result = -1;
    do {
        result = ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    if (result < 0) {
        return fail_errno(errno, std::string("The kernel's KVM refused ") + name);
    }
    return result;
}

// kvm_cpuid2, kvm_msrs and kvm_xsave end in a flexible array that C++ lays out differently from C (the uapi macro puts an
// empty struct before it), which shifts the entries and changes the request numbers. These are the C layouts.
inline constexpr uint32_t k_max_cpuid_entries = 256;
struct CpuidList {
    uint32_t count = 0;
    uint32_t padding = 0;
    std::array<kvm_cpuid_entry2, k_max_cpuid_entries> entries{};
};
struct OneMsr {
    uint32_t count = 1;
    uint32_t padding = 0;
    kvm_msr_entry entry{};
};
struct XsaveArea {
    std::array<uint32_t, 1024> region{};
};
inline constexpr unsigned long k_get_xsave = _IOC(_IOC_READ, KVMIO, 0xa4, sizeof(XsaveArea));
inline constexpr unsigned long k_set_xsave = _IOC(_IOC_WRITE, KVMIO, 0xa5, sizeof(XsaveArea));
inline constexpr unsigned long k_get_supported_cpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, 8);
inline constexpr unsigned long k_set_cpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, 8);
inline constexpr unsigned long k_get_msrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, 8);
inline constexpr unsigned long k_set_msrs = _IOC(_IOC_WRITE, KVMIO, 0x89, 8);

}  // namespace skep::kvm

#define SKEP_KVM_CALL(fd, request, argument) ::skep::kvm::call(fd, request, #request, argument)
