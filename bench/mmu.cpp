// SPDX-License-Identifier: GPL-3.0-or-later
// What the soft MMU costs a guest: nanoseconds of processor time for TLB misses, flushes, address-space switches and page
// faults, as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "vmm/interp/vm.hpp"

namespace skep {
namespace {

class NoIo final : public CpuIo {
  public:
    uint32_t port_read(uint16_t, unsigned) override { return ~uint32_t{0}; }
    void port_write(uint16_t, unsigned, uint32_t) override {}
    uint64_t mmio_read(GuestAddress, unsigned) override { return ~uint64_t{0}; }
    void mmio_write(GuestAddress, unsigned, uint64_t) override {}
    bool interrupt_pending() override { return false; }
    uint8_t acknowledge_interrupt() override { return 0; }
    uint8_t task_priority() override { return 0; }
    void set_task_priority(uint8_t) override {}
    std::optional<uint64_t> read_apic_msr(uint32_t) override { return std::nullopt; }
    bool write_apic_msr(uint32_t, uint64_t) override { return false; }
    bool is_apic_page(GuestAddress) override { return false; }
};

constexpr uint64_t k_code = 0x1000, k_handler = 0x3000, k_gdt = 0x4000, k_idt = 0x5000, k_stack = 0x8000;
constexpr uint64_t k_ram = 64 << 20;
constexpr uint64_t k_window = 0x4000'0000;        // its pages are of 4 KiB, another set for each address space
constexpr uint64_t k_frames = 0x100'0000;
constexpr uint64_t k_window_tables = 8;           // of 512 pages
constexpr uint64_t k_space_a = 0x70'0000, k_space_b = 0x78'0000;  // PML4, PDPT, two directories, page tables
constexpr uint64_t k_page_tables = 0x4000;        // from the PML4 on
constexpr uint64_t k_global = 0x100, k_no_flush = uint64_t{1} << 63;

class Guest {
  public:
    explicit Guest(uint64_t low_flags) : m_memory(std::move(*GuestMemory::create(k_ram))) {
        make_space(k_space_a, low_flags, 0);
        make_space(k_space_b, low_flags, 64);
        put(k_gdt + 8, 0x00af'9b00'0000'ffff);
        put(k_gdt + 16, 0x00cf'9300'0000'ffff);
        put(k_idt + 14 * 16, (k_handler & 0xffff) | 8 << 16 | uint64_t{0x8e00} << 32);
    }
    void put(uint64_t address, uint64_t value) {
        if (!m_memory->write_value(address, value)) {
            std::abort();
        }
    }
    void code(uint64_t address, const std::vector<uint8_t>& bytes) {
        if (!m_memory->write(address, bytes.data(), bytes.size())) {
            std::abort();
        }
    }
    // Seconds of processor time until HLT.
    double run(const CpuState& state) {
        auto vm = std::move(*interp::InterpHypervisor().create_vm(*m_memory, {}));
        auto vcpu = std::move(*vm->create_vcpu(0));
        NoIo io;
        vcpu->load(state);
        const std::clock_t start = std::clock();
        if (vcpu->run(io) != RunExit::halted) {
            std::abort();
        }
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    }

  private:
    void make_space(uint64_t root, uint64_t low_flags, uint64_t first_frame) {
        put(root, (root + 0x1000) | 7);
        put(root + 0x1000, (root + 0x2000) | 7);
        put(root + 0x1008, (root + 0x3000) | 7);
        for (uint64_t i = 0; i < 512; ++i) {
            put(root + 0x2000 + i * 8, (i << 21) | 0x87 | low_flags);
        }
        for (uint64_t i = 0; i < k_window_tables; ++i) {
            put(root + 0x3000 + i * 8, (root + k_page_tables + i * 0x1000) | 7);
        }
        for (uint64_t i = 0; i < k_window_tables * 512; ++i) {
            put(root + k_page_tables + i * 8, (k_frames + (i + first_frame) * 0x1000) | 7);
        }
    }

    std::unique_ptr<GuestMemory> m_memory;
};

CpuState initial_state() {
    CpuState state = reset_cpu_state(0);
    for (Segment& segment : state.segment) {
        segment = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc093, .selector = 0x10};
    }
    state.segment[k_cs] = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xa09b, .selector = 8};
    state.rip = k_code;
    state.cr0 |= 0x8001'0033;
    state.cr3 = k_space_a;
    state.cr4 = 0x6a0;  // PAE, PGE, OSFXSR, OSXMMEXCPT
    state.msr.efer = 0xd01;
    state.gdtr = {.base = k_gdt, .limit = 0xff};
    state.idtr = {.base = k_idt, .limit = 0xfff};
    state.gpr = {};
    state.gpr[k_rsp] = k_stack;
    state.gpr[k_rbx] = k_window;
    state.gpr[k_rsi] = k_space_a + k_page_tables;
    state.gpr[k_rdi] = k_frames | 7;
    return state;
}

using Bytes = std::vector<uint8_t>;
Bytes operator+(Bytes first, const Bytes& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}
// mov rdx, [rbx + page * 4096], one for each page.
Bytes touch(unsigned pages) {
    Bytes code;
    for (unsigned page = 0; page < pages; ++page) {
        const uint32_t offset = page * 4096;
        code = code + Bytes{0x48, 0x8b, 0x93, static_cast<uint8_t>(offset), static_cast<uint8_t>(offset >> 8),
                            static_cast<uint8_t>(offset >> 16), static_cast<uint8_t>(offset >> 24)};
    }
    return code;
}
// body; dec rcx; jnz body; hlt
Bytes loop(const Bytes& body) {
    const auto back = static_cast<uint32_t>(-static_cast<int32_t>(body.size() + 9));
    return body + Bytes{0x48, 0xff, 0xc9, 0x0f, 0x85, static_cast<uint8_t>(back), static_cast<uint8_t>(back >> 8),
                        static_cast<uint8_t>(back >> 16), static_cast<uint8_t>(back >> 24), 0xf4};
}

struct Case {
    const char* name;
    Bytes body;
    uint64_t rounds;
    unsigned operations = 1;  // of a round
    uint64_t low_flags = 0;   // of the 2 MiB pages that hold the code
    std::function<void(CpuState&)> change = [](CpuState&) {};
};

const Bytes k_reload_cr3 = {0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8};        // mov rax, cr3; mov cr3, rax
const Bytes k_cr3_from_r8 = {0x41, 0x0f, 0x22, 0xd8}, k_cr3_from_r9 = {0x41, 0x0f, 0x22, 0xd9};
const Bytes k_invlpg = {0x0f, 0x01, 0x3b};                              // invlpg [rbx]
const Bytes k_unmap = {0x48, 0xc7, 0x06, 0, 0, 0, 0};                   // mov qword [rsi], 0
// mov rdx, [rbx + rax]; add rax, 0x1000; and eax, mask
Bytes stride(uint32_t mask) {
    return {0x48, 0x8b, 0x14, 0x03, 0x48, 0x05, 0, 0x10, 0, 0, 0x25, static_cast<uint8_t>(mask),
            static_cast<uint8_t>(mask >> 8), static_cast<uint8_t>(mask >> 16), static_cast<uint8_t>(mask >> 24)};
}

void use_pcids(CpuState& state) {
    state.cr4 |= 0x2'0000;
    state.gpr[k_r8] = k_space_a | 1 | k_no_flush;
    state.gpr[k_r9] = k_space_b | 2 | k_no_flush;
}

std::vector<Case> cases() {
    return {
        {"TLB hit", touch(1), 3'000'000},
        {"miss, 4 KiB pages, 2048 of them", stride(0x7f'ffff & ~0xfffU), 2'000'000},
        {"miss, inside 2 MiB pages", stride(0x7f'ffff & ~0xfffU), 2'000'000, 1, 0,
         [](CpuState& state) { state.gpr[k_rbx] = k_frames; }},
        {"MOV CR3", k_reload_cr3, 1'000'000, 1, k_global},
        {"MOV CR3, code not global", k_reload_cr3, 1'000'000},
        {"MOV CR3, 16 pages touched", k_reload_cr3 + touch(16), 200'000, 1, k_global},
        {"PCID switch", k_cr3_from_r8 + k_cr3_from_r9, 500'000, 2, k_global, use_pcids},
        {"PCID switch, 16 pages touched", k_cr3_from_r8 + touch(16) + k_cr3_from_r9 + touch(16), 100'000, 2, k_global,
         use_pcids},
        {"PCID switch, 16 pages touched, code not global", k_cr3_from_r8 + touch(16) + k_cr3_from_r9 + touch(16), 100'000, 2,
         0, use_pcids},
        {"INVLPG and 1 page touched", k_invlpg + touch(1), 1'000'000},
        {"page fault, page mapped, IRET, INVLPG", k_unmap + k_invlpg + touch(1), 200'000},
    };
}

double nanoseconds(const Case& one) {
    double best = 0;
    for (int attempt = 0; attempt < 3; ++attempt) {
        Guest guest(one.low_flags);
        guest.code(k_code, loop(one.body));
        guest.code(k_handler, {0x48, 0x83, 0xc4, 0x08, 0x48, 0x89, 0x3e, 0x48, 0xcf});  // add rsp, 8; mov [rsi], rdi; iretq
        CpuState state = initial_state();
        state.gpr[k_rcx] = one.rounds;
        one.change(state);
        const double found = guest.run(state) * 1e9 / static_cast<double>(one.rounds * one.operations);
        best = attempt == 0 ? found : std::min(best, found);
    }
    return best;
}

}  // namespace
}  // namespace skep

// Arguments: names of cases, or none for all.
int main(int argc, char** argv) {
    const std::vector<std::string> wanted(argv + 1, argv + argc);
    fmt::print("{{");
    const char* separator = "\n";
    for (const skep::Case& one : skep::cases()) {
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), one.name) != wanted.end()) {
            fmt::print("{}  \"{}\": {:.1f}", separator, one.name, skep::nanoseconds(one));
            separator = ",\n";
        }
    }
    fmt::print("\n}}\n");
}
