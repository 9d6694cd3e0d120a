; SPDX-License-Identifier: GPL-3.0-or-later
; The local APIC (SDM 3A, ch. 10): self IPI, priorities, TPR and CR8, the timer's three modes, x2APIC.
;
; With WIDE_WINDOWS the times between STI and CLI last thousands of instructions instead of one or two and end in a port
; read, for a KVM without hardware behind it: that one emulates the guest's kernel, looks for interrupts only now and then
; and tells nobody of a lowered CR8 until the guest leaves it for another reason.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

k_apic equ 0xfee00000
k_id equ 0x20
k_tpr equ 0x80
k_ppr equ 0xa0
k_eoi equ 0xb0
k_svr equ 0xf0
k_isr equ 0x100
k_irr equ 0x200
k_icr_low equ 0x300
k_icr_high equ 0x310
k_lvt_timer equ 0x320
k_timer_start equ 0x380
k_timer_now equ 0x390
k_timer_divide equ 0x3e0
k_periodic equ 1 << 17
k_deadline equ 2 << 17
k_masked equ 1 << 16
k_msr_apic_base equ 0x1b
k_msr_deadline equ 0x6e0

%macro linger 0
%ifdef WIDE_WINDOWS
    mov ecx, 50000
%%more:
    loop %%more
    in al, 0x80
%else
    nop
%endif
%endmacro

%macro apic_write 2
    mov eax, k_apic + (%1)
    mov dword [rax], %2
%endmacro
%macro apic_read 2
    mov eax, k_apic + (%1)
    mov %2, [rax]
%endmacro

; wait_for COUNTER, VALUE: until it is reached, or 8 thousand million ticks of the TSC are gone.
%macro wait_for 2
    mov ebp, %1
    mov ebx, %2
    call wait_counter
%endmacro

entry:
    guest "apic"
    call setup_protected
    to_long
    gate64 0x41, handler_41, 0x8e, 0
    gate64 0x61, handler_61, 0x8e, 0
    gate64 0x81, handler_81, 0x8e, 0
    gate64 0xff, spurious, 0x8e, 0
    mov al, 0xff                    ; both 8259s silent
    out 0x21, al
    out 0xa1, al
    apic_write k_svr, 0x1ff
    call self_ipi
    call priorities
    call timer
    call x2apic
    finish 0x15

BITS 64
self_ipi:
    mov ecx, k_msr_apic_base
    rdmsr
    and eax, 0xfffff900
    expect "IA32_APIC_BASE: enabled, boot processor, 0xfee00000", eax, k_apic | 0x900
    apic_write k_icr_low, 0x40041  ; self
    apic_read k_irr + 0x20, ebx
    and ebx, 2
    expect "self IPI is in IRR while IF is clear", ebx, 2
    sti
    linger
    cli
    expect "self IPI arrives after STI", [count_41], 1
    apic_read k_irr + 0x20, ebx
    expect "IRR is empty", ebx, 0
    expect "ISR in the handler", [seen_isr], 2
    apic_read k_isr + 0x20, ebx
    expect "ISR is empty after EOI", ebx, 0
    ret

priorities:
    mov dword [order], 0
    apic_write k_icr_low, 0x40041
    apic_write k_icr_low, 0x40081
    apic_write k_icr_low, 0x40061
    sti
    linger
    nop
    cli
    expect "the highest vector comes first", [order], 0x00816141
    ; TPR
    mov dword [order], 0
    apic_write k_tpr, 0x60
    apic_write k_icr_low, 0x40061
    apic_write k_icr_low, 0x40081
    sti
    linger
    nop
    cli
    expect "TPR holds its own class back", [order], 0x81
    apic_read k_ppr, ebx
    expect "PPR", ebx, 0x60
    mov rbx, cr8
    expect "CR8 is TPR's upper half", ebx, 6
    sti
    mov ebx, 5
    mov cr8, rbx
    linger
    cli
    expect "lowering CR8 lets it in", [order], 0x8161
    apic_read k_tpr, ebx
    expect "TPR by CR8", ebx, 0x50
    xor ebx, ebx
    mov cr8, rbx
    ; nested: a handler that enables interrupts is interrupted by a higher class only
    mov dword [order], 0
    mov dword [nest], 1
    apic_write k_icr_low, 0x40061
    sti
    linger
    nop
    cli
    expect "0x81 interrupts 0x61, 0x41 waits for its EOI", [order], 0x00618141
    mov dword [nest], 0
    ret

