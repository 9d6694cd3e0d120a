; SPDX-License-Identifier: GPL-3.0-or-later
; Modes: protected -> long -> compatibility (32 and 16 bits) -> protected -> real -> unreal -> protected -> long again.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

entry:
    guest "modes"
    call setup_protected
    mov esi, section.low.start
    mov edi, k_low
    mov ecx, low_end - k_low
    rep movsb
    mov eax, cr0
    and eax, 0x80000001
    expect "protected mode without paging", eax, 1
    mov ebx, 0x12345678
    mov bx, 0xffff
    inc bx
    expect "16-bit operand in 32-bit code", ebx, 0x12340000

    to_long
    mov ecx, 0xc0000080
    rdmsr
    and eax, 0x500
    expect "EFER.LMA follows CR0.PG", eax, 0x500
    mov rbx, 0x1122334455667788
    mov r9, rbx
    ror r9, 32
    expect "a high register holds 64 bits", r9d, 0x11223344
    mov ebx, ebx
    shr rbx, 32
    expect "32-bit result clears the upper half", ebx, 0
    lea rbx, [rel .here]
.here:
    expect "RIP-relative", ebx, .here
    mov r15, -1

    to_compatibility
    mov ax, k_data
    mov ds, ax
    mov ss, ax
    mov ebx, 7
    db 0x43                     ; INC EBX here, a REX prefix in 64-bit mode
    expect "compatibility: 43h is INC EBX", ebx, 8
    mov dword [resume], .behind_fault
    mov [resume_stack], esp
    ud2
BITS 64
.behind_fault:                  ; the catcher goes on in 64-bit code
    mov dword [resume], 0
    expect_fault "compatibility: #UD through the 64-bit IDT", 6, 0
    expect "compatibility: pushed CS", [caught.cs], k_code32
    to_compatibility
    mov [saved_stack], esp
    jmp k_code16:compatibility16
from_compatibility16:
    expect "compatibility, 16 bits: AX+1 wraps in BX", [low_result], 0x00010000
    leave_long
    mov ecx, 0xc0000080
    rdmsr
    and eax, 0x400
    expect "EFER.LMA gone with paging", eax, 0

    mov [saved_stack], esp
    jmp k_code16:to_real
from_real:
    mov esp, [saved_stack]
    expect "real: INT through the vector table", [low_int], 0x4242
    expect "real: FLAGS pushed by INT had IF", [low_flags], 0x200
    expect "real: FFFF:0010 is 1 MiB", [low_high], [header]
    expect "real: offset beyond 64 KiB is #GP", [low_gp], 1
    expect "unreal: 4 GiB through a cached descriptor", [low_unreal], 0x55aa1234
    expect "unreal: a load of DS in real mode keeps the limit", [low_unreal2], 0x55aa1234
    expect "unreal: CS of 16 bits", [low_width], 2

    to_long
    mov rbx, 1 << 40
    shr rbx, 40
    expect "long mode a second time", ebx, 1
    finish 0x10

section .data
saved_stack: dd 0

k_low equ 0x8000
section low follows=.data vstart=k_low align=16
BITS 16
compatibility16:
    mov ax, 0xffff
    mov bx, 0
    add ax, 1
    adc bx, 0
    mov [low_result], ax
    mov [low_result + 2], bx
    jmp dword k_code32:from_compatibility16

to_real:
    mov ax, k_data16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp 0:in_real
in_real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, k_low
    lidt [real_idt]
    mov word [0x40 * 4], real_interrupt
    mov word [0x40 * 4 + 2], 0
    mov word [13 * 4], real_gp
    mov word [13 * 4 + 2], 0
    sti
    int 0x40
    cli
    mov ax, 0xffff
    mov fs, ax
    mov eax, [fs:0x10]
    mov [low_high], eax
    mov ebx, 0x10000
    mov al, [ebx]               ; 4 bytes with the 67h prefix; #GP's handler steps over it
.after:
    ; Unreal mode: DS with a limit of 4 GiB
    push ds
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, k_data
    mov ds, bx
    and al, 0xfe
    mov cr0, eax
    mov ebx, 0x400000
    mov dword [ebx], 0x55aa1234
    mov ecx, [ebx]
    pop ds
    mov [low_unreal], ecx
    mov ecx, [ebx]
    mov [low_unreal2], ecx
    mov ax, sp
    push ax
    sub ax, sp
    mov [low_width], ax
    pop ax
    ; back
    cli
    lgdt [gdt_pointer_low]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword k_code32:real_to_protected
BITS 32
real_to_protected:
    mov ax, k_data
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, k_stack_top - 64
    lidt [idt32_pointer]
    jmp from_real
BITS 16
real_interrupt:
    push bp
    mov bp, sp
    mov ax, [bp + 6]
    and ax, 0x200
    mov [low_flags], ax
    mov word [low_int], 0x4242
    pop bp
    iret
real_gp:
    mov word [low_gp], 1
    push bp
    mov bp, sp
    mov word [bp + 2], in_real.after
    pop bp
    iret
low_result: dd 0
low_int: dd 0
low_flags: dd 0
low_high: dd 0
low_gp: dd 0
low_unreal: dd 0
low_unreal2: dd 0
low_width: dd 0
real_idt:
    dw 0x3ff
    dd 0
gdt_pointer_low:
    dw gdt_end - gdt - 1
    dd gdt
low_end:
