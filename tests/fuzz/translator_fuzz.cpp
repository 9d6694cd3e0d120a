// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: any bytes as a guest's program, in any state, on the translator (or the interpreter, where it cannot be
// had). Nothing is compared: the host must survive, and AddressSanitizer finds accesses outside guest memory.
//
// The input is {mode:1, rounds:1, state seed:2, code}. Mode: bit 0 64-bit code, bit 1 user, bits 2-3 which base, bit 4 events
// have a stack of their own, bit 5 SMEP and SMAP, bit 6 alignment checks, bit 7 IOPL 3. Each exception starts the program
// anew with the registers it left; the handlers end it after a number of them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/vmm/interp/oracle_state.hpp"
#include "tests/vmm/jit/lockstep/engines.hpp"
#include "tests/vmm/jit/lockstep/machine.hpp"

namespace skep::lockstep {
namespace {

constexpr size_t k_header = 4;

Case make_case(const uint8_t* data) {
    Case one;
    const unsigned mode = data[0];
    one.program.code64 = (mode & 1) != 0;
    one.user = (mode & 2) != 0;
    one.base = one.program.code64 ? k_bases[(mode >> 2 & 3) % k_bases.size()] : 0;
    one.own_stack = (mode & 0x10) != 0;
    one.start = initial_state(one.program.code64, one.user);
    one.start.cr4 |= (mode & 0x20) != 0 ? 0x30'0000 : 0;
    one.start.cr0 |= (mode & 0x40) != 0 ? 0x4'0000 : 0;
    one.start.rflags |= (mode & 0x80) != 0 ? 0x3000 : 0;
    one.rounds = data[1] % 16;
    one.budget = 12;
    one.seed = data[2];
    one.code_offset = data[3] * 16;
    test::Random random(data[2] | data[3] << 8);
    for (unsigned i = 0; i < 16; ++i) {
        const bool pointer = i == k_rsp || random.one_in(2);
        const uint64_t place = one.window() + k_data + random.below(k_data_pages * 4096);
        one.start.gpr[i] = i == k_rsp ? one.window() + k_stack_top - 512 : pointer ? place : test::interesting_bits(random);
    }
    return one;
}

// The code, and behind it: count a round, begin anew or end.
Assembled make_code(const Case& one, const uint8_t* code, size_t size) {
    Assembled out;
    out.bytes.assign(code, code + size);
    Program tail;
    tail.code64 = one.program.code64;
    const Encoder encoder(tail.code64);
    Memory rounds;
    rounds.displacement = static_cast<int32_t>((one.user ? k_user_window : k_supervisor_window) + k_control + offsetof(Control, rounds));
    Item count = encoder.with_memory({.opcode = 0x83, .width = 4}, 5, rounds);
    put_immediate(count, 1, 1);
    Item again = encoder.raw({0x0f, 0x89});  // JNS
    again.reference = Reference::relative32;
    again.reference_at = again.size;
    again.value = one.code_start();
    put_immediate(again, 0, 4);
    tail.add(count);
    tail.add(again);
    tail.add(encoder.raw({0xcd, k_vector_end, 0xf4}));
    const auto end = assemble(tail, one.code_start() + size, 64);
    out.bytes.insert(out.bytes.end(), end->bytes.begin(), end->bytes.end());
    return out;
}

Machine& machine() {
    static const auto engine = [] {
        auto jit = make_engine("jit");
        return jit ? std::move(jit) : make_engine("interp");
    }();
    static Machine instance(*engine);
    return instance;
}

}  // namespace
}  // namespace skep::lockstep

// The engine keeps what it has decoded and translated, so every input "leaks"; looking for that costs most of the time.
extern "C" int __lsan_is_turned_off() { return 1; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace skep::lockstep;
    if (size <= k_header) {
        return 0;
    }
    const Case one = make_case(data);
    const size_t most = k_code_pages * 4096 - one.code_offset - 64;
    const Assembled code = make_code(one, data + k_header, std::min(size - k_header, most));
    machine().set_patience(std::chrono::microseconds(400));
    machine().load(one, code);
    machine().run();
    return 0;
}
