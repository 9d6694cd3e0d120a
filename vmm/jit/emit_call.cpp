// SPDX-License-Identifier: GPL-3.0-or-later
// From page to page: sites that remember where a direct jump went, calls and the frames for their returns.
#include "vmm/jit/emitter.hpp"
#include "vmm/jit/return_stacks.hpp"

namespace skep::jit {
namespace {

using x86asm::eax;
using x86asm::rax;
using x86asm::rcx;
using x86asm::rsp;

constexpr int64_t k_page = 4096;
constexpr unsigned k_not_canonical_bits = 64 - 48;

}  // namespace

// --- sites ---------------------------------------------------------------------------------------------------------------
// Null: there are none left.
JumpSite* Emitter::new_jump_site(SiteBranch branch) {
    Runtime& all = runtime();
    if (all.jump_sites_used == k_jump_sites) {
        return nullptr;
    }
    all.site_branches[all.jump_sites_used] = branch;
    JumpSite& site = all.jump_sites[all.jump_sites_used++];
    site = {};
    return &site;
}

// The page becomes the target's; its code is at JumpSite::code.
void Emitter::check_jump_site(const JumpSite& site, const asmjit::Label& otherwise) {
    a.mov(rcx, slot(&runtime().page_base));
    a.or_(rcx, slot(&m_places.core->code_context));
    a.cmp(rcx, slot(&site.page_key));
    a.jne(otherwise);
    a.mov(rcx, slot(&site.target_base));
    a.mov(slot(&runtime().page_base), rcx);
}

// --- calls ---------------------------------------------------------------------------------------------------------------
void Emitter::push_return_frame() {
    const FullPath full{a.newLabel(), a.newLabel()};
    m_full_paths.push_back(full);
    a.cmp(rsp, slot(&runtime().return_limit));
    a.jbe(full.label);
    a.bind(full.back);
    a.push(rax);
}

// Whatever the call came back with, from here on this page is the one that runs. The first two instructions give way to a
// jump when the region is stale.
void Emitter::bind_return_point() {
    m_output->returns.push_back(static_cast<uint32_t>(a.offset()));
    a.pop(rcx);
    a.lea(as_word(rcx), x86asm::ptr(rcx, -static_cast<int32_t>(m_one->end())));
    a.mov(slot(&runtime().page_base), rcx);
    m_flags = {.host = false, .memory = true};
}

void Emitter::call_direct(int64_t offset) {
    const bool on_page = offset >= 0 && offset < k_page;
    const auto branch = static_cast<SiteBranch>(m_one->offset | k_site_calls);
    const FarPath unknown{a.newLabel(), a.newLabel(), offset, on_page ? nullptr : new_jump_site(branch)};
    m_far_paths.push_back(unknown);
    if (on_page) {
        m_output->links.push_back({static_cast<uint32_t>(a.offset()), static_cast<uint16_t>(offset)});
        a.call(unknown.label);
    } else if (unknown.site == nullptr) {
        a.call(unknown.label);
    } else {
        check_jump_site(*unknown.site, unknown.label);
        a.call(slot(&unknown.site->code));
    }
    a.bind(unknown.back);
    bind_return_point();
}

void Emitter::return_to_rcx(int stack_change) {
    const ReturnPath other{a.newLabel(), slow(), stack_change};
    m_return_paths.push_back(other);
    a.cmp(rcx, x86asm::ptr(rsp, offsetof(ReturnFrame, rip)));
    a.jne(other.label);
    move_stack(stack_change);
    a.ret();
}

void Emitter::emit_return_paths() {
    for (const ReturnPath& path : m_return_paths) {
        a.bind(path.label);
        if (m_code64) {
            a.mov(rax, rcx);
            a.shl(rax, k_not_canonical_bits);
            a.sar(rax, k_not_canonical_bits);
            a.cmp(rax, rcx);
            a.jne(path.slow);
        }
        move_stack(path.stack_change);
        a.jmp(asmjit::imm(m_places.thunks.find_return));
    }
}

void Emitter::emit_call_paths() {
    emit_return_paths();
    for (const FullPath& path : m_full_paths) {
        a.bind(path.label);
        a.mov(rsp, slot(&runtime().return_base));
        a.jmp(path.back);
    }
    for (const FarPath& path : m_far_paths) {
        a.bind(path.label);
        load_page_address(rcx, path.offset);
        if (path.site == nullptr) {
            a.jmp(asmjit::imm(m_places.thunks.look_up));
            continue;
        }
        a.mov(eax, static_cast<uint32_t>(reinterpret_cast<uintptr_t>(path.site)));
        if (path.back.isValid()) {
            a.call(asmjit::imm(m_places.thunks.look_up_site));
            a.jmp(path.back);
        } else {
            a.jmp(asmjit::imm(m_places.thunks.look_up_site));
        }
    }
}

}  // namespace skep::jit