timer:
    apic_write k_timer_divide, 0xb   ; by 1
    apic_write k_lvt_timer, 0x41
    mov dword [count_41], 0
    apic_write k_timer_start, 100000
    sti
    wait_for count_41, 1
    expect "one-shot", [count_41], 1
    apic_read k_timer_now, ebx
    expect "one-shot: the count stays at 0", ebx, 0
    mov dword [count_41], 0
    apic_write k_lvt_timer, 0x41 | k_periodic
    apic_write k_timer_start, 100000
    wait_for count_41, 4
    cmp dword [count_41], 4
    check ae, "periodic: four times"
    apic_write k_lvt_timer, 0x41 | k_periodic | k_masked
    mov ecx, 2000                    ; one that came just before is still taken
.last:
    loop .last
    mov dword [count_41], 0
    apic_write k_timer_start, 10000
    mov ecx, 200000
.idle:
    loop .idle
    expect "masked: none", [count_41], 0
    apic_write k_timer_start, 0
    ; HLT wakes by the timer
    apic_write k_lvt_timer, 0x41
    cli
    apic_write k_timer_start, 500000
    sti
    hlt
    expect "HLT ends with the timer", [count_41], 1
    cli
    mov eax, 1
    cpuid
    bt ecx, 24
    jnc .no_deadline
    mov dword [count_41], 0
    apic_write k_lvt_timer, 0x41 | k_deadline
    mfence
    rdtsc
    shl rdx, 32
    or rax, rdx
    add rax, 2000000
    mov r12, rax
    mov rdx, rax
    shr rdx, 32
    mov ecx, k_msr_deadline
    wrmsr
    sti
    wait_for count_41, 1
    cli
    expect "TSC deadline", [count_41], 1
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, r12
    check ae, "TSC deadline: not before its time"
    mov ecx, k_msr_deadline
    rdmsr
    or eax, edx
    mov ebx, eax
    expect "TSC deadline: the register is 0 afterwards", ebx, 0
.no_deadline:
    apic_write k_lvt_timer, 0x41 | k_masked
    ret

x2apic:
    mov eax, 1
    cpuid
    bt ecx, 21
    jc .has
    ret
.has:
    mov ecx, 0x802
    try rdmsr
    expect_fault "x2APIC registers before the switch", 13, 0
    mov ecx, k_msr_apic_base
    rdmsr
    or eax, 0xc00
    wrmsr
    mov ecx, 0x802
    rdmsr
    mov ebx, eax
    expect "x2APIC: ID", ebx, 0
    mov dword [order], 0
    mov byte [by_msr], 1
    mov ecx, 0x83f                 ; SELF IPI
    mov eax, 0x61
    xor edx, edx
    wrmsr
    sti
    linger
    cli
    expect "x2APIC: self IPI", [order], 0x61
    mov ecx, 0x830                 ; ICR: fixed, physical, to APIC ID 0
    mov eax, 0x81
    xor edx, edx
    wrmsr
    sti
    linger
    cli
    expect "x2APIC: ICR of 64 bits", [order], 0x6181
    mov ecx, 0x80b                 ; EOI takes 0 only
    mov eax, 1
    xor edx, edx
    try wrmsr
    expect_fault "x2APIC: EOI other than 0", 13, 0
    mov ecx, 0x80e
    try rdmsr
    expect_fault "x2APIC: DFR does not exist", 13, 0
    mov ecx, k_msr_apic_base
    mov eax, k_apic | 0x900
    xor edx, edx
    try wrmsr
    expect_fault "x2APIC: not straight back to xAPIC", 13, 0
    ret

; ebp: counter, ebx: value.
wait_counter:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov rdi, 8000000000
    add rdi, rax
.look:
    cmp [rbp], ebx
    jae .done
    pause
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, rdi
    jb .look
.done:
    ret

%macro note 1
    mov eax, [order]
    shl eax, 8
    or eax, %1
    mov [order], eax
%endmacro

handler_41:
    push rax
    add dword [count_41], 1
    note 0x41
    apic_read k_isr + 0x20, eax
    mov [seen_isr], eax
    jmp end_of_interrupt
handler_61:
    push rax
    cmp dword [nest], 1
    jne .plain
    mov dword [nest], 2
    apic_write k_icr_low, 0x40041
    sti
    nop
    note 0x61
    apic_write k_icr_low, 0x40081
    push rcx
    linger
    pop rcx
    cli
    jmp end_of_interrupt
.plain:
    note 0x61
    jmp end_of_interrupt
handler_81:
    push rax
    note 0x81
end_of_interrupt:
    cmp byte [by_msr], 0
    jne .msr
    apic_write k_eoi, 0
    pop rax
    iretq
.msr:
    push rcx
    push rdx
    mov ecx, 0x80b
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq
spurious:
    iretq

section .data align=16
count_41: dd 0
order: dd 0
seen_isr: dd 0
nest: dd 0
by_msr: db 0
