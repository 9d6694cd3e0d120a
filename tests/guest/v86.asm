; SPDX-License-Identifier: GPL-3.0-or-later
; Virtual-8086 mode (SDM 3A, ch. 21): entry by IRET, IOPL-sensitive instructions, software interrupts, the I/O bitmap,
; frames of 9 words, faults with 16-bit segments.
%include "guest.inc"
%include "protected.inc"

; run_v86 LABEL, IOPL: runs it in V86 mode with segments of 0x0800 (CS, DS, ES, SS), FS and GS of 0x1234, 0x2345.
%macro run_v86 2
    mov dword [resume], %%after
    mov [resume_stack], esp
    mov dword [caught.vector], -1
    push dword 0x2345       ; GS
    push dword 0x1234       ; FS
    push dword k_segment    ; DS
    push dword k_segment    ; ES
    push dword k_segment    ; SS
    push dword 0x1000
    push dword 0x20002 | (%2 << 12)
    push dword k_segment    ; CS
    push dword %1 - k_low
    iretd
%%after:
    mov dword [resume], 0
%endmacro

entry:
    guest "v86"
    call setup_protected
    mov esi, section.low.start
    mov edi, k_low
    mov ecx, low_end - k_low
    rep movsb
    ; a TSS with an I/O bitmap that allows port 0x80 only
    mov word [tss_v86 + 0x66], 0x68
    mov dword [tss_v86 + 4], k_inner_stack_top
    mov dword [tss_v86 + 8], k_data
    mov edi, tss_v86 + 0x68
    mov ecx, 0x21
    mov al, 0xff
    rep stosb
    mov byte [tss_v86 + 0x68 + 0x10], 0xfe
    mov eax, tss_v86
    mov [gdt + k_tss + 2], ax
    shr eax, 16
    mov [gdt + k_tss + 4], al
    mov [gdt + k_tss + 7], ah
    mov word [gdt + k_tss], 0x68 + 0x20
    mov byte [gdt + k_tss + 5], 0x89
    mov ax, k_tss
    ltr ax

    run_v86 v86_ud, 0
    expect_fault "UD2", 6, 0
    expect "pushed CS is a segment", [caught.cs], k_segment
    expect "pushed EIP", [caught.rip], v86_ud_at - k_low
    mov ebx, [caught.flags]
    and ebx, 0x20000
    expect "VM in the pushed flags", ebx, 0x20000
    expect "pushed SS", [caught.ss], k_segment
    mov ebx, k_inner_stack_top
    expect "pushed GS", [ebx - 4], 0x2345
    expect "pushed FS", [ebx - 8], 0x1234
    expect "pushed DS", [ebx - 12], k_segment
    mov ebx, fs
    expect "FS is null in the handler", ebx, 0
    expect "segment arithmetic", [k_low + (v86_sum - k_low)], 0x77

    run_v86 v86_cli, 0
    expect_fault "CLI with IOPL 0", 13, 0
    run_v86 v86_cli, 3
    expect_fault "CLI with IOPL 3, then UD2", 6, 0
    run_v86 v86_pushf, 0
    expect_fault "PUSHF with IOPL 0", 13, 0
    run_v86 v86_int, 0
    expect_fault "INT n with IOPL 0", 13, 0
    run_v86 v86_int, 3
    expect_fault "INT n with IOPL 3 and a gate of DPL 0", 13, 0x30 * 8 + 2
    gate32 0x30, service, 0xee
    run_v86 v86_int, 3
    expect_fault "INT n to the monitor and back, then UD2", 6, 0
    expect "the monitor's answer", ebx, 0x4321
    expect "DS of V86 mode on the monitor's frame", [seen_ds], k_segment
    run_v86 v86_int3, 0
    expect_fault "INT3 with IOPL 0 reaches its gate (of DPL 0)", 13, 3 * 8 + 2
    run_v86 v86_port, 0
    expect_fault "OUT to an allowed port, IN from another", 13, 0
    expect "it was the second", [caught.rip], v86_port_second - k_low
    run_v86 v86_limit, 0
    expect_fault "offset beyond 64 KiB", 13, 0
    run_v86 v86_stack_limit, 0
    expect_fault "stack offset beyond 64 KiB", 12, 0
    run_v86 v86_hlt, 3
    expect_fault "HLT with IOPL 3", 13, 0
    run_v86 v86_lldt, 3
    expect_fault "LLDT does not exist", 6, 0
    finish 0x13

; In ring 0, from V86 mode: EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS.
service:
    mov ebx, [esp + 24]
    mov ax, k_data
    mov ds, ax
    mov [seen_ds], ebx
    mov ebx, 0x4321
    iretd

section .data align=16
seen_ds: dd 0
align 16
tss_v86: times 0x68 + 0x21 db 0

k_low equ 0x8000
k_segment equ 0x800
section low follows=.data vstart=k_low align=16
BITS 16
v86_ud:
    mov ax, 0x800 + 0x10
    mov es, ax
    mov byte [es:v86_sum - k_low - 0x100], 0x77
v86_ud_at:
    ud2
v86_cli:
    cli
    ud2
v86_pushf:
    pushf
    ud2
v86_int:
    xor ebx, ebx
    int 0x30
    ud2
v86_int3:
    int3
    ud2
v86_port:
    out 0x80, al
v86_port_second:
    in al, 0x60
    ud2
v86_limit:
    mov ebx, 0xffff
    mov ax, [ebx]
    ud2
v86_stack_limit:
    mov ebp, 0x10000
    mov al, [ebp]
    ud2
v86_hlt:
    hlt
v86_lldt:
    lldt ax
    ud2
align 4
times 0x110 - ($ - $$) db 0
v86_sum: dd 0
low_end:
