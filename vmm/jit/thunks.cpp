// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/jit/thunks.hpp"

#include "vmm/jit/refill_thunks.hpp"
#include "vmm/jit/return_stacks.hpp"
#include "vmm/jit/unit_thunks.hpp"

namespace skep::jit {
namespace {

using namespace asmjit::x86;

constexpr Gp k_saved[] = {rbp, rbx, r12, r13, r14, r15};  // by the System V ABI

class ThunkMaker {
  public:
    ThunkMaker(const Places& places, asmjit::CodeHolder& code) : m_places(places), m_code(code), a(&code) {}

    void make() {
        const asmjit::Label leave_stored = a.newLabel();
        m_look_up = a.newLabel();
        make_enter();
        make_units();
        for (unsigned live = 0; live < k_unit_sets; ++live) {
            make_interpret(leave_stored, live);
        }
        m_unknown_target = a.newLabel();
        m_leave_common = a.newLabel();
        m_leave = a.newLabel();
        make_look_up();
        make_look_up_site();
        make_returns();
        make_leave(leave_stored);
        m_refill = emit_refills(a, m_places, {m_wake_vectors, m_vectors_to_sleep, m_wake_x87, m_x87_to_sleep});
    }
    [[nodiscard]] Thunks offsets() const {
        const auto at = [&](const asmjit::Label& label) { return m_code.labelOffset(label); };
        Thunks thunks{.enter = at(m_enter),
                      .wake_vectors = at(m_wake_vectors),
                      .wake_x87 = at(m_wake_x87),
                      .look_up = at(m_look_up),
                      .look_up_site = at(m_look_up_site),
                      .find_return = at(m_return),
                      .return_to_nothing = at(m_return_to_nothing),
                      .stale_return = at(m_stale_return),
                      .leave = at(m_leave)};
        for (unsigned live = 0; live < k_unit_sets; ++live) {
            thunks.interpret[live] = at(m_interpret[live]);
        }
        for (size_t kind = 0; kind < thunks.refill.size(); ++kind) {
            for (size_t bytes = 1; bytes < thunks.refill[kind].size(); ++bytes) {
                thunks.refill[kind][bytes] = at(m_refill[kind][bytes]);
            }
        }
        return thunks;
    }

  private:
    [[nodiscard]] Mem slot(const void* place, unsigned bytes = 8) const {
        return ptr_abs(reinterpret_cast<uintptr_t>(place), bytes);
    }
    void load_registers() {
        for (unsigned guest = 0; guest < 16; ++guest) {
            if (lives_in_host(guest)) {
                a.mov(gpq(static_cast<unsigned>(k_host_of_guest[guest])), slot(&m_places.core->gpr[guest]));
            }
        }
    }
    void store_registers() {
        for (unsigned guest = 0; guest < 16; ++guest) {
            if (lives_in_host(guest)) {
                a.mov(slot(&m_places.core->gpr[guest]), gpq(static_cast<unsigned>(k_host_of_guest[guest])));
            }
        }
    }

