// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/lockstep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tests/vmm/jit/lockstep/compare.hpp"

namespace skep::lockstep {
namespace {

constexpr uint64_t k_pool_seed = 20261121;
constexpr unsigned k_pool_size = 6000;

std::optional<Assembled> assemble_case(const Case& one) {
    return assemble(one.program, one.code_start(), k_code_pages * k_page_size - one.code_offset);
}

}  // namespace

uint64_t case_seed(uint64_t first, uint64_t n) {
    uint64_t value = first * 0x9e37'79b9'7f4a'7c15 + n;
    value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9;
    return (value ^ value >> 27) >> 20;
}

Lockstep::Lockstep(Hypervisor& reference, Hypervisor& other, Hypervisor* exact)
    : m_reference_engine(reference), m_other_engine(other), m_exact_engine(exact), m_pool(k_pool_seed, k_pool_size) {
    renew();
}

void Lockstep::renew() {
    m_reference = std::make_unique<Machine>(m_reference_engine);
    m_other = std::make_unique<Machine>(m_other_engine);
    m_exact.reset();
}

std::string Lockstep::run_case(const Case& one) {
    const std::optional<Assembled> code = assemble_case(one);
    if (!code) {
        ++m_totals.unassembled;
        return {};
    }
    m_reference->load(one, *code);
    Ending first = m_reference->run();
    m_other->load(one, *code);
    Ending second = m_other->run();
    if ((first == Ending::endless) != (second == Ending::endless)) {  // or was one only slow?
        first = m_reference->run_patiently(one, *code);
        second = m_other->run_patiently(one, *code);
    }
    count(one, first);
    std::string difference = compare(*m_reference, first, *m_other, second);
    if (!difference.empty() && is_equal_on_exact(one, *code, first)) {
        ++m_totals.products;
        return {};
    }
    return difference;
}

bool Lockstep::is_equal_on_exact(const Case& one, const Assembled& code, Ending expected) {
    if (m_exact_engine == nullptr) {
        return false;
    }
    if (!m_exact) {
        m_exact = std::make_unique<Machine>(*m_exact_engine);
    }
    const Ending ending = m_exact->run_patiently(one, code);
    return compare(*m_reference, expected, *m_exact, ending).empty();
}

void Lockstep::count(const Case& one, Ending ending) {
    ++m_totals.cases;
    m_totals.blocks += uint64_t{one.blocks} * one.rounds;
    m_totals.endless += ending == Ending::endless;
    m_totals.shutdowns += ending == Ending::shutdown;
    Control control;
    std::memcpy(&control, m_reference->ram().data() + k_control, sizeof control);
    m_totals.finished += control.rounds == 0;
    const uint64_t end = std::min(control.log_next - k_supervisor_window, k_log_end);
    for (uint64_t at = k_log; at + sizeof(Record) <= end; at += sizeof(Record)) {
        Record record;
        std::memcpy(&record, m_reference->ram().data() + at, sizeof record);
        ++m_totals.events;
        ++m_totals.vectors[record.vector & 0xff];
    }
}

std::string Lockstep::run_seed(uint64_t seed) { return run_case(make(seed)); }

std::string Lockstep::run_seed_interrupted(uint64_t seed) {
    if (!m_asynchronous) {
        m_asynchronous = std::make_unique<AsynchronousLockstep>(m_exact_engine != nullptr ? *m_exact_engine : m_other_engine);
    }
    const Case one = make(seed, Events::anywhere);
    const std::optional<Assembled> code = assemble_case(one);
    if (!code) {
        return {};
    }
    ++m_totals.cases;
    std::string difference = m_asynchronous->run_case(one, *code);
    m_totals.interruptions = m_asynchronous->taken();
    m_totals.blocks += uint64_t{one.blocks} * one.rounds;
    if (!difference.empty()) {
        difference += describe(one);
    }
    return difference;
}

bool Lockstep::differs_anew(const Case& one) {
    renew();
    return !run_case(one).empty();
}

Case Lockstep::shrink(const Case& one) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::seconds(40);
    Case best = one;
    if (!differs_anew(best)) {
        return best;
    }
    const auto attempt = [&](const Case& candidate) {
        if (Clock::now() < end && differs_anew(candidate)) {
            best = candidate;
            return true;
        }
        return false;
    };
    for (const uint32_t rounds : {1U, 2U, 3U}) {
        Case fewer = best;
        fewer.rounds = rounds;
        if (rounds < best.rounds && attempt(fewer)) {
            break;
        }
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t chunk = best.program.items.size() / 2; chunk > 0; chunk /= 2) {
            for (size_t at = 0; at < best.program.items.size(); at += chunk) {
                Case without = best;
                bool changed = false;
                for (size_t i = at; i < std::min(at + chunk, without.program.items.size()); ++i) {
                    Item& item = without.program.items[i];
                    changed = changed || (!item.fixed && !item.removed);
                    item.removed = item.removed || !item.fixed;
                }
                again = (changed && attempt(without)) || again;
            }
        }
    }
    return best;
}

std::string Lockstep::describe(const Case& one) {
    std::string out = fmt::format(
        "{}-bit {} at {:x}, rounds {}, {}, cr0 {:x} cr4 {:x} rflags {:x} fs {:x} gs {:x} absent code page {}\n",
        one.program.code64 ? 64 : 32, one.user ? "user" : "supervisor", one.code_start(), one.rounds,
        one.own_stack ? "IST" : "no IST", one.start.cr0, one.start.cr4, one.start.rflags, one.start.segment[k_fs].base,
        one.start.segment[k_gs].base, one.absent_code_page);
    if (const auto code = assemble_case(one)) {
        out += disassemble(code->bytes, one.code_start(), one.program.code64);
    }
    return out;
}

std::string Lockstep::report(uint64_t seed, const std::string& difference) {
    std::string out = fmt::format("case {} differs:\n{}", seed, difference);
    const Case one = make(seed);
    if (!differs_anew(one)) {
        return out + "(not on new machines: something is carried along from the cases before)\n" + describe(one);
    }
    const Case small = shrink(one);
    renew();
    out += fmt::format("--- made small:\n{}{}", run_case(small), describe(small));
    renew();
    return out;
}

std::string Lockstep::run_many(uint64_t first, uint64_t blocks) {
    const uint64_t end = m_totals.blocks + blocks;
    for (uint64_t n = 0; m_totals.blocks < end; ++n) {
        const uint64_t seed = case_seed(first, n);
        const std::string difference = run_seed(seed);
        if (!difference.empty()) {
            return report(seed, difference);
        }
    }
    return {};
}

}  // namespace skep::lockstep
