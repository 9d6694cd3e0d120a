; SPDX-License-Identifier: GPL-3.0-or-later
; Hardware task switches (SDM 3A, 7.3): JMP, CALL and IRET, task gates, a fault's handler as a task, the T flag.
%include "guest.inc"
%include "protected.inc"

k_second_stack equ 0x2c0000

; second_task LABEL: TSS 2 starts there. Changes eax.
%macro second_task 1
    mov dword [tss2 + 0x20], %1
    mov dword [tss2 + 0x24], 2
    mov dword [tss2 + 0x38], k_second_stack
    mov dword [tss2 + 0x48], k_data
    mov dword [tss2 + 0x4c], k_code32
    mov dword [tss2 + 0x50], k_data
    mov dword [tss2 + 0x54], k_data
    mov dword [tss2 + 0x58], 0
    mov dword [tss2 + 0x5c], k_data
    mov dword [tss2 + 0x64], 0x680000
    mov byte [gdt + k_tss2 + 5], 0x89
%endmacro

entry:
    guest "tasks"
    call setup_protected
    mov eax, tss2
    mov [gdt + k_tss2 + 2], ax
    shr eax, 16
    mov [gdt + k_tss2 + 4], al
    mov [gdt + k_tss2 + 7], ah

    second_task by_jump
    mov ebx, 0x11223344
    mov ecx, 0x55667788
    mov dword [tss2 + 0x34], 0xcafe0001    ; EBX
    clts
    jmp k_tss2:0
back_from_jump:
    expect "JMP: EBX of the new task", [seen.ebx], 0xcafe0001
    expect "JMP: TR", [seen.tr], k_tss2
    expect "JMP: NT stays clear", [seen.flags], 0
    expect "JMP: CR0.TS set", [seen.cr0], 8
    expect "JMP: own EBX is back", ebx, 0x11223344
    expect "JMP: the old TSS holds the next EIP", [tss32 + 0x20], back_from_jump
    movzx ecx, byte [gdt + k_tss2 + 5]
    expect "JMP: the task that was left is available", ecx, 0x89
    movzx ecx, byte [gdt + k_tss + 5]
    expect "JMP: the running task is busy", ecx, 0x8b

    second_task by_call
    clts
    mov [stack], esp
    call k_task_gate:0
    expect "CALL: NT set in the new task", [seen.flags], 0x4000
    expect "CALL: link to the caller", [seen.link], k_tss
    expect "CALL: stack as before", esp, [stack]
    expect "CALL: IRET came back to the task", [tss2 + 0x20], after_iret
    str cx
    movzx ecx, cx
    expect "CALL: TR", ecx, k_tss
    pushfd
    pop ecx
    and ecx, 0x4000
    expect "CALL: NT clear again", ecx, 0

    ; the task goes on behind its IRET at the next call
    clts
    call k_tss2:0
    expect "CALL: a second time, behind the IRET", [seen.again], 1

    ; #GP as a task: its error code on the task's stack, the faulting EIP in the old TSS
    second_task by_fault
    clts
    mov dword [k_idt32 + 13 * 8], k_tss2 << 16
    mov dword [k_idt32 + 13 * 8 + 4], 0xe500
    mov bx, 0xfff8
faulting:
    mov fs, bx
after_fault:
    expect "fault: error code on the new stack", [seen.error], 0xfff8
    expect "fault: EIP of the instruction", [seen.rip], faulting
    expect "fault: its RF is set", [seen.flags], 0x10000
    mov byte [k_idt32 + 13 * 8 + 5], 0x8e
    mov eax, stubs32 + 13 * 16
    mov [k_idt32 + 13 * 8], ax
    mov word [k_idt32 + 13 * 8 + 2], k_code32
    shr eax, 16
    mov [k_idt32 + 13 * 8 + 6], ax

    ; errors
    second_task by_jump
    mov byte [gdt + k_tss2 + 5], 0x8b
    try jmp k_tss2:0
    expect_fault "a busy task", 13, k_tss2
    mov byte [gdt + k_tss2 + 5], 0x09
    try jmp k_tss2:0
    expect_fault "a task not present", 11, k_tss2
    mov byte [gdt + k_tss2 + 5], 0x89
    mov word [gdt + k_tss2], 0x66
    try jmp k_tss2:0
    expect_fault "a TSS too short", 10, k_tss2
    mov word [gdt + k_tss2], 0x67
    finish 0x12

by_jump:
    mov [seen.ebx], ebx
    str [seen.tr]
    pushfd
    pop eax
    and eax, 0x4000
    mov [seen.flags], eax
    mov eax, cr0
    and eax, 8
    mov [seen.cr0], eax
    clts
    mov dword [seen.ebx_end], 0
    jmp k_tss:0

by_call:
    pushfd
    pop eax
    and eax, 0x4000
    mov [seen.flags], eax
    movzx eax, word [tss2]
    mov [seen.link], eax
    clts
    iretd
after_iret:
    mov dword [seen.again], 1
    clts
    iretd

by_fault:
    clts
    pop dword [seen.error]
    mov eax, [tss32 + 0x20]
    mov [seen.rip], eax
    mov eax, [tss32 + 0x24]
    and eax, 0x10000
    mov [seen.flags], eax
    mov dword [tss32 + 0x20], after_fault
    iretd

section .data align=16
tss2: times 0x68 db 0
stack: dd 0
seen:
.ebx: dd 0
.ebx_end: dd 0
.tr: dd 0
.flags: dd -1
.cr0: dd 0
.link: dd 0
.again: dd 0
.error: dd 0
.rip: dd 0
