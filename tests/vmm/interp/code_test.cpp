// SPDX-License-Identifier: GPL-3.0-or-later
// Decoded code and its bytes: self-modifying code, code across pages, writes by devices and by other processors.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
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

// Runs a vCPU on a thread of its own. A port write gives the host's processor away: waiting loops hold one, so that two
// vCPUs on a busy host need not use up their time slices.
class Runner {
  public:
    Runner(Vcpu& vcpu, CpuState state) : m_vcpu(vcpu) {
        m_io.on_port_write = [this](uint16_t, uint32_t) {
            m_io.writes.clear();
            std::this_thread::yield();
        };
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

// Ends vCPUs that wait for each other in vain, so that a lost write is a failed test and not a hanging one.
class Watchdog {
  public:
    explicit Watchdog(CpuHarness& cpu) : m_cpu(cpu), m_thread([this] { watch(); }) {}
    ~Watchdog() {
        {
            const std::lock_guard lock(m_mutex);
            m_done = true;
        }
        m_changed.notify_one();
        m_thread.join();
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

  private:
    void watch() {
        std::unique_lock lock(m_mutex);
        if (!m_changed.wait_for(lock, std::chrono::seconds(20), [this] { return m_done; })) {
            for (const auto& vcpu : m_cpu.vcpus) {
                vcpu->kick(KickReason::leave);
            }
        }
    }
    CpuHarness& m_cpu;
    std::mutex m_mutex;
    std::condition_variable m_changed;
    bool m_done = false;
    std::thread m_thread;
};

TEST(Code, other_processor_sees_patched_code_after_the_signal) {
    CpuHarness cpu(CpuMode::long64, 2);
    constexpr uint64_t k_function = 0x3000;
    constexpr uint64_t k_writer = 0x2000;
    constexpr uint8_t k_rounds = 100;
    cpu.write(k_function, {0xb8, 0x00, 0x00, 0x00, 0x00, 0xc3});  // mov eax, n; ret
    // The reader: mov ecx,1; wait: out 10h, al; cmp [rbx], ecx; jb wait; call rsi; cmp eax, ecx; jne bad;
    // mov [rbx+8], ecx; inc ecx; cmp ecx, rounds+1; jne wait; hlt; bad: mov edi, eax; hlt
    cpu.write(k_code, {0xb9, 1, 0, 0, 0, 0xe6, 0x10, 0x39, 0x0b, 0x72, 0xfa, 0xff, 0xd6, 0x39, 0xc8, 0x75, 0x0e, 0x89,
                       0x4b, 0x08, 0xff, 0xc1, 0x81, 0xf9, k_rounds + 1, 0, 0, 0, 0x75, 0xe7, 0xf4, 0x89, 0xc7, 0xf4});
    // The writer: mov ecx,1; again: mov [rsi+1], ecx; mov [rbx], ecx; wait: out 10h, al; cmp [rbx+8], ecx; jb wait;
    // inc ecx; cmp ecx, rounds+1; jne again; hlt
    cpu.write(k_writer, {0xb9, 1, 0, 0, 0, 0x89, 0x4e, 0x01, 0x89, 0x0b, 0xe6, 0x10, 0x39, 0x4b, 0x08, 0x72, 0xf9, 0xff,
                         0xc1, 0x81, 0xf9, k_rounds + 1, 0, 0, 0, 0x75, 0xea, 0xf4});
    cpu.state.gpr[k_rbx] = CpuHarness::k_data;
    cpu.state.gpr[k_rsi] = k_function;
    CpuState writer_state = cpu.state;
    writer_state.rip = k_writer;
    const Watchdog watchdog(cpu);
    Runner reader(cpu.vcpu(0), cpu.state);
    Runner writer(cpu.vcpu(1), writer_state);
    reader.join();
    cpu.vcpu(1).kick(KickReason::leave);  // it may wait for a reader that met stale code
    writer.join();
    cpu.vcpu(0).save(cpu.state);
    EXPECT_EQ(cpu.gpr(k_rdi), 0U) << "stale code ran";
    EXPECT_EQ(cpu.read<uint32_t>(CpuHarness::k_data + 8), k_rounds);
}

}  // namespace
}  // namespace skep::test
