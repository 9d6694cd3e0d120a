; SPDX-License-Identifier: GPL-3.0-or-later
; Paging (SDM 3A, ch. 4): error codes, accessed and dirty flags, WP, NX, reserved bits, large pages, SMEP, SMAP, INVLPG,
; global pages, PCID. Linear address 1 GiB on belongs to a table of its own, whose pages lie from k_frames on.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

k_window equ 0x40000000
k_pd equ k_tables + 0x8000
k_pt equ k_tables + 0x9000
k_pml4_b equ k_tables + 0xa000     ; a second address space: other pages in the window
k_pdpt_b equ k_tables + 0xb000
k_pd_b equ k_tables + 0xc000
k_pt_b equ k_tables + 0xd000
k_frames equ 0x800000
k_large_frame equ 0xa00000

k_p equ 1
k_w equ 2
k_u equ 4
k_a equ 0x20
k_d equ 0x40
k_ps equ 0x80
k_g equ 0x100

; page N, FLAGS: entry N of the window's table shows frame N; flushes it. Changes rax.
%macro page 2
    mov eax, k_frames + (%1) * 0x1000 + (%2)
    mov [k_pt + (%1) * 8], rax
    invlpg [k_window + (%1) * 0x1000]
%endmacro
; flags_of N -> ecx
%macro flags_of 1
    mov ecx, [k_pt + (%1) * 8]
    and ecx, 0xfff
%endmacro
%define at(n) k_window + (n) * 0x1000

entry:
    guest "paging"
    call setup_protected
    to_long
    mov dword [k_pd], k_pt + 7
    mov dword [k_tables + 0x1000 + 8], k_pd + 7
    mov dword [k_frames], 0x11110000
    mov dword [k_frames + 0x1000], 0x11110001
    mov rax, cr3
    mov cr3, rax
    call basics
    call supervisor_rules
    call user_rules
    call large_pages
    call reserved_bits
    call crossing
    call stale
    call smep_smap
    call pcid
    finish 0x14

BITS 64
basics:
    page 0, k_p | k_w
    mov ebx, [at(0)]
    expect "read", ebx, 0x11110000
    flags_of 0
    expect "a read sets A", ecx, k_p | k_w | k_a
    mov dword [at(0)], 0x2222
    flags_of 0
    expect "a write sets D", ecx, k_p | k_w | k_a | k_d
    mov ecx, [k_pd]
    and ecx, 0xfff
    expect "A in the directory, no D", ecx, 7 | k_a
    page 0, k_p | k_w
    mov dword [at(0)], 0x3333
    flags_of 0
    expect "a first write sets A and D", ecx, k_p | k_w | k_a | k_d
    page 0, 0
    try mov eax, [at(0) + 8]
    expect_fault "read of an absent page", 14, 0
    expect "CR2", [caught.cr2], at(0) + 8
    try mov [at(0)], eax
    expect_fault "write to an absent page", 14, 2
    try lock add dword [at(0)], 1
    expect_fault "read-modify-write of an absent page is a write", 14, 2
    mov eax, at(0)
    try jmp rax
    expect_fault "fetch from an absent page", 14, 0x10
    ret

supervisor_rules:
    page 1, k_p
    mov rax, cr0
    or eax, 0x10000
    mov cr0, rax
    try mov [at(1)], eax
    expect_fault "WP: write to a read-only page", 14, 3
    flags_of 1
    and ecx, ~k_a
    expect "a refused write sets no D", ecx, k_p
    mov ebx, [at(1)]
    expect "but reads", ebx, 0x11110001
    mov rax, cr0
    and eax, ~0x10000
    mov cr0, rax
    mov dword [at(1)], 0x4444
    flags_of 1
    expect "without WP it is written, D set", ecx, k_p | k_a | k_d
    mov rax, cr0
    or eax, 0x10000
    mov cr0, rax
    try mov [at(1)], eax
    expect_fault "WP on again", 14, 3
    ; NX
    page 2, k_p | k_w
    mov byte [at(2)], 0xc3
    mov dword [k_pt + 2 * 8 + 4], 0x80000000
    invlpg [at(2)]
    mov eax, at(2)
    try call rax
    expect_fault "fetch from an NX page", 14, 0x11
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~0x800
    wrmsr
    try mov al, [at(2)]
    expect_fault "bit 63 without EFER.NXE is reserved", 14, 9
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x800
    wrmsr
    mov dword [k_pt + 2 * 8 + 4], 0
    invlpg [at(2)]
    mov eax, at(2)
    try call rax
    expect_no_fault "executable again"
    ret

