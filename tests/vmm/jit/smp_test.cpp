// SPDX-License-Identifier: GPL-3.0-or-later
// Two processors that change each other's code and translations (SDM 3A, 8.1.3 and 4.10.5), and share locks.
// SKEP_SMP_MILLISECONDS: how long each, for a longer run by hand.
#include <asmjit/x86.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

using namespace asmjit;
using namespace asmjit::x86;

constexpr uint64_t k_first = 0x1000, k_second = 0x2000;  // where the two programs are
constexpr uint64_t k_function = 0x5003;                  // the immediate of its MOV EAX is aligned
constexpr uint64_t k_tables = 0x711000;                  // the page table of k_window
constexpr uint64_t k_window = 0x4000'0000;               // a page that lies now on one frame, now on the other
constexpr uint64_t k_frame = 0x20'0000;                  // two frames, one behind the other
constexpr uint32_t k_poison = 0xdead;
// Ports: written to, the other may run now; read, is it time to stop?
constexpr uint16_t k_yield = 0x80, k_is_over = 0x84;

// What the two tell each other, a cache line each.
constexpr int k_wanted = 0x10000, k_seen = 0x10040, k_turns = 0x10080, k_stop = 0x100c0, k_wrong = 0x10100, k_lock = 0x10140,
              k_sum = 0x10180, k_atomic_sum = 0x101c0;
Mem cell(int address) { return dword_ptr(static_cast<uint64_t>(address)); }

std::chrono::milliseconds duration() {
    const char* text = std::getenv("SKEP_SMP_MILLISECONDS");
    return std::chrono::milliseconds(text != nullptr ? std::strtoul(text, nullptr, 0) : 300);
}

class Io final : public RecordingCpuIo {
  public:
    uint32_t port_read(uint16_t, unsigned) override { return std::chrono::steady_clock::now() > m_end ? 1 : 0; }
    void port_write(uint16_t, unsigned, uint32_t) override { std::this_thread::yield(); }

  private:
    std::chrono::steady_clock::time_point m_end = std::chrono::steady_clock::now() + duration();
};

class Smp : public testing::TestWithParam<const char*> {
  protected:
    Smp() : m_cpu(make_engine(), CpuMode::long64, 2) {
        m_cpu.write_value<uint64_t>(CpuHarness::k_tables + 0x1008, (k_tables - 0x1000) | 7);
        m_cpu.write_value<uint64_t>(k_tables - 0x1000, k_tables | 7);
        m_cpu.write_value<uint64_t>(k_tables, k_frame | 7);
    }

    static std::unique_ptr<Hypervisor> make_engine() {
        if (std::string(GetParam()) == "interp") {
            return std::make_unique<interp::InterpHypervisor>();
        }
        return std::make_unique<jit::JitHypervisor>(jit::JitOptions{.tuning = {.threshold = 2}});
    }
    template <typename Write>
    void program(uint64_t address, Write write) {
        CodeHolder code;
        code.init(Environment(Arch::kX64), address);
        Assembler a(&code);
        write(a);
        code.flatten();
        code.resolveUnresolvedLinks();
        code.relocateToBase(address);
        Bytes bytes(code.codeSize());
        code.copyFlattenedData(bytes.data(), bytes.size());
        m_cpu.write(address, bytes);
    }
    // Both until they halt.
    void run() {
        const auto run_one = [this](unsigned index, uint64_t rip) {
            Io io;
            CpuState state = m_cpu.initial_state();
            state.rip = rip;
            state.gpr[k_rsp] = CpuHarness::k_stack + 0x1000 * index;
            m_cpu.vcpu(index).load(state);
            EXPECT_EQ(m_cpu.vcpu(index).run(io), RunExit::halted) << "processor " << index;
        };
        std::thread second([&] { run_one(1, k_second); });
        run_one(0, k_first);
        second.join();
        EXPECT_EQ(m_cpu.read<uint32_t>(k_wrong), 0U);
    }
    // Goes on when the other has set the cell to EBX.
    static void wait_for_answer(Assembler& a) {
        const Label again = a.newLabel(), out = a.newLabel();
        a.bind(again);
        a.cmp(cell(k_seen), ebx);
        a.je(out);
        a.out(k_yield, al);
        a.jmp(again);
        a.bind(out);
    }
    // Begins again unless it is over; tells the other.
    static void next_round(Assembler& a, const Label& again) {
        a.in(al, k_is_over);
        a.test(al, al);
        a.jz(again);
        a.mov(cell(k_stop), 1);
        a.hlt();
    }
    // Goes on when the other has gone round twice.
    static void wait_for_turns(Assembler& a) {
        const Label again = a.newLabel();
        a.mov(edx, cell(k_turns));
        a.add(edx, 2);
        a.bind(again);
        a.out(k_yield, al);
        a.cmp(cell(k_turns), edx);
        a.js(again);
    }
    // The window to the frame of bit 0 of EBX, the other processor's word that it knows, the frame left poisoned.
    void write_mover(int offset_of_value) {
        program(k_first, [=](Assembler& a) {
            const Label again = a.newLabel();
            a.xor_(ebx, ebx);
            a.bind(again);
            a.inc(ebx);
            a.mov(eax, ebx);
            a.and_(eax, 1);
            a.shl(eax, 12);
            a.lea(rsi, ptr(rax, static_cast<int>(k_frame)));  // the new frame
            a.mov(rdi, rsi);
            a.xor_(rdi, 0x1000);  // the old one
            a.lea(rax, ptr(rsi, 7));
            a.mov(qword_ptr(k_tables), rax);
            a.mov(cell(k_wanted), ebx);
            wait_for_answer(a);
            a.mov(r8d, dword_ptr(rdi, offset_of_value));
            a.mov(dword_ptr(rdi, offset_of_value), k_poison);
            wait_for_turns(a);
            a.mov(dword_ptr(rdi, offset_of_value), r8d);
            next_round(a, again);
        });
    }
    // Obeys the mover; `use` leaves in EAX what it found in the window.
    template <typename Use>
    void write_user(Use use) {
        program(k_second, [&](Assembler& a) {
            const Label again = a.newLabel(), known = a.newLabel(), good = a.newLabel();
            a.xor_(ebx, ebx);
            a.mov(esi, static_cast<uint32_t>(k_window));
            a.bind(again);
            a.mov(r8d, cell(k_wanted));
            a.cmp(r8d, ebx);
            a.je(known);
            a.invlpg(ptr(rsi));
            a.mov(ebx, r8d);
            a.mov(cell(k_seen), ebx);
            a.bind(known);
            use(a);
            a.cmp(eax, k_poison);
            a.jne(good);
            a.inc(cell(k_wrong));
            a.bind(good);
            a.inc(cell(k_turns));
            a.cmp(cell(k_stop), 0);
            a.je(again);
            a.hlt();
        });
    }

