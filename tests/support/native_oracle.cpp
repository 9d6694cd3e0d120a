// SPDX-License-Identifier: GPL-3.0-or-later
// See native_oracle.hpp. The generated function addresses the state absolutely, so that every register is the guest's.
#include "tests/support/native_oracle.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <vector>

namespace skep::test {

namespace {

constexpr size_t k_page = 4096, k_slot_bytes = 512, k_slots = 256, k_code_bytes = k_slot_bytes * k_slots;
constexpr size_t k_state_bytes = k_page, k_low_bytes = k_state_bytes + k_page + NativeOracle::k_scratch_bytes + k_page;

// Where a fault inside the instruction goes on; one oracle runs at a time.
struct FaultExit {
    uintptr_t first = 0, last = 0, resume = 0;
    MachineState* state = nullptr;
};
FaultExit g_exit;

void on_fault(int signal, siginfo_t*, void* context) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto rip = static_cast<uintptr_t>(registers[REG_RIP]);
    if (rip < g_exit.first || rip > g_exit.last) {
        ::signal(signal, SIG_DFL);  // not ours: the process dies of it when it happens again
        return;
    }
    g_exit.state->vector = static_cast<uint64_t>(registers[REG_TRAPNO]);
    g_exit.state->error_code = static_cast<uint64_t>(registers[REG_ERR]);
    registers[REG_RIP] = static_cast<greg_t>(g_exit.resume);
    registers[REG_EFL] &= ~greg_t{0x10000};  // RF, which the processor sets for the handler
}

void must(bool condition) {
    if (!condition)
        std::abort();
}

class Code {
  public:
    void bytes(std::initializer_list<unsigned> values) {
        for (const unsigned value : values)
            m_bytes.push_back(static_cast<uint8_t>(value));
    }
    void word(uintptr_t value) {
        for (unsigned i = 0; i < 4; ++i)
            m_bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
    // mov between a 64-bit register and an absolute address below 2 GiB; opcode 0x8b loads, 0x89 stores
    void move(unsigned opcode, unsigned reg, const void* place) {
        bytes({0x48u | (reg >> 3) << 2, opcode, (reg & 7) << 3 | 4, 0x25});
        word(reinterpret_cast<uintptr_t>(place));
    }
    std::vector<uint8_t> m_bytes;
};

constexpr unsigned k_load = 0x8b, k_store = 0x89, k_rsp = 4;

void emit_entry(Code& code, MachineState& state, Registers registers) {
    code.bytes({0xf3, 0x0f, 0x1e, 0xfa, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57});
    code.move(k_store, k_rsp, &state.host_stack);
    if (registers == Registers::all) {
        code.bytes({0xb8, 7, 0, 0, 0, 0x31, 0xd2});       // mov eax, 7; xor edx, edx
        code.bytes({0x48, 0x0f, 0xae, 0x2c, 0x25});       // xrstor64
        code.word(reinterpret_cast<uintptr_t>(state.xsave.data()));
    }
    code.bytes({0xff, 0x34, 0x25});                       // push [rflags]
    code.word(reinterpret_cast<uintptr_t>(&state.rflags));
    code.bytes({0x9d});                                   // popfq
    for (unsigned reg = 0; reg < 16; ++reg)
        code.move(k_load, reg, &state.gpr[reg]);
}

void emit_exit(Code& code, MachineState& state, Registers registers) {
    for (unsigned reg = 0; reg < 16; ++reg)
        code.move(k_store, reg, &state.gpr[reg]);
    code.move(k_load, k_rsp, &state.host_stack);
    code.bytes({0x9c, 0x8f, 0x04, 0x25});                 // pushfq; pop [rflags]
    code.word(reinterpret_cast<uintptr_t>(&state.rflags));
    if (registers == Registers::all) {
        code.bytes({0xb8, 7, 0, 0, 0, 0x31, 0xd2});
        code.bytes({0x48, 0x0f, 0xae, 0x24, 0x25});       // xsave64
        code.word(reinterpret_cast<uintptr_t>(state.xsave.data()));
        code.bytes({0xdb, 0xe3, 0xc5, 0xf8, 0x77});       // fninit; vzeroupper
        code.bytes({0x68, 0x80, 0x1f, 0, 0, 0x0f, 0xae, 0x14, 0x24, 0x58});  // ldmxcsr 0x1f80 by way of the stack
    }
    code.bytes({0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3});  // cld; pop ...; ret
}

void catch_faults() {
    static const bool done = [] {
        static std::array<std::byte, 65536> stack;
        stack_t alternate{};
        alternate.ss_sp = stack.data();
        alternate.ss_size = stack.size();
        must(sigaltstack(&alternate, nullptr) == 0);
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (const int signal : {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP})
            must(sigaction(signal, &action, nullptr) == 0);
        return true;
    }();
    must(done);
}

}  // namespace

NativeOracle::NativeOracle() {
    void* low = mmap(nullptr, k_low_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    must(low != MAP_FAILED);
    m_low = static_cast<std::byte*>(low);
    m_scratch = m_low + k_state_bytes + k_page;
    must(mprotect(m_low, k_state_bytes, PROT_READ | PROT_WRITE) == 0);
    must(mprotect(m_scratch, k_scratch_bytes, PROT_READ | PROT_WRITE) == 0);
    m_state = new (m_low) MachineState;

    const int fd = memfd_create("oracle", MFD_CLOEXEC);
    must(fd >= 0 && ftruncate(fd, k_code_bytes) == 0);
    void* write = mmap(nullptr, k_code_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void* run = mmap(nullptr, k_code_bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    must(write != MAP_FAILED && run != MAP_FAILED);
    m_code_write = static_cast<std::byte*>(write);
    m_code_run = static_cast<std::byte*>(run);
    catch_faults();
}

NativeOracle::~NativeOracle() {
    munmap(m_low, k_low_bytes);
    munmap(m_code_write, k_code_bytes);
    munmap(m_code_run, k_code_bytes);
}

void NativeOracle::prepare(std::span<const uint8_t> instruction, Registers registers) {
    Code code;
    emit_entry(code, *m_state, registers);
    const size_t first = code.m_bytes.size();
    code.m_bytes.insert(code.m_bytes.end(), instruction.begin(), instruction.end());
    const size_t resume = code.m_bytes.size();
    emit_exit(code, *m_state, registers);
    must(code.m_bytes.size() <= k_slot_bytes);
    m_slot = (m_slot + 1) % k_slots;
    std::memcpy(m_code_write + m_slot * k_slot_bytes, code.m_bytes.data(), code.m_bytes.size());
    m_entry = m_code_run + m_slot * k_slot_bytes;
    const auto entry = reinterpret_cast<uintptr_t>(m_entry);
    g_exit = {entry + first, entry + resume, entry + resume, m_state};
}

void NativeOracle::run() {
    m_state->vector = MachineState::k_no_fault;
    m_state->error_code = 0;
    reinterpret_cast<void (*)()>(m_entry)();
}

}  // namespace skep::test
