// SPDX-License-Identifier: GPL-3.0-or-later
// Decoded code and its bytes: self-modifying code, code across pages, writes by devices and by other processors.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/cpu_harness.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_code = CpuHarness::k_code;

TEST(Code, next_instruction_of_the_same_block_sees_the_write) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = k_code + 3 + 1;  // the immediate of the mov
    // mov byte [rbx], 7; mov eax, 1
    cpu.run({0xc6, 0x03, 0x07, 0xb8, 0x01, 0x00, 0x00, 0x00});
    EXPECT_EQ(cpu.gpr(k_rax), 7U);
}

TEST(Code, loop_that_patches_itself_runs_every_version) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = k_code + 1;
    cpu.state.gpr[k_rcx] = 100;
    // mov al, 0; add edx, eax; inc byte [rbx]; dec ecx; jnz
    cpu.run({0xb0, 0x00, 0x01, 0xc2, 0xfe, 0x03, 0xff, 0xc9, 0x75, 0xf6});
    EXPECT_EQ(cpu.gpr(k_rdx), 4950U);
}

TEST(Code, code_on_another_page_is_seen_after_a_write) {
    CpuHarness cpu;
    cpu.write(0x3000, {0xb8, 0x01, 0x00, 0x00, 0x00, 0xc3});  // mov eax, 1; ret
    cpu.state.gpr[k_rbx] = 0x3000;
    // call rbx; mov esi, eax; mov byte [rbx+1], 5; call rbx
    cpu.run({0xff, 0xd3, 0x89, 0xc6, 0xc6, 0x43, 0x01, 0x05, 0xff, 0xd3});
    EXPECT_EQ(cpu.gpr(k_rsi), 1U);
    EXPECT_EQ(cpu.gpr(k_rax), 5U);
}

TEST(Code, instruction_across_two_pages_is_decoded_again_when_either_half_changes) {
    CpuHarness cpu;
    cpu.write(0x3ffe, {0xb8, 0x01, 0x00, 0x00, 0x00, 0xc3});  // mov eax, imm32 across 0x4000; ret
    cpu.state.gpr[k_rbx] = 0x3ffe;
    // call rbx; mov esi, eax; mov byte [rbx+2], 1; call rbx; mov edi, eax; mov byte [rbx], 0xb9; call rbx
    cpu.run({0xff, 0xd3, 0x89, 0xc6, 0xc6, 0x43, 0x02, 0x01, 0xff, 0xd3, 0x89, 0xc7, 0xc6, 0x03, 0xb9, 0xff, 0xd3});
    EXPECT_EQ(cpu.gpr(k_rsi), 1U);
    EXPECT_EQ(cpu.gpr(k_rdi), 0x101U);
    EXPECT_EQ(cpu.gpr(k_rcx), 0x101U);
}

TEST(Code, device_write_is_seen_by_the_next_run) {
    CpuHarness cpu;
    cpu.run({0xb8, 0x01, 0x00, 0x00, 0x00});
    EXPECT_EQ(cpu.gpr(k_rax), 1U);
    cpu.write(k_code + 1, {0x09});
    cpu.state.rip = k_code;
    cpu.state.activity = Activity::running;
    cpu.vcpu().load(cpu.state);
    cpu.resume();
    EXPECT_EQ(cpu.gpr(k_rax), 9U);
}

TEST(Code, data_beside_code_does_not_end_its_watch_and_a_freed_page_is_fast_again) {
    CpuHarness cpu;
    cpu.state.gpr[k_rbx] = k_code + 0x800;
    cpu.run({0x89, 0x03});  // mov [rbx], eax: same page, other line
    std::atomic<uint8_t>* marks = cpu.memory->marks_of(cpu.memory->ram().data() + k_code);
    EXPECT_NE(marks->load() & k_page_has_code, 0);
    cpu.state.rip = 0x2000;
    cpu.state.gpr[k_rbx] = k_code;
    cpu.run({0x89, 0x03, 0x89, 0x03});  // twice into the first code's line
    EXPECT_EQ(marks->load() & k_page_has_code, 0);
    interp::Core& core = cpu.core();
    EXPECT_EQ(core.tlb[(k_code / k_page_size) % interp::k_tlb_entries].write_tag, k_code);
}

