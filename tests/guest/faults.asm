; SPDX-License-Identifier: GPL-3.0-or-later
; Faults, traps and gates in rings 0 and 3, 32 and 64 bits: vectors, error codes, stacks, double faults, SYSCALL.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

entry:
    guest "faults"
    call setup_protected
    call ring0_32
    call ring3_32
    to_long
    call ring0_64
    call stacks_64
    call ring3_64
    finish 0x11

BITS 32
ring0_32:
    xor ecx, ecx
    try div ecx
    expect_fault "32: division by zero", 0, 0
    try int3
    expect_fault "32: INT3", 3, 0
    try ud2
    expect_fault "32: UD2", 6, 0
    mov ebx, bounds
    mov ecx, 11
    try bound ecx, [ebx]
    expect_fault "32: BOUND", 5, 0
    mov al, 0x7f
    add al, 1
    try into
    expect_fault "32: INTO", 4, 0
    mov bx, k_absent
    try mov fs, bx
    expect_fault "32: segment not present", 11, k_absent
    try mov ss, bx
    expect_fault "32: stack segment not present", 12, k_absent
    mov bx, 0xfff8
    try mov fs, bx
    expect_fault "32: selector beyond the GDT", 13, 0xfff8
    xor ebx, ebx
    try mov ss, bx
    expect_fault "32: null into SS", 13, 0
    mov gs, bx
    try mov al, [gs:0]
    expect_fault "32: access through a null segment", 13, 0
    mov bx, k_expand_down
    mov gs, bx
    try mov al, [gs:0x4fffff]
    expect_fault "32: below an expand-down segment", 13, 0
    try mov al, [gs:0x500000]
    expect_no_fault "32: above the limit of an expand-down segment"
    try mov byte [cs:scratch], 1
    expect_fault "32: write through a code segment", 13, 0
    mov eax, cr0
    or al, 8
    mov cr0, eax
    try fnop
    expect_fault "32: x87 with CR0.TS", 7, 0
    clts
    try db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90, 0x90
    expect_no_fault "32: an instruction of 15 bytes"
    try db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
    expect_fault "32: an instruction of 16 bytes", 13, 0
    ; an absent gate for #UD: #NP names it
    mov byte [k_idt32 + 6 * 8 + 5], 0x0e
    try ud2
    expect_fault "32: gate not present", 11, 6 * 8 + 3
    ; #GP while delivering #GP
    mov byte [k_idt32 + 13 * 8 + 5], 0x0e
    try mov fs, [bad_selector]
    expect_fault "32: double fault", 8, 0
    mov byte [k_idt32 + 13 * 8 + 5], 0x8e
    mov byte [k_idt32 + 6 * 8 + 5], 0x8e
    ret

ring3_32:
    try user32 .hlt
    expect_fault "ring 3: HLT", 13, 0
    expect "ring 3: pushed CS", [caught.cs], k_user_code32
    expect "ring 3: pushed SS", [caught.ss], k_user_data
    expect "ring 3: pushed ESP", [caught.rsp], k_user_stack_top
    expect "ring 3: frame on the TSS's stack", [caught.stack], k_inner_stack_top
    try user32 .cli
    expect_fault "ring 3: CLI", 13, 0
    try user32 .port
    expect_fault "ring 3: IN without a bitmap", 13, 0
    try user32 .kernel_data
    expect_fault "ring 3: DS of ring 0", 13, k_data
    try user32 .int21
    expect_fault "ring 3: INT through a gate of ring 0", 13, 0x1f * 8 + 2
    gate32 0x30, .service, 0xee
    try user32 .int30
    expect_fault "ring 3: back from a service, then UD2", 6, 0
    expect "ring 3: the service's answer", ebx, 0x1234
    ; a call gate of DPL 3 that copies two words
    mov eax, .gate_target
    and eax, 0xffff
    or eax, k_code32 << 16
    mov [gdt + k_call_gate], eax
    mov eax, .gate_target
    and eax, 0xffff0000
    or eax, 0xec02
    mov [gdt + k_call_gate + 4], eax
    try user32 .call_gate
    expect_fault "ring 3: back from a call gate, then UD2", 6, 0
    expect "ring 3: sum of the copied parameters", ebx, 0x33
    expect "ring 3: RETF 8 releases them on both stacks", [caught.rsp], k_user_stack_top
    ret
.hlt:
    hlt
.cli:
    cli
.port:
    in al, 0x60
    ud2
.kernel_data:
    mov ax, k_data
    mov ds, ax
    ud2
.int21:
    int 0x1f
    ud2
.int30:
    xor ebx, ebx
    int 0x30
    ud2
.service:
    mov ebx, 0x1234
    iretd
.call_gate:
    push dword 0x11
    push dword 0x22
    call (k_call_gate | 3):0
    ud2
.gate_target:
    mov ebx, [esp + 8]
    add ebx, [esp + 12]
    retf 8

BITS 64
ring0_64:
    mov rbx, 0x0000800000000000
    try mov al, [rbx]
    expect_fault "64: non-canonical", 13, 0
    mov rbp, rbx
    try mov al, [rbp]
    expect_fault "64: non-canonical through the stack segment", 12, 0
    try jmp rbx
    expect_fault "64: jump to a non-canonical address", 13, 0
    try db 0x06
    expect_fault "64: PUSH ES does not exist", 6, 0
    mov rbx, 0x200000000          ; 8 GiB: not mapped
    try mov al, [rbx]
    expect_fault "64: page not present", 14, 0
    expect "64: CR2", [caught.cr2 + 4], 2
    try mov [rbx], al
    expect_fault "64: write to a page not present", 14, 2
    try jmp rbx
    expect_fault "64: fetch from a page not present", 14, 0x10
    mov ecx, 0x10
    try mov cr8, rcx
    expect_fault "64: reserved bit of CR8", 13, 0
    ret

stacks_64:
    gate64 6, stubs64 + 6 * 16, 0x8e, 1
    try ud2
    expect_fault "64: #UD through an IST", 6, 0
    expect "64: on the IST's stack", [caught.stack], k_ist_stack_top
    gate64 6, stubs64 + 6 * 16, 0x8e, 0
    ; the frame is aligned to 16 bytes
    sub rsp, 3
    try ud2
    add rsp, 3
    mov ebx, [caught.rsp]
    and ebx, 15
    expect "64: RSP is pushed as it was", ebx, 5
    mov ebx, [caught.stack]
    and ebx, 15
    expect "64: the frame is aligned", ebx, 0
    ; #PF while delivering #PF, on a stack of its own
    gate64 8, stubs64 + 8 * 16, 0x8e, 1
    mov rcx, rsp
    mov rsp, 0x200000000
    mov dword [resume], .after_double
    mov [resume_stack], rcx
    push rax
.after_double:
    expect_fault "64: no stack for #PF: double fault", 8, 0
    expect "64: double fault on the IST's stack", [caught.stack], k_ist_stack_top
    gate64 6, stubs64 + 6 * 16, 0x0e, 0
    try ud2
    expect_fault "64: gate not present", 11, 6 * 8 + 3
    gate64 6, stubs64 + 6 * 16, 0x8e, 0
    ; single step
    mov dword [resume], .after_step
    mov [resume_stack], rsp
    pushfq
    or dword [rsp], 0x100
    popfq
.stepped:
    nop
.after_step:
    expect_fault "64: single step", 1, 0
    expect "64: behind the instruction after POPF", [caught.rip], .stepped + 1
    mov rbx, dr6
    and ebx, 0x4000
    expect "64: DR6.BS", ebx, 0x4000
    ret

ring3_64:
    try user64 .hlt
    expect_fault "64, ring 3: HLT", 13, 0
    expect "64, ring 3: pushed CS", [caught.cs], k_user_code64
    expect "64, ring 3: pushed SS", [caught.ss], k_user_data
    try user64 .int21
    expect_fault "64, ring 3: INT through a gate of ring 0", 13, 0x1f * 8 + 2
    try user64 .cr3
    expect_fault "64, ring 3: MOV from CR3", 13, 0
    mov ecx, 0xc0000081           ; IA32_STAR
    xor eax, eax
    mov edx, ((k_user_code32) << 16) | k_code64
    wrmsr
    mov ecx, 0xc0000082           ; IA32_LSTAR
    mov eax, .syscall_entry
    xor edx, edx
    wrmsr
    mov ecx, 0xc0000084           ; IA32_FMASK: TF, IF, DF
    mov eax, 0x700
    wrmsr
    try user64 .syscall
    expect_fault "64, ring 3: after SYSRET, UD2", 6, 0
    expect "SYSCALL: RCX is the return address", ebp, .behind_syscall
    expect "SYSCALL: R11 is RFLAGS", r12d, 0x400
    expect "SYSCALL: FMASK clears DF", r13d, 0
    expect "SYSCALL: CS", r14d, k_code64
    expect "SYSCALL: SS", r15d, k_data64
    expect "SYSRET: CS", [caught.cs], k_user_code64
    expect "SYSRET: SS", [caught.ss], k_user_data
    ; TF set before SYSCALL and masked: no trap at the entry
    mov dword [entered], 0
    try user64 .stepped_syscall
    expect_fault "64: single step, TF cleared by SYSCALL", 1, 0
    expect "64: the kernel ran unstepped", [entered], 1
    expect "64: the trap comes behind SYSRET", [caught.rip], .behind_stepped
    ret
.hlt:
    hlt
.int21:
    int 0x1f
    ud2
.cr3:
    mov rax, cr3
    ud2
.syscall:
    std
    syscall
.behind_syscall:
    ud2
.stepped_syscall:
    mov r10d, 1
    push 0x102
    popfq
    syscall
.behind_stepped:
    nop
    nop
.syscall_entry:
    mov ebp, ecx
    mov r12d, r11d
    mov rdi, rsp
    mov rsp, k_inner_stack_top
    pushfq
    pop r13
    mov r14d, cs
    mov r15d, ss
    mov rsp, rdi
    mov dword [entered], 1
    and r12d, 0x700
    and r13d, 0x700
    cld
    o64 sysret

section .data
bounds: dd 0, 10
bad_selector: dw 0xfff8
scratch: dd 0
entered: dd 0
