// SPDX-License-Identifier: GPL-3.0-or-later
// How fast are the two engines of the software processor? Million guest instructions a second on loops of different
// kinds, interpreted and translated, as JSON.
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <optional>
#include <vector>

#include "vmm/interp/vm.hpp"
#include "vmm/jit/hypervisor.hpp"

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

constexpr uint64_t k_code = 0x1000;
constexpr uint64_t k_tables = 0x700000;

// 64-bit mode, the first GiB mapped one to one.
CpuState long_mode_state(GuestMemory& memory) {
    const auto put = [&](uint64_t address, uint64_t value) {
        if (!memory.write_value(address, value)) {
            std::abort();
        }
    };
    put(k_tables, (k_tables + 0x1000) | 7);
    put(k_tables + 0x1000, (k_tables + 0x2000) | 7);
    for (uint64_t i = 0; i < 512; ++i) {
        put(k_tables + 0x2000 + i * 8, (i << 21) | 0x87);
    }
    CpuState state = reset_cpu_state(0);
    for (Segment& segment : state.segment) {
        segment = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xc093, .selector = 0x10};
    }
    state.segment[k_cs] = {.base = 0, .limit = 0xffff'ffff, .attributes = 0xa09b, .selector = 8};
    state.rip = k_code;
    state.cr0 |= 0x8001'0033;
    state.cr3 = k_tables;
    state.cr4 = 0x620;
    state.msr.efer = 0xd01;
    state.gpr = {};
    state.gpr[k_rsp] = 0x8000;
    state.gpr[k_rbx] = 0x100000;
    return state;
}

struct Loop {
    const char* name;
    std::vector<uint8_t> code;  // RCX counts down
    uint64_t rounds;
    unsigned instructions;  // a round
};

std::vector<Loop> loops() {
    return {
        // add rax,rdx; xor rdx,rax; lea rsi,[rax+rdx*4+8]; shl rsi,3; sub rdi,rsi; and rdi,rax; dec rcx; jnz
        {"integer", {0x48, 0x01, 0xd0, 0x48, 0x31, 0xc2, 0x48, 0x8d, 0x74, 0x90, 0x08, 0x48, 0xc1, 0xe6, 0x03, 0x48, 0x29,
                     0xf7, 0x48, 0x21, 0xc7, 0x48, 0xff, 0xc9, 0x75, 0xe6, 0xf4}, 20'000'000, 8},
        // dec rcx; jnz
        {"tight branch", {0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf4}, 60'000'000, 2},
        // mov rax,[rbx+8]; add rax,1; mov [rbx+16],rax; add [rbx+24],rax; movzx edx,byte [rbx+rsi]; cmp rdx,rax; dec rcx; jnz
        {"memory", {0x48, 0x8b, 0x43, 0x08, 0x48, 0x83, 0xc0, 0x01, 0x48, 0x89, 0x43, 0x10, 0x48, 0x01, 0x43, 0x18, 0x0f,
                    0xb6, 0x14, 0x33, 0x48, 0x39, 0xc2, 0x48, 0xff, 0xc9, 0x75, 0xe4, 0xf4}, 20'000'000, 8},
        // call f; dec rcx; jnz; hlt; f: push rbp; mov rbp,rsp; pop rbp; ret
        {"calls", {0xe8, 0x06, 0x00, 0x00, 0x00, 0x48, 0xff, 0xc9, 0x75, 0xf6, 0xf4, 0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3},
         15'000'000, 7},
        // movaps xmm0,[rbx]; addps xmm0,xmm1; mulps xmm1,xmm0; movaps [rbx],xmm0; dec rcx; jnz
        {"sse", {0x0f, 0x28, 0x03, 0x0f, 0x58, 0xc1, 0x0f, 0x59, 0xc8, 0x0f, 0x29, 0x03, 0x48, 0xff, 0xc9, 0x75, 0xef, 0xf4},
         5'000'000, 6},
    };
}

double million_a_second(const Loop& loop, Hypervisor& engine, uint64_t rounds) {
    auto memory = std::move(*GuestMemory::create(8 << 20));
    auto vm = std::move(*engine.create_vm(*memory, {}));
    auto vcpu = std::move(*vm->create_vcpu(0));
    CpuState state = long_mode_state(*memory);
    state.gpr[k_rcx] = rounds;
    NoIo io;
    if (!memory->write(k_code, loop.code.data(), loop.code.size())) {
        std::abort();
    }
    vcpu->load(state);
    const std::clock_t start = std::clock();  // processor time: other work on the machine does not count
    if (vcpu->run(io) != RunExit::halted) {
        std::abort();
    }
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    return static_cast<double>(rounds * loop.instructions) / seconds / 1e6;
}

}  // namespace
}  // namespace skep

int main() {
    skep::interp::InterpHypervisor interpreter;
    skep::jit::JitHypervisor translator;
    constexpr unsigned k_faster = 5;  // so many more rounds of the translated loop
    fmt::print("{{\n");
    const auto all = skep::loops();
    for (size_t i = 0; i < all.size(); ++i) {
        const double interpreted = skep::million_a_second(all[i], interpreter, all[i].rounds);
        const double translated = skep::million_a_second(all[i], translator, all[i].rounds * k_faster);
        fmt::print("  \"{}\": {{\"interp\": {:.1f}, \"jit\": {:.1f}, \"ratio\": {:.1f}}}{}\n", all[i].name, interpreted,
                   translated, translated / interpreted, i + 1 < all.size() ? "," : "");
    }
    fmt::print("}}\n");
}