TEST(Code, memory_map_change_is_seen) {
    CpuHarness cpu;
    std::vector<std::byte> rom(k_page_size, std::byte{0xf4});
    rom[0] = std::byte{0xb0};
    rom[1] = std::byte{0x55};
    std::byte* host = cpu.memory->add_rom(rom);
    cpu.run({0xb0, 0x11});
    EXPECT_EQ(cpu.gpr(k_rax), 0x11U);
    cpu.memory->map({.start = k_code, .size = k_page_size, .host = host, .writable = false});
    cpu.state.rip = k_code;
    cpu.state.activity = Activity::running;
    cpu.vcpu().load(cpu.state);
    cpu.resume();
    EXPECT_EQ(cpu.gpr(k_rax), 0x55U);
}

// Runs a vCPU on a thread of its own.
class Runner {
  public:
    Runner(Vcpu& vcpu, CpuState state) : m_vcpu(vcpu) {
        m_vcpu.load(state);
        m_thread = std::thread([this] { exit = m_vcpu.run(m_io); });
    }
    void join() { m_thread.join(); }
    RunExit exit = RunExit::failed;

  private:
    Vcpu& m_vcpu;
    RecordingCpuIo m_io;
    std::thread m_thread;
};

TEST(Code, locked_increments_of_two_processors_all_count) {
    CpuHarness cpu(CpuMode::long64, 2);
    // lock inc qword [rbx]; dec ecx; jnz; hlt
    cpu.write(k_code, {0xf0, 0x48, 0xff, 0x03, 0xff, 0xc9, 0x75, 0xf8, 0xf4});
    cpu.state.gpr[k_rbx] = CpuHarness::k_data;
    cpu.state.gpr[k_rcx] = 50'000;
    Runner first(cpu.vcpu(0), cpu.state);
    Runner second(cpu.vcpu(1), cpu.state);
    first.join();
    second.join();
    EXPECT_EQ(cpu.read<uint64_t>(CpuHarness::k_data), 100'000U);
}

TEST(Code, other_processor_sees_patched_code_after_the_signal) {
    CpuHarness cpu(CpuMode::long64, 2);
    constexpr uint64_t k_function = 0x3000;
    constexpr uint64_t k_writer = 0x2000;
    cpu.write(k_function, {0xb8, 0x00, 0x00, 0x00, 0x00, 0xc3});  // mov eax, n; ret
    // The reader: mov ecx,1; wait: cmp [rbx], ecx; jb wait; call rsi; cmp eax, ecx; jne bad; mov [rbx+8], ecx; inc ecx;
    // cmp ecx, 201; jne wait; hlt; bad: mov edi, eax; hlt
    cpu.write(k_code, {0xb9, 1, 0, 0, 0, 0x39, 0x0b, 0x72, 0xfc, 0xff, 0xd6, 0x39, 0xc8, 0x75, 0x0e, 0x89, 0x4b, 0x08, 0xff,
                       0xc1, 0x81, 0xf9, 201, 0, 0, 0, 0x75, 0xe9, 0xf4, 0x89, 0xc7, 0xf4});
    // The writer: mov ecx,1; again: mov [rsi+1], ecx; mov [rbx], ecx; wait: cmp [rbx+8], ecx; jb wait; inc ecx;
    // cmp ecx, 201; jne again; hlt
    cpu.write(k_writer, {0xb9, 1, 0, 0, 0, 0x89, 0x4e, 0x01, 0x89, 0x0b, 0x39, 0x4b, 0x08, 0x72, 0xfb, 0xff, 0xc1, 0x81,
                         0xf9, 201, 0, 0, 0, 0x75, 0xec, 0xf4});
    cpu.state.gpr[k_rbx] = CpuHarness::k_data;
    cpu.state.gpr[k_rsi] = k_function;
    CpuState writer_state = cpu.state;
    writer_state.rip = k_writer;
    Runner reader(cpu.vcpu(0), cpu.state);
    Runner writer(cpu.vcpu(1), writer_state);
    // A lost write would leave both waiting for ever: end them, and see it in the counts.
    std::atomic<bool> done = false;
    std::thread watchdog([&] {
        for (int i = 0; i < 5000 && !done; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        cpu.vcpu(0).kick(KickReason::leave);
        cpu.vcpu(1).kick(KickReason::leave);
    });
    reader.join();
    cpu.vcpu(0).save(cpu.state);
    if (cpu.read<uint32_t>(CpuHarness::k_data + 8) != 200) {
        done = true;
    }
    writer.join();
    done = true;
    watchdog.join();
    EXPECT_EQ(cpu.gpr(k_rdi), 0U) << "stale code ran";
    EXPECT_EQ(cpu.read<uint32_t>(CpuHarness::k_data + 8), 200U);
}

}  // namespace
}  // namespace skep::test