    void make_enter() {
        m_enter = a.newLabel();
        a.bind(m_enter);
        for (const Gp& reg : k_saved) {
            a.push(reg);
        }
        a.sub(rsp, 8);
        a.mov(slot(&m_places.runtime->host_stack), rsp);
        a.mov(rsp, slot(&m_places.runtime->return_top));
        a.mov(rax, rdi);
        load_registers();
        a.jmp(rax);
    }
    void make_unit(asmjit::Label& label, void (*emit)(Assembler& a, const Places& places)) {
        label = a.newLabel();
        a.bind(label);
        emit(a, m_places);
        a.ret();
    }
    void make_units() {
        make_unit(m_wake_vectors, emit_wake_vectors);
        make_unit(m_vectors_to_sleep, emit_vectors_to_sleep);
        make_unit(m_wake_x87, emit_wake_x87);
        make_unit(m_x87_to_sleep, emit_x87_to_sleep);
    }
    // Before any C++. Clobbers flags.
    void put_units_to_sleep() {
        put_to_sleep(m_places.runtime->vectors_asleep, m_vectors_to_sleep);
        put_to_sleep(m_places.runtime->x87_asleep, m_x87_to_sleep);
    }
    void put_to_sleep(const uint32_t& is_asleep, const asmjit::Label& thunk) {
        const asmjit::Label asleep = a.newLabel();
        a.cmp(slot(&is_asleep, 4), 0);
        a.jne(asleep);
        a.call(thunk);
        a.bind(asleep);
    }
    // To `leaves` when it is not live afterwards: Core::rip is already behind the instruction.
    void wake_again(const uint32_t& asleep, const asmjit::Label& thunk, const asmjit::Label& leaves) {
        a.call(thunk);
        a.mov(eax, static_cast<uint32_t>(ExitKind::run_loop));
        a.cmp(slot(&asleep, 4), 0);
        a.jne(leaves);
    }
    // `live`: the units that are live again when it returns to translated code (UnitUse::index()).
    void make_interpret(const asmjit::Label& leave_stored, unsigned live) {
        m_interpret[live] = a.newLabel();
        const asmjit::Label leaves = a.newLabel(), elsewhere = a.newLabel();
        a.bind(m_interpret[live]);
        store_registers();
        put_units_to_sleep();
        a.mov(rdi, slot(&m_places.runtime->translator));
        a.mov(esi, ecx);
        emit_host_call(a, *m_places.runtime, m_places.runtime->interpret);
        a.cmp(eax, static_cast<uint32_t>(ExitKind::elsewhere));
        a.je(elsewhere);
        a.test(eax, eax);
        a.jne(leaves);
        if ((live & 1) != 0) {
            wake_again(m_places.runtime->vectors_asleep, m_wake_vectors, leaves);
        }
        if ((live & 2) != 0) {
            wake_again(m_places.runtime->x87_asleep, m_wake_x87, leaves);
        }
        load_registers();
        a.ret();
        a.bind(leaves);
        put_units_to_sleep();  // one may have been woken before the other refused
        count_left();
        a.add(rsp, 8);  // nobody goes on there
        a.jmp(leave_stored);
        a.bind(elsewhere);
        load_registers();
        a.mov(rcx, slot(&m_places.core->rip));
        a.jmp(m_look_up);
    }
    void make_look_up() {
        const asmjit::Label unknown = a.newLabel();
        a.bind(m_look_up);
        a.mov(slot(&m_places.core->rip), rcx);
        emit_jump_target_look(a, m_places, unknown);
        a.mov(slot(&m_places.runtime->page_base), rcx);
        a.jmp(jump_target_field(*m_places.runtime, offsetof(JumpTarget, code)));
        a.bind(unknown);
        a.mov(slot(&m_places.runtime->unknown_site), 0);
        a.bind(m_unknown_target);
        a.mov(eax, static_cast<uint32_t>(ExitKind::unknown_target));
        a.jmp(m_leave_common);
    }
    void count(uint64_t ProfileCounters::*what) {
        if (m_places.counters != nullptr) {
            a.add(slot(&(m_places.counters->*what)), 1);
        }
    }
    void count_left() {
        if (m_places.counters != nullptr) {
            a.mov(ecx, slot(&m_places.counters->helping, 4));
            a.add(ptr(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(m_places.counters->left_after.data())), rcx, 3, 8), 1);
        }
    }
    // rcx = RIP, eax = the JumpSite, which learns where that is.
    void make_look_up_site() {
        m_look_up_site = a.newLabel();
        const asmjit::Label unknown = a.newLabel();
        Runtime& runtime = *m_places.runtime;
        a.bind(m_look_up_site);
        count(&ProfileCounters::site_misses);
        a.mov(slot(&m_places.core->rip), rcx);
        a.push(rdx);
        a.mov(edx, eax);
        emit_jump_target_look(a, m_places, unknown);
        a.mov(ptr(rdx, offsetof(JumpSite, target_base)), rcx);
        a.xchg(rcx, slot(&runtime.page_base));
        a.or_(rcx, slot(&m_places.core->code_context));
        a.mov(ptr(rdx, offsetof(JumpSite, page_key)), rcx);
        a.mov(rcx, jump_target_field(runtime, offsetof(JumpTarget, code)));
        a.mov(ptr(rdx, offsetof(JumpSite, code)), rcx);
        a.pop(rdx);
        a.jmp(rcx);
        a.bind(unknown);
        a.mov(slot(&runtime.unknown_site), rdx);
        a.pop(rdx);
        a.jmp(m_unknown_target);
    }
    // rcx = RIP, which is not that of the topmost frame. Those above its own are of calls that did not return.
    void make_returns() {
        std::array<asmjit::Label, k_return_search> found;
        m_return = a.newLabel();
        a.bind(m_return);
        count(&ProfileCounters::other_returns);
        for (unsigned i = 0; i < k_return_search; ++i) {
            found[i] = a.newLabel();
            a.cmp(rcx, ptr(rsp, static_cast<int32_t>((i + 1) * sizeof(ReturnFrame) + offsetof(ReturnFrame, rip))));
            a.je(found[i]);
        }
        a.jmp(m_look_up);
        for (unsigned i = 0; i < k_return_search; ++i) {
            a.bind(found[i]);
            a.add(rsp, (i + 1) * sizeof(ReturnFrame));
            a.ret();
        }
        m_return_to_nothing = a.newLabel();  // the guest has found out the RIP that marks the end
        a.bind(m_return_to_nothing);
        a.mov(rsp, slot(&m_places.runtime->return_base));
        a.jmp(m_look_up);
        m_stale_return = a.newLabel();
        a.bind(m_stale_return);
        a.pop(rcx);
        a.jmp(m_leave);
    }
    void make_leave(const asmjit::Label& leave_stored) {
        a.bind(m_leave);
        a.mov(slot(&m_places.core->rip), rcx);
        a.mov(eax, static_cast<uint32_t>(ExitKind::run_loop));
        a.bind(m_leave_common);
        put_units_to_sleep();
        store_registers();
        a.bind(leave_stored);
        a.mov(slot(&m_places.runtime->return_top), rsp);
        a.mov(rsp, slot(&m_places.runtime->host_stack));
        a.add(rsp, 8);
        for (size_t i = std::size(k_saved); i-- > 0;) {
            a.pop(k_saved[i]);
        }
        a.ret();
    }

