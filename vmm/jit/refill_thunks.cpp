// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/refill_thunks.hpp"

#include "vmm/jit/return_stacks.hpp"

namespace skep::jit {
namespace {

using namespace asmjit::x86;

constexpr unsigned k_page = 4096;
// What the System V ABI lets a function clobber, less rax and rcx.
constexpr Gp k_clobbered[] = {rdx, rsi, rdi, r8, r9, r10, r11};

class RefillMaker {
  public:
    RefillMaker(Assembler& assembler, const Places& places, const UnitLabels& units)
        : a(assembler), m_places(places), m_units(units), m_ask(a.newLabel()), m_no(a.newLabel()) {}

    RefillLabels make() {
        RefillLabels labels;
        for (const bool writes : {false, true}) {
            for (const Refill how : {Refill::walks, Refill::knows}) {
                for (unsigned bytes = 1; bytes <= k_most_refilled; ++bytes) {
                    asmjit::Label& label = labels[refill_index(writes, how)][bytes];
                    label = a.newLabel();
                    a.bind(label);
                    make_look(writes, how, bytes);
                }
            }
        }
        make_ask();
        return labels;
    }

  private:
    [[nodiscard]] Mem slot(const void* place, unsigned bytes = 8) const {
        return ptr_abs(reinterpret_cast<uintptr_t>(place), bytes);
    }

    // In the place behind the entry (core.hpp), or on to the MMU with rcx = the linear address.
    void make_look(bool writes, Refill how, unsigned bytes) {
        constexpr auto k_behind = static_cast<int32_t>(interp::k_tlb_entries * sizeof(interp::TlbEntry));
        const auto tag = static_cast<int32_t>(writes ? offsetof(interp::TlbEntry, write_tag)
                                                     : offsetof(interp::TlbEntry, read_tag));
        const asmjit::Label elsewhere = a.newLabel();
        a.add(rcx, ptr(rax, tag));
        a.sub(rcx, ptr(rax, k_behind + tag));
        a.cmp(rcx, k_page - bytes);
        a.ja(elsewhere);
        a.add(rcx, ptr(rax, k_behind + static_cast<int32_t>(offsetof(interp::TlbEntry, host_page))));  // no carry
        a.ret();
        a.bind(elsewhere);
        a.add(rcx, ptr(rax, k_behind + tag));
        a.mov(eax, ecx);
        a.and_(eax, k_page - 1);
        a.cmp(eax, k_page - bytes);
        a.ja(m_no);
        a.mov(eax, refill_index(writes, how));
        a.jmp(m_ask);
    }

    // rcx: linear address, eax: refill_index().
    void make_ask() {
        const Runtime& runtime = *m_places.runtime;
        a.bind(m_ask);
        for (const Gp& reg : k_clobbered) {
            a.push(reg);
        }
        put_to_sleep(runtime.vectors_asleep, m_units.vectors_to_sleep);
        put_to_sleep(runtime.x87_asleep, m_units.x87_to_sleep);
        a.mov(rdi, slot(&runtime.translator));
        a.mov(rsi, rcx);
        a.mov(edx, eax);
        a.and_(edx, 1);
        a.mov(ecx, eax);
        a.shr(ecx, 1);
        emit_host_call(a, runtime, runtime.refill);
        a.mov(rcx, rax);
        a.pop(rdx);
        a.pop(rsi);
        wake_again(edx, m_units.wake_x87);
        wake_again(esi, m_units.wake_vectors);
        for (size_t i = std::size(k_clobbered); i-- > 0;) {
            a.pop(k_clobbered[i]);
        }
        a.cmp(rcx, 1);
        a.ret();
        a.bind(m_no);
        a.stc();
        a.ret();
    }
    // Pushes whether it was asleep.
    void put_to_sleep(const uint32_t& asleep, const asmjit::Label& thunk) {
        const asmjit::Label sleeps = a.newLabel();
        a.mov(edx, slot(&asleep, 4));
        a.push(rdx);
        a.test(edx, edx);
        a.jne(sleeps);
        a.call(thunk);
        a.bind(sleeps);
    }
    // Nothing has changed that could keep it from waking.
    void wake_again(const Gp& was_asleep, const asmjit::Label& thunk) {
        const asmjit::Label sleeps = a.newLabel();
        a.test(was_asleep, was_asleep);
        a.jne(sleeps);
        a.call(thunk);
        a.bind(sleeps);
    }

    Assembler& a;
    const Places& m_places;
    const UnitLabels& m_units;
    asmjit::Label m_ask, m_no;
};

}  // namespace

RefillLabels emit_refills(Assembler& a, const Places& places, const UnitLabels& units) {
    return RefillMaker(a, places, units).make();
}

}  // namespace skep::jit