user_rules:
    page 3, k_p | k_w
    page 4, k_p | k_u
    try user64 .read
    expect_fault "user reads a supervisor page", 14, 5
    try user64 .write
    expect_fault "user writes a read-only page", 14, 7
    try user64 .fetch
    expect_fault "user fetches from a supervisor page", 14, 0x15
    try user64 .ok
    expect_fault "user reads its page, then UD2", 6, 0
    and dword [k_pd], ~k_u
    invlpg [at(4)]
    try user64 .ok
    expect_fault "the directory without U", 14, 5
    or dword [k_pd], k_u
    invlpg [at(4)]
    ret
.read:
    mov al, [at(3)]
.write:
    mov [at(4)], al
.fetch:
    mov eax, at(3)
    jmp rax
.ok:
    mov al, [at(4)]
    ud2

large_pages:
    mov dword [k_pd + 8], k_large_frame + (k_p | k_w | k_ps)
    invlpg [k_window + 0x200000]
    mov dword [k_large_frame + 0x123450], 0x77777777
    mov ebx, [k_window + 0x200000 + 0x123450]
    expect "2 MiB page", ebx, 0x77777777
    mov ecx, [k_pd + 8]
    and ecx, 0xfff
    expect "its A", ecx, k_p | k_w | k_ps | k_a
    mov [k_window + 0x200000 + 0x1ff000], ebx
    mov ecx, [k_pd + 8]
    and ecx, 0xfff
    expect "its D", ecx, k_p | k_w | k_ps | k_a | k_d
    ; INVLPG of another address in it drops all of it
    mov dword [k_pd + 8], 0
    invlpg [k_window + 0x200000 + 0x8000]
    try mov al, [k_window + 0x200000 + 0x123450]
    expect_fault "gone after INVLPG anywhere in it", 14, 0
    mov dword [k_pd + 8], k_large_frame + 0x2000 + (k_p | k_w | k_ps)
    invlpg [k_window + 0x200000]
    try mov al, [k_window + 0x200000]
    expect_fault "2 MiB page: bit 13 is reserved", 14, 9
    ; 1 GiB, where the processor has them
    mov eax, 0x80000001
    cpuid
    bt edx, 26
    jnc .none
    mov dword [k_tables + 0x1000 + 8], k_p | k_w | k_ps
    mov rax, cr3
    mov cr3, rax
    mov ebx, [k_window + k_large_frame + 0x123450]
    expect "1 GiB page", ebx, 0x77777777
    mov dword [k_tables + 0x1000 + 8], k_pd + 7
    mov rax, cr3
    mov cr3, rax
.none:
    ret

reserved_bits:
    page 5, k_p | k_w
    mov dword [k_pt + 5 * 8 + 4], 0x00080000     ; bit 51
    invlpg [at(5)]
    try mov al, [at(5)]
    expect_fault "address beyond the physical width", 14, 9
    try mov [at(5)], al
    expect_fault "the same, writing", 14, 11
    ret