    const Places& m_places;
    asmjit::CodeHolder& m_code;
    Assembler a;
    asmjit::Label m_wake_vectors, m_vectors_to_sleep, m_wake_x87, m_x87_to_sleep;
    std::array<asmjit::Label, k_unit_sets> m_interpret;
    asmjit::Label m_enter, m_look_up, m_look_up_site, m_unknown_target, m_leave, m_leave_common;
    asmjit::Label m_return, m_return_to_nothing, m_stale_return;
    RefillLabels m_refill;
};

}  // namespace

bool place_code(asmjit::CodeHolder& code, CodeCache& cache) {
    if (code.flatten() != asmjit::kErrorOk || code.resolveUnresolvedLinks() != asmjit::kErrorOk) {
        return false;
    }
    if (code.codeSize() > cache.room() || code.relocateToBase(cache.next()) != asmjit::kErrorOk) {
        return false;
    }
    const size_t size = code.codeSize();
    if (code.copyFlattenedData(cache.writable_next(), size) != asmjit::kErrorOk) {
        return false;
    }
    cache.commit(size);
    return true;
}

bool make_thunks(CodeCache& cache, Places& places) {
    asmjit::CodeHolder code;
    const uint64_t base = cache.next();
    if (code.init(asmjit::Environment::host(), base) != asmjit::kErrorOk) {
        return false;
    }
    ThunkMaker maker(places, code);
    maker.make();
    if (!place_code(code, cache)) {
        return false;
    }
    places.thunks = maker.offsets();
    Thunks& thunks = places.thunks;
    for (uint64_t* address : {&thunks.enter, &thunks.wake_vectors, &thunks.wake_x87, &thunks.look_up, &thunks.look_up_site,
                              &thunks.find_return, &thunks.return_to_nothing, &thunks.stale_return, &thunks.leave}) {
        *address += base;
    }
    for (uint64_t& address : thunks.interpret) {
        address += base;
    }
    for (auto& by_size : thunks.refill) {
        for (uint64_t& address : by_size) {
            address += base;
        }
    }
    return true;
}

}  // namespace skep::jit
