// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/whole_guest/record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "vmm/interp/flags.hpp"
#include "vmm/interp/vector_state.hpp"
#include "vmm/x86/paging.hpp"

namespace skep::whole_guest {
namespace {

struct Tables {
    template <typename Entry>
    [[nodiscard]] uint64_t load(uint64_t address) const {
        return memory.read_value<Entry>(address).value_or(0);
    }
    const GuestMemory& memory;
};

// Without any trace in the tables or the processor.
std::optional<GuestAddress> physical(const interp::Core& core, uint64_t linear) {
    x86::PagingControls controls = x86::paging_controls(core.cr0, core.cr3, core.cr4, core.msr.efer);
    controls.pdpte = core.pdpte;
    if (controls.mode == x86::PagingMode::none) {
        return linear;
    }
    Tables tables{*core.memory};
    x86::paging::Path path;
    if (x86::paging::descend_from_root(controls, tables, linear, path) != x86::paging::Stop::leaf) {
        return std::nullopt;
    }
    return x86::paging::frame_of(controls.mode, path.leaf(), path.shift, path.large) | (linear & ((uint64_t{1} << path.shift) - 1));
}

}  // namespace

// Not for adversaries: 64 bits a word, four words at a time.
uint64_t hash_of(const void* data, size_t bytes) {
    constexpr size_t k_lanes = 4;
    constexpr uint64_t k_factor = 0x9e37'79b9'7f4a'7c15;
    std::array<uint64_t, k_lanes> sums = {1, 2, 3, 4};
    const auto* at = static_cast<const std::byte*>(data);
    for (; bytes >= 8 * k_lanes; bytes -= 8 * k_lanes, at += 8 * k_lanes) {
        std::array<uint64_t, k_lanes> words;
        std::memcpy(words.data(), at, sizeof words);
        for (size_t lane = 0; lane < k_lanes; ++lane) {
            sums[lane] = (sums[lane] ^ words[lane]) * k_factor;
            sums[lane] ^= sums[lane] >> 29;
        }
    }
    uint64_t whole = 0;
    for (const uint64_t sum : sums) {
        whole = (whole ^ sum) * k_factor;
        whole ^= whole >> 32;
    }
    return whole;
}

GeneralRegisters general_registers(const interp::Core& core) {
    GeneralRegisters out;
    std::copy_n(core.gpr.begin(), out.size(), out.begin());
    return out;
}

Registers registers_of(const interp::Core& core) {
    return {.gpr = general_registers(core),
            .rip = core.rip,
            .rflags = interp::read_rflags(core),
            .cs = core.segment[k_cs].selector,
            .cr0 = core.cr0,
            .cr2 = core.cr2,
            .cr3 = core.cr3,
            .cr4 = core.cr4};
}

uint64_t surroundings_of(const interp::Core& core) {
    constexpr uint64_t k_bytes = 2048, k_step = 256;
    std::array<std::byte, k_page_size> bytes{};
    const uint64_t from = core.gpr[k_rsp] & ~uint64_t{7};
    for (uint64_t at = 0; at < k_bytes; at += k_step) {
        const auto first = physical(core, from + at);  // the second part of a piece on the next page is left out
        const uint64_t room = k_page_size - ((from + at) & k_page_mask);
        if (!first || !core.memory->read(*first, bytes.data() + at, std::min(k_step, room))) {
            break;
        }
    }
    uint64_t hash = hash_of(bytes.data(), k_bytes);
    for (unsigned reg = 0; reg < 16; ++reg) {
        const auto page = physical(core, core.gpr[reg] & ~k_page_mask);
        if (reg != k_rsp && page && core.memory->read(*page, bytes.data(), k_page_size)) {
            hash = hash * 31 + hash_of(bytes.data(), k_page_size);
        }
    }
    return hash;
}

uint64_t vectors_of(const interp::Core& core) {
    const auto state = interp::sealed_vector_state(core);
    return hash_of(state.data(), state.size());
}

std::vector<uint64_t> pages_of(const GuestMemory& memory) {
    std::vector<uint64_t> out;
    out.reserve(memory.ram_bytes() / k_page_size);
    for (uint64_t at = 0; at < memory.ram_bytes(); at += k_page_size) {
        out.push_back(hash_of(memory.ram().data() + at, k_page_size));
    }
    return out;
}

std::string describe(const Event& event) {
    static constexpr std::array<const char*, 11> k_names = {"port read",  "port write", "MMIO read", "MMIO write", "MSR read", "MSR write",
                                                            "CR8 read", "CR8 write",  "TSC",       "random number", "interrupt"};
    return fmt::format("{} {:x} size {} value {:x}", k_names[static_cast<size_t>(event.kind)], event.where,
                       event.size, event.value);
}

std::string difference(const GeneralRegisters& expected, const GeneralRegisters& seen) {
    static constexpr std::array<const char*, 16> k_names = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                            "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    std::string out;
    for (unsigned i = 0; i < expected.size(); ++i) {
        if (expected[i] != seen[i]) {
            out += fmt::format(" {} {:x}/{:x}", k_names[i], expected[i], seen[i]);
        }
    }
    return out;
}

std::string difference(const Registers& expected, const Registers& seen) {
    std::string out = difference(expected.gpr, seen.gpr);
    const auto add = [&](const std::string& name, uint64_t a, uint64_t b) {
        if (a != b) {
            out += fmt::format(" {} {:x}/{:x}", name, a, b);
        }
    };
    add("rip", expected.rip, seen.rip);
    add("rflags", expected.rflags, seen.rflags);
    add("cs", expected.cs, seen.cs);
    add("cr0", expected.cr0, seen.cr0);
    add("cr2", expected.cr2, seen.cr2);
    add("cr3", expected.cr3, seen.cr3);
    add("cr4", expected.cr4, seen.cr4);
    return out;
}

}  // namespace skep::whole_guest
