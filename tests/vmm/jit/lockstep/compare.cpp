// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace skep::lockstep {
namespace {

constexpr std::array<const char*, 16> k_names = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array<const char*, 25> k_record_names = {"r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8",
                                                        "rdi", "rsi", "rbp", "rbx", "rdx", "rcx", "rax", "vector",
                                                        "error code", "rip", "cs", "rflags", "rsp", "ss", "cr2", "cr3", "round"};
constexpr unsigned k_most_lines = 40;

using RecordWords = std::array<uint64_t, 25>;

uint64_t word(const Machine& machine, uint64_t at) {
    uint64_t value;
    std::memcpy(&value, machine.ram().data() + at, 8);
    return value;
}

uint64_t log_records(const Machine& machine) {
    const uint64_t next = word(machine, k_control + offsetof(Control, log_next)) - k_supervisor_window;
    return next >= k_log && next <= k_log_end ? (next - k_log) / sizeof(Record) : 0;
}

RecordWords record(const Machine& machine, uint64_t index) {
    RecordWords words;
    std::memcpy(words.data(), machine.ram().data() + k_log + index * sizeof(Record), sizeof words);
    return words;
}

std::string describe(const RecordWords& words) {
    std::string out = fmt::format("vector {} error {:x} rip {:x} rflags {:x} cr2 {:x} rsp {:x}\n     ", words[15], words[16],
                                  words[17], words[19], words[22], words[20]);
    for (unsigned i = 15; i-- > 0;) {
        out += fmt::format(" {}={:x}", k_record_names[i], words[i]);
    }
    return out;
}

void compare_logs(std::string& out, const Machine& a, const Machine& b) {
    const uint64_t count_a = log_records(a), count_b = log_records(b);
    for (uint64_t i = 0; i < std::min(count_a, count_b); ++i) {
        const RecordWords first = record(a, i), second = record(b, i);
        if (first == second) {
            continue;
        }
        out += fmt::format("event {} of {} / {} differs:\n", i, count_a, count_b);
        for (unsigned n = 0; n < first.size(); ++n) {
            if (first[n] != second[n]) {
                out += fmt::format("    {}: {:x} / {:x}\n", k_record_names[n], first[n], second[n]);
            }
        }
        if (i > 0) {
            out += "  the event before: " + describe(record(a, i - 1)) + "\n";
        }
        out += "  reference: " + describe(first) + "\n";
        return;
    }
    if (count_a != count_b) {
        out += fmt::format("{} / {} events; the first missing one:\n  {}\n", count_a, count_b,
                           describe(record(count_a > count_b ? a : b, std::min(count_a, count_b))));
    }
}

const char* place_name(uint64_t at) {
    if (at >= k_data) return "data";
    if (at >= k_code) return "code";
    if (at >= k_log) return "log";
    if (at >= k_stack) return "stack";
    if (at >= k_control) return "control and kernel stack";
    if (at >= k_handlers) return "handlers and their stack";
    return at >= k_gdt ? "descriptor tables" : "page tables";
}

void compare_memory(std::string& out, const Machine& a, const Machine& b) {
    if (std::memcmp(a.ram().data(), b.ram().data(), k_ram) == 0) [[likely]] {
        return;
    }
    unsigned lines = 0;
    for (uint64_t at = 0; at < k_ram && lines < k_most_lines; at += 8) {
        const bool in_log = at >= k_log && at < k_log_end;
        if (!in_log && word(a, at) != word(b, at)) {
            out += fmt::format("    [{:x}] ({}): {:016x} / {:016x}\n", at, place_name(at), word(a, at), word(b, at));
            ++lines;
        }
    }
    if (lines == 0) {
        out += "    the log's bytes\n";
    }
}

void compare_io(std::string& out, const LockstepIo& a, const LockstepIo& b) {
    if (a.events() == b.events() && a.accesses() == b.accesses()) [[likely]] {
        return;
    }
    static constexpr std::array<const char*, 5> k_kinds = {"port read", "port write", "mmio read", "mmio write", "interrupt"};
    const auto text = [](const LockstepIo& io, size_t i) {
        if (i >= io.events().size()) {
            return std::string("nothing");
        }
        const IoEvent& event = io.events()[i];
        return fmt::format("{} {:x} size {} value {:x}", k_kinds[static_cast<unsigned>(event.kind)], event.address, event.size,
                           event.value);
    };
    for (size_t i = 0; i < std::max(a.events().size(), b.events().size()); ++i) {
        const bool same = i < a.events().size() && i < b.events().size() && a.events()[i] == b.events()[i];
        if (!same) {
            out += fmt::format("access {} of the devices: {} / {}\n", i, text(a, i), text(b, i));
            return;
        }
    }
    out += fmt::format("{} / {} accesses to devices\n", a.accesses(), b.accesses());
}

void line(std::string& out, const char* name, uint64_t a, uint64_t b) {
    if (a != b) {
        out += fmt::format("    {}: {:x} / {:x}\n", name, a, b);
    }
}

bool same_segment(const Segment& a, const Segment& b) {
    return a.base == b.base && a.limit == b.limit && a.attributes == b.attributes && a.selector == b.selector;
}

void compare_states(std::string& out, const CpuState& a, const CpuState& b) {
    for (unsigned i = 0; i < 16; ++i) {
        line(out, k_names[i], a.gpr[i], b.gpr[i]);
    }
    line(out, "rip", a.rip, b.rip);
    line(out, "rflags", a.rflags, b.rflags);
    for (unsigned i = 0; i < 6; ++i) {
        if (!same_segment(a.segment[i], b.segment[i])) {
            out += fmt::format("    segment {}: {:x} base {:x} limit {:x} attributes {:x} / {:x} base {:x} limit {:x} attributes {:x}\n",
                               i, a.segment[i].selector, a.segment[i].base, a.segment[i].limit, a.segment[i].attributes,
                               b.segment[i].selector, b.segment[i].base, b.segment[i].limit, b.segment[i].attributes);
        }
    }
    if (!same_segment(a.ldtr, b.ldtr) || !same_segment(a.tr, b.tr)) {
        out += "    ldtr or tr\n";
    }
    line(out, "gdtr", a.gdtr.base ^ a.gdtr.limit, b.gdtr.base ^ b.gdtr.limit);
    line(out, "idtr", a.idtr.base ^ a.idtr.limit, b.idtr.base ^ b.idtr.limit);
    line(out, "cr0", a.cr0, b.cr0);
    line(out, "cr2", a.cr2, b.cr2);
    line(out, "cr3", a.cr3, b.cr3);
    line(out, "cr4", a.cr4, b.cr4);
    line(out, "xcr0", a.xcr0, b.xcr0);
    line(out, "dr6", a.dr6, b.dr6);
    line(out, "dr7", a.dr7, b.dr7);
    line(out, "efer", a.msr.efer, b.msr.efer);
    line(out, "kernel_gs_base", a.msr.kernel_gs_base, b.msr.kernel_gs_base);
    line(out, "activity", static_cast<uint64_t>(a.activity), static_cast<uint64_t>(b.activity));
    line(out, "sti shadow", a.interrupt_shadow_sti, b.interrupt_shadow_sti);
    line(out, "movss shadow", a.interrupt_shadow_movss, b.interrupt_shadow_movss);
    for (size_t at = 0; at < a.xsave.size(); at += 8) {
        uint64_t first, second;
        std::memcpy(&first, a.xsave.data() + at, 8);
        std::memcpy(&second, b.xsave.data() + at, 8);
        if (at == 24) {  // MXCSR; its mask behind it is no state
            first &= 0xffff'ffff;
            second &= 0xffff'ffff;
        }
        line(out, fmt::format("xsave[{}]", at).c_str(), first, second);
    }
}

}  // namespace

const char* name_of(Ending ending) {
    static constexpr std::array<const char*, 4> k_texts = {"halted", "shutdown", "failed", "endless"};
    return k_texts[static_cast<unsigned>(ending)];
}

std::string compare(const Machine& reference, Ending reference_ending, const Machine& other, Ending other_ending) {
    std::string out;
    if (reference_ending == Ending::endless && other_ending == Ending::endless) {
        return out;  // nobody can say where it was stopped
    }
    if (reference_ending != other_ending) {
        out += fmt::format("{} / {} {}\n", name_of(reference_ending), name_of(other_ending), other.last_error());
    }
    compare_io(out, reference.io(), other.io());
    compare_memory(out, reference, other);
    compare_states(out, reference.state(), other.state());
    if (!out.empty()) {
        std::string logs;
        compare_logs(logs, reference, other);
        out = logs + out;
    }
    return out;
}

}  // namespace skep::lockstep
