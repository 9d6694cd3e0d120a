; SPDX-License-Identifier: GPL-3.0-or-later
; Debugging and alignment (SDM 3B, ch. 17): breakpoints on code, data and ports, RF, single step over REP, DR7.GD, INT1,
; CR4.DE, #AC in ring 3.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

k_fixed equ 0x400
%define enabled(n) (2 << ((n) * 2))
%define kind(n, rw, len) (((rw) | ((len) << 2)) << (16 + (n) * 4))
k_execute equ 0
k_write equ 1
k_port equ 2
k_access equ 3

; arm NUMBER, ADDRESS, KIND, LENGTH (as DR7 encodes it). Changes rax.
%macro arm 4
    mov eax, %2
    mov dr%1, rax
    mov eax, k_fixed | enabled(%1) | kind(%1, %3, %4)
    mov dr7, rax
%endmacro
; disarm: and DR6 as it should look: its low four bits to ebx.
%macro disarm 0
    mov eax, k_fixed
    mov dr7, rax
    mov rbx, dr6
    mov eax, 0xffff0ff0
    mov dr6, rax
    mov [seen_dr6], rbx
    and ebx, 15
%endmacro

entry:
    guest "debug"
    call setup_protected
    to_long
    call code
    call data
    call others
    call alignment
    finish 0x1a

BITS 64
code:
    mov dword [counter], 0
    arm 0, .watched, k_execute, 0
    mov dword [resume], .after
    mov [resume_stack], rsp
.watched:
    inc dword [counter]
.after:
    disarm
    expect "code: #DB", [caught.vector], 1
    expect "code: DR6.B0", ebx, 1
    expect "code: a fault, the instruction did not run", [counter], 0
    expect "code: RIP of the instruction", [caught.rip], .watched
    mov ebx, [caught.flags]
    and ebx, 0x10000
    expect "code: RF in the pushed flags", ebx, 0x10000
    ; a handler that returns with RF: the loop stops once a round
    gate64 1, count_and_return, 0x8e, 0
    mov dword [counter], 0
    mov dword [stops], 0
    arm 2, .round, k_execute, 0
    mov ecx, 5
.round:
    inc dword [counter]
    loop .round
    disarm
    expect "code: RF lets it run", [counter], 5
    expect "code: and it stops every time", [stops], 5
    expect "code: DR6.B2", ebx, 4
    gate64 1, stubs64 + 16, 0x8e, 0
    ret

data:
    arm 1, watched_word, k_write, 3
    mov eax, [watched_word]
    mov dword [resume], .stored
    mov [resume_stack], rsp
    mov dword [watched_word], 0x1234
.behind_store:
    ud2
.stored:
    disarm
    expect "write: #DB", [caught.vector], 1
    expect "write: DR6.B1", ebx, 2
    expect "write: a trap, it was done", [watched_word], 0x1234
    expect "write: RIP behind it", [caught.rip], .behind_store
    arm 3, watched_word, k_access, 2       ; eight bytes
    mov dword [resume], .loaded
    mov [resume_stack], rsp
    mov al, [watched_word + 7]
    ud2
.loaded:
    disarm
    expect "access: a read of the eighth byte", [caught.vector], 1
    expect "access: DR6.B3", ebx, 8
    arm 0, watched_word, k_access, 0
    mov al, [watched_word + 1]
    mov al, [watched_word - 1]
    disarm
    expect "access: its neighbours are free", ebx, 0
    ; REP STOSB stops behind the iteration
    arm 0, watched_word + 3, k_write, 0
    mov dword [resume], .repeated
    mov [resume_stack], rsp
    mov edi, watched_word
    mov ecx, 8
    xor eax, eax
.rep:
    rep stosb
    ud2
.repeated:
    disarm
    expect "REP STOSB: RCX", ecx, 4
    expect "REP STOSB: RIP stays", [caught.rip], .rep
    ; two at once
    mov eax, watched_word
    mov dr0, rax
    mov dr1, rax
    mov eax, k_fixed | enabled(0) | enabled(1) | kind(0, k_write, 3) | kind(1, k_access, 0)
    mov dr7, rax
    mov dword [resume], .both
    mov [resume_stack], rsp
    mov dword [watched_word], 1
    ud2
.both:
    disarm
    expect "two at one place: both bits", ebx, 3
    ret

others:
    mov rax, cr4
    or eax, 8                      ; DE
    mov cr4, rax
    arm 0, 0x80, k_port, 0
    mov dword [resume], .port
    mov [resume_stack], rsp
    out 0x80, al
    ud2
.port:
    disarm
    expect "port: #DB", [caught.vector], 1
    try mov rax, dr4
    expect_fault "CR4.DE: DR4 does not exist", 6, 0
    mov rax, cr4
    and eax, ~8
    mov cr4, rax
    try mov rax, dr4
    expect_no_fault "without DE it is DR6"
    mov eax, k_fixed | 0x2000      ; GD
    mov dr7, rax
    try mov rbx, dr0
    disarm
    expect "GD: access to a debug register", [caught.vector], 1
    mov ebx, [seen_dr6]
    and ebx, 0x2000
    expect "GD: DR6.BD", ebx, 0x2000
    try db 0xf1                    ; INT1
    expect_fault "INT1", 1, 0
    ; single step over MOV SS: the trap waits for the next instruction
    mov dword [resume], .stepped
    mov [resume_stack], rsp
    mov ecx, k_data
    pushfq
    or dword [rsp], 0x100
    popfq
    mov ss, ecx
    nop
.two:
    ud2
.stepped:
    disarm
    expect "single step: not between MOV SS and the next", [caught.rip], .two
    ret

alignment:
    mov rax, cr0
    or eax, 1 << 18                ; AM
    mov cr0, rax
    try user64 .unaligned
    expect_fault "ring 3: unaligned read with EFLAGS.AC", 17, 0
    expect "ring 3: RIP of the read", [caught.rip], .read
    try user64 .fine
    expect_fault "ring 3: aligned and byte reads pass, then UD2", 6, 0
    push 0x40002
    popfq
    try mov eax, [watched_word + 1]
    push 2
    popfq
    expect_no_fault "ring 0: never"
    mov rax, cr0
    and eax, ~(1 << 18)
    mov cr0, rax
    try user64 .unaligned
    expect_fault "without CR0.AM: UD2", 6, 0
    ret
.unaligned:
    push 0x40002
    popfq
.read:
    mov eax, [watched_word + 1]
    ud2
.fine:
    push 0x40002
    popfq
    mov eax, [watched_word + 4]
    mov al, [watched_word + 1]
    mov rax, [watched_word]
    ud2

count_and_return:
    inc dword [stops]
    iretq

section .data align=16
counter: dd 0
stops: dd 0
seen_dr6: dq 0
align 16
watched_word: times 16 db 0