crossing:
    page 6, k_p | k_w
    page 7, 0
    mov dword [at(6) + 0xffc], 0x01020304
    mov rax, 0x1111111111111111
    try mov [at(6) + 0xffc], rax
    expect_fault "a write across into an absent page", 14, 2
    expect "CR2 is the second page", [caught.cr2], at(7)
    expect "nothing was written", [at(6) + 0xffc], 0x01020304
    page 7, k_p
    try mov [at(6) + 0xffe], rax
    expect_fault "into a read-only page", 14, 3
    expect "again nothing was written", [at(6) + 0xffc], 0x01020304
    ; REP STOSB up to the end: what was done stays done
    page 7, 0
    mov edi, at(6) + 0xff0
    mov ecx, 0x20
    mov al, 0x5a
    cld
    try rep stosb
    expect_fault "REP STOSB into an absent page", 14, 2
    expect "REP STOSB: RCX counts what is left", ecx, 0x10
    expect "REP STOSB: RDI is the faulting byte", edi, at(7)
    expect "REP STOSB: the first part is written", [at(6) + 0xffc], 0x5a5a5a5a
    ret

stale:
    page 8, k_p | k_w
    mov dword [k_frames + 8 * 0x1000], 0xaaaa
    mov dword [k_frames + 9 * 0x1000], 0xbbbb
    mov ebx, [at(8)]
    mov dword [k_pt + 8 * 8], k_frames + 9 * 0x1000 + 3
    invlpg [at(8)]
    mov ebx, [at(8)]
    expect "INVLPG: the new page", ebx, 0xbbbb
    mov dword [k_pt + 8 * 8], k_frames + 8 * 0x1000 + 3
    mov rax, cr3
    mov cr3, rax
    mov ebx, [at(8)]
    expect "MOV CR3: the new page", ebx, 0xaaaa
    ; global pages go with CR4.PGE
    mov rax, cr4
    or eax, 0x80
    mov cr4, rax
    page 8, k_p | k_w | k_g
    mov ebx, [at(8)]
    mov dword [k_pt + 8 * 8], k_frames + 9 * 0x1000 + 3 + k_g
    mov rax, cr4
    and eax, ~0x80
    mov cr4, rax
    mov ebx, [at(8)]
    expect "CR4.PGE drops global pages", ebx, 0xbbbb
    mov rax, cr4
    or eax, 0x80
    mov cr4, rax
    mov dword [k_pt + 8 * 8], k_frames + 8 * 0x1000 + 3 + k_g
    invlpg [at(8)]
    mov ebx, [at(8)]
    expect "INVLPG drops a global page", ebx, 0xaaaa
    ; code: the same address with other bytes behind it
    mov byte [k_frames + 8 * 0x1000], 0xb8       ; mov eax, 1; ret
    mov dword [k_frames + 8 * 0x1000 + 1], 1
    mov byte [k_frames + 8 * 0x1000 + 5], 0xc3
    mov byte [k_frames + 9 * 0x1000], 0xb8       ; mov eax, 2; ret
    mov dword [k_frames + 9 * 0x1000 + 1], 2
    mov byte [k_frames + 9 * 0x1000 + 5], 0xc3
    mov ebp, at(8)
    call rbp
    mov ebx, eax
    expect "code on the first page", ebx, 1
    mov dword [k_pt + 8 * 8], k_frames + 9 * 0x1000 + 3
    invlpg [at(8)]
    call rbp
    mov ebx, eax
    expect "code on the second page after INVLPG", ebx, 2
    ret

; Bit EBX-numbered of CPUID leaf 7 -> CF. Changes rax, rcx, rdx, rbx.
has_feature7:
    mov edi, ebx
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, edi
    ret

smep_smap:
    ; The kernel itself runs on user's pages so far: the first 2 MiB and the tables become the supervisor's.
    and dword [k_tables + 0x2000], ~k_u
    and dword [k_tables + 0x2008], ~k_u
    mov rax, cr3
    mov cr3, rax
    page 10, k_p | k_w | k_u
    mov dword [at(10)], 0xc3
    mov ebx, 7
    call has_feature7
    jnc .no_smep
    mov rax, cr4
    or eax, 1 << 20
    mov cr4, rax
    mov eax, at(10)
    try call rax
    expect_fault "SMEP: fetch from a user page", 14, 0x11
    mov rax, cr4
    and eax, ~(1 << 20)
    mov cr4, rax
    mov eax, at(10)
    try call rax
    expect_no_fault "without SMEP"
