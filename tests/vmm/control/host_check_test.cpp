// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/host_check.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace skep {
namespace {

HostProbe good_host() {
    HostProbe probe;
    probe.kvm_device = true;
    probe.kvm_api = true;
    probe.virtualisation_flag = true;
    probe.user = "mina";
    probe.memory_bytes = uint64_t{16} << 30;
    probe.available_memory_bytes = uint64_t{8} << 30;
    probe.machines_folder = "/home/mina/machines";
    probe.free_disk_bytes = uint64_t{100} << 30;
    probe.firmware = "/usr/share/seabios/bios-256k.bin";
    probe.worker_found = true;
    probe.network_problem.clear();
    return probe;
}

HostFinding find(const HostProbe& probe, const std::string& id) {
    for (const HostFinding& finding : check_host(probe)) {
        if (finding.id == id) {
            return finding;
        }
    }
    ADD_FAILURE() << id;
    return {};
}

CpuChoice choice_of(CpuBackend wanted, const HostProbe& probe) {
    VmSpec spec;
    spec.cpu_backend = wanted;
    return choose_cpu_backend(spec, probe).value();
}

TEST(HostCheck, good_host_has_only_good_findings) {
    for (const HostFinding& finding : check_host(good_host())) {
        EXPECT_EQ(finding.level, CheckLevel::ok) << finding.id;
        EXPECT_EQ(finding.cure, "") << finding.id;
    }
    EXPECT_EQ(choice_of(CpuBackend::automatic, good_host()).backend, CpuBackend::kvm);
}

TEST(HostCheck, every_bad_finding_has_a_cause_and_a_cure) {
    HostProbe bad;
    for (const HostFinding& finding : check_host(bad)) {
        EXPECT_NE(finding.level, CheckLevel::ok) << finding.id;
        EXPECT_FALSE(finding.cause.empty()) << finding.id;
        EXPECT_FALSE(finding.cure.empty()) << finding.id;
    }
}

TEST(HostCheck, denied_device_names_the_group_command) {
    HostProbe probe = good_host();
    probe.kvm_open_error = EACCES;
    probe.kvm_api = false;
    EXPECT_EQ(find(probe, "kvm").command, "sudo adduser mina kvm");
    EXPECT_EQ(choice_of(CpuBackend::automatic, probe).backend, CpuBackend::jit);
    VmSpec spec;
    spec.cpu_backend = CpuBackend::kvm;
    EXPECT_EQ(choose_cpu_backend(spec, probe).error().kind, ErrorKind::permission);
}

TEST(HostCheck, device_without_hardware_behind_it_chooses_the_software_processor) {
    HostProbe probe = good_host();
    probe.virtualisation_flag = false;
    EXPECT_EQ(find(probe, "kvm").level, CheckLevel::warning);
    const CpuChoice choice = choice_of(CpuBackend::automatic, probe);
    EXPECT_EQ(choice.backend, CpuBackend::jit);
    EXPECT_NE(choice.reason.find("no hardware virtualisation"), std::string::npos);
    EXPECT_EQ(choice_of(CpuBackend::kvm, probe).backend, CpuBackend::kvm);  // the user insists
}

TEST(HostCheck, missing_device_is_told_apart_by_the_flag) {
    HostProbe probe = good_host();
    probe.kvm_device = false;
    EXPECT_NE(find(probe, "kvm").command.find("modprobe"), std::string::npos);
    probe.virtualisation_flag = false;
    EXPECT_EQ(find(probe, "kvm").command, "");
    EXPECT_EQ(choice_of(CpuBackend::interp, good_host()).backend, CpuBackend::interp);
}

TEST(HostCheck, little_disk_warns_and_none_is_an_error) {
    HostProbe probe = good_host();
    probe.free_disk_bytes = uint64_t{2} << 30;
    EXPECT_EQ(find(probe, "disk").level, CheckLevel::warning);
    probe.free_disk_bytes = 1 << 20;
    EXPECT_EQ(find(probe, "disk").level, CheckLevel::error);
}

TEST(HostCheck, network_program_that_does_not_work_warns_with_its_own_words) {
    HostProbe probe = good_host();
    probe.network_problem = "libslirp.so.0: cannot open shared object file";
    EXPECT_EQ(find(probe, "network").level, CheckLevel::warning);
    EXPECT_NE(find(probe, "network").cause.find("libslirp.so.0"), std::string::npos);
    EXPECT_NE(find(probe, "network").command.find("libslirp0"), std::string::npos);
}

TEST(HostCheck, probing_this_host_fills_the_facts) {
    const HostProbe probe = probe_host();
    EXPECT_GT(probe.memory_bytes, 0u);
    EXPECT_GT(probe.free_disk_bytes, 0u);
    EXPECT_FALSE(probe.user.empty());
}

}  // namespace
}  // namespace skep