    CpuHarness m_cpu;
};

// After the writer has said so and the other has executed CPUID, it runs the new bytes.
TEST_P(Smp, code_changed_by_another_processor_is_never_old) {
    program(k_function, [](Assembler& a) {
        a.mov(eax, 0);
        a.ret();
    });
    program(k_first, [](Assembler& a) {
        const Label again = a.newLabel();
        a.xor_(ebx, ebx);
        a.bind(again);
        a.inc(ebx);
        a.mov(dword_ptr(k_function + 1), ebx);
        a.mov(cell(k_wanted), ebx);
        wait_for_answer(a);
        next_round(a, again);
    });
    program(k_second, [](Assembler& a) {
        const Label again = a.newLabel(), good = a.newLabel();
        a.bind(again);
        a.mov(r8d, cell(k_wanted));
        a.xor_(eax, eax);
        a.cpuid();
        a.call(k_function);
        a.cmp(eax, r8d);
        a.jae(good);
        a.inc(cell(k_wrong));
        a.bind(good);
        a.mov(cell(k_seen), r8d);
        a.cmp(cell(k_stop), 0);
        a.je(again);
        a.hlt();
    });
    run();
    EXPECT_GT(m_cpu.read<uint32_t>(k_seen), 1U);
}

TEST_P(Smp, data_page_moved_by_another_processor_is_not_read_where_it_was) {
    m_cpu.write_value<uint32_t>(k_frame, 1);
    m_cpu.write_value<uint32_t>(k_frame + 0x1000, 2);
    write_mover(0);
    write_user([](Assembler& a) { a.mov(eax, dword_ptr(rsi)); });
    run();
}

TEST_P(Smp, data_page_moved_by_another_processor_is_not_written_where_it_was) {
    write_mover(0);
    // Writes a byte beside, and reads through the same translation.
    write_user([](Assembler& a) {
        a.add(dword_ptr(rsi, 64), 1);
        a.mov(eax, dword_ptr(rsi));
    });
    run();
    EXPECT_GE(m_cpu.read<uint32_t>(k_turns), m_cpu.read<uint32_t>(k_frame + 64));
}

TEST_P(Smp, code_page_moved_by_another_processor_is_not_run_where_it_was) {
    for (const uint64_t frame : {k_frame, k_frame + 0x1000}) {
        program(frame + 3, [](Assembler& a) {
            a.mov(eax, 7);
            a.ret();
        });
    }
    write_mover(4);
    write_user([](Assembler& a) { a.call(k_window + 3); });
    run();
}

TEST_P(Smp, locked_instructions_and_a_lock_keep_count) {
    constexpr uint32_t count = 100'000;
    for (const uint64_t address : {k_first, k_second}) {
        program(address, [=](Assembler& a) {
            const Label again = a.newLabel(), taken = a.newLabel(), wait = a.newLabel(), retry = a.newLabel();
            a.mov(ebx, count);
            a.bind(again);
            a.mov(ecx, 1);
            a.lock().xadd(cell(k_atomic_sum), ecx);
            a.mov(eax, cell(k_atomic_sum));
            a.bind(retry);
            a.lea(ecx, ptr(rax, 1));
            a.lock().cmpxchg(cell(k_atomic_sum), ecx);
            a.jne(retry);
            a.bind(wait);
            a.mov(ecx, 1);
            a.xchg(cell(k_lock), ecx);
            a.test(ecx, ecx);
            a.jz(taken);
            a.out(k_yield, al);
            a.jmp(wait);
            a.bind(taken);
            a.inc(cell(k_sum));
            a.mov(cell(k_lock), 0);
            a.dec(ebx);
            a.jnz(again);
            a.hlt();
        });
    }
    run();
    EXPECT_EQ(m_cpu.read<uint32_t>(k_sum), 2 * count);
    EXPECT_EQ(m_cpu.read<uint32_t>(k_atomic_sum), 4 * count);
}

INSTANTIATE_TEST_SUITE_P(Engines, Smp, testing::Values("interp", "jit"), [](const auto& one) { return one.param; });

}  // namespace
}  // namespace skep::test