.no_smep:
    mov ebx, 20
    call has_feature7
    jnc .no_smap
    mov rax, cr4
    or eax, 1 << 21
    mov cr4, rax
    try mov al, [at(10)]
    expect_fault "SMAP: read of a user page", 14, 1
    try mov [at(10)], al
    expect_fault "SMAP: write to a user page", 14, 3
    stac
    try mov al, [at(10)]
    expect_no_fault "SMAP lifted by STAC"
    clac
    try mov al, [at(10)]
    expect_fault "SMAP again after CLAC", 14, 1
    mov rax, cr4
    and eax, ~(1 << 21)
    mov cr4, rax
.no_smap:
    or dword [k_tables + 0x2000], k_u
    or dword [k_tables + 0x2008], k_u
    mov rax, cr3
    mov cr3, rax
    ret

pcid:
    mov eax, 1
    cpuid
    bt ecx, 17
    jc .has
    ret
.has:
    ; address space B: the same but for the window, whose page 11 is frame 12
    mov rax, [k_tables + 0x1000]
    mov [k_pdpt_b], rax
    mov rax, [k_tables + 0x1010]
    mov [k_pdpt_b + 16], rax
    mov rax, [k_tables + 0x1018]
    mov [k_pdpt_b + 24], rax
    mov qword [k_pdpt_b + 8], k_pd_b + 7
    mov qword [k_pml4_b], k_pdpt_b + 7
    mov qword [k_pd_b], k_pt_b + 7
    mov qword [k_pt_b + 11 * 8], k_frames + 12 * 0x1000 + 3
    page 11, k_p | k_w
    mov dword [k_frames + 11 * 0x1000], 0x1111
    mov dword [k_frames + 12 * 0x1000], 0x2222
    mov eax, k_tables | 1
    mov cr3, rax
    mov rcx, cr4
    or ecx, 1 << 17
    try mov cr4, rcx
    expect_fault "PCIDE with a PCID in CR3", 13, 0
    mov eax, k_tables
    mov cr3, rax
    mov rcx, cr4
    or ecx, 1 << 17
    mov cr4, rcx
    mov ecx, 20
.round:                              ; back and forth without flushing
    mov rax, (1 << 63) | k_tables | 1
    mov cr3, rax
    mov ebx, [at(11)]
    mov rax, (1 << 63) | k_pml4_b | 2
    mov cr3, rax
    mov ebp, [at(11)]
    cmp ebx, 0x1111
    jne .broken
    cmp ebp, 0x2222
    jne .broken
    loop .round
.broken:
    expect "PCID: each address space shows its own page", ecx, 0
    mov eax, k_tables | 1
    mov cr3, rax
    mov dword [k_pt + 11 * 8], k_frames + 12 * 0x1000 + 3
    mov ebx, 10
    call has_feature7
    jnc .no_invpcid
    mov eax, 0
    invpcid rax, [descriptor_of_page]
    mov ebx, [at(11)]
    expect "INVPCID of one address", ebx, 0x2222
    mov dword [k_pt + 11 * 8], k_frames + 11 * 0x1000 + 3
    mov eax, 1
    invpcid rax, [descriptor_of_page]
    mov ebx, [at(11)]
    expect "INVPCID of one PCID", ebx, 0x1111
    mov dword [k_pt + 11 * 8], k_frames + 12 * 0x1000 + 3
    mov eax, 2
    invpcid rax, [descriptor_of_page]
    mov ebx, [at(11)]
    expect "INVPCID of everything", ebx, 0x2222
    mov eax, 4
    try invpcid rax, [descriptor_of_page]
    expect_fault "INVPCID: type 4", 13, 0
.no_invpcid:
    mov eax, k_tables
    mov cr3, rax
    mov rax, cr4
    and eax, ~(1 << 17)
    mov cr4, rax
    ret

section .data align=16
descriptor_of_page: dq 1, at(11)
