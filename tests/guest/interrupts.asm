; SPDX-License-Identifier: GPL-3.0-or-later
; The 8259 pair and the 8254, as a PC's firmware uses them: initialisation, timer modes, masks, priorities, EOI, IRR, ISR.
%include "guest.inc"
%include "protected.inc"

k_master equ 0x20
k_slave equ 0xa0

; out8 PORT, VALUE
%macro out8 2
    mov al, %2
    out %1, al
%endmacro

entry:
    guest "interrupts"
    call setup_protected
    gate32 0x20, timer, 0x8e
    gate32 0x28, clock, 0x8e
    gate32 0x27, spurious, 0x8e
    out8 k_master, 0x11           ; ICW1: cascade, ICW4
    out8 k_master + 1, 0x20       ; vectors
    out8 k_master + 1, 4
    out8 k_master + 1, 1
    out8 k_slave, 0x11
    out8 k_slave + 1, 0x28
    out8 k_slave + 1, 2
    out8 k_slave + 1, 1
    out8 k_master + 1, 0xfe       ; IRQ 0 only
    out8 k_slave + 1, 0xff
    in al, k_master + 1
    movzx ebx, al
    expect "8259: the mask reads back", ebx, 0xfe

    ; mode 2 at about 10 kHz
    out8 0x43, 0x34
    out8 0x40, 119
    out8 0x40, 0
    sti
    mov ebx, 5
    call wait_ticks
    cli
    cmp dword [ticks], 5
    check ae, "8254: rate generator, five ticks"
    expect "8259: IRQ 0 in service in its handler", [seen_isr], 1

    ; masked, it stays in IRR
    out8 k_master + 1, 0xff
    mov dword [ticks], 0
    call pause_long
    sti
    call pause_long
    cli
    expect "8259: masked", [ticks], 0
    mov ebx, 20000
.pending:
    call pause_short
    out8 k_master, 0x0a           ; read IRR
    in al, k_master
    and al, 1
    jnz .shown
    dec ebx
    jnz .pending
.shown:
    movzx ebx, al
    expect "8259: IRR shows it", ebx, 1
    out8 k_master + 1, 0xfe
    sti
    nop
    cli
    cmp dword [ticks], 0
    check ne, "8259: it comes when unmasked"

    ; mode 0: one interrupt
    out8 0x43, 0x30
    sti                           ; what the rate generator left behind
    call pause_long
    cli
    mov dword [ticks], 0
    out8 0x40, 0x20
    out8 0x40, 0x03
    sti
    mov ebx, 1
    call wait_ticks
    call pause_long
    cli
    expect "8254: terminal count interrupts once", [ticks], 1

    ; the counter latch
    out8 0x43, 0x34
    out8 0x40, 0xff
    out8 0x40, 0xff
    out8 0x43, 0
    in al, 0x40
    mov bl, al
    in al, 0x40
    mov bh, al
    movzx ebx, bx
    call pause_long
    out8 0x43, 0
    in al, 0x40
    mov cl, al
    in al, 0x40
    mov ch, al
    movzx ecx, cx
    cmp ecx, ebx
    check ne, "8254: the counter runs"
    ; read-back: status of counter 0
    out8 0x43, 0xe2
    in al, 0x40
    and al, 0x3f
    movzx ebx, al
    expect "8254: read-back status: both bytes, mode 2", ebx, 0x34

    ; channel 2, its gate and output at port 61h
    in al, 0x61
    and al, 0xfc
    out 0x61, al
    out8 0x43, 0xb0
    out8 0x42, 0x40
    out8 0x42, 0
    in al, 0x61
    and al, 0x20
    movzx ebx, al
    expect "port 61h: output of channel 2 low while its gate is closed", ebx, 0
    in al, 0x61
    or al, 1
    out 0x61, al
    mov ecx, 2000000
.output:
    in al, 0x61
    test al, 0x20
    loopz .output
    test al, 0x20
    check nz, "port 61h: high after the count"

    ; IRQ 8 through the cascade: the clock's periodic interrupt
    out8 0x43, 0x30               ; silence the timer
    out8 k_master + 1, 0xfb
    out8 k_slave + 1, 0xfe
    mov al, 0x8a
    out 0x70, al
    in al, 0x71
    and al, 0xf0
    or al, 6                      ; 1024 Hz
    mov ah, al
    mov al, 0x8a
    out 0x70, al
    mov al, ah
    out 0x71, al
    mov al, 0x8b
    out 0x70, al
    in al, 0x71
    or al, 0x40
    mov ah, al
    mov al, 0x8b
    out 0x70, al
    mov al, ah
    out 0x71, al
    sti
    mov ecx, 20000
.clock:
    cmp dword [clock_ticks], 3
    jae .clock_done
    push ecx
    call pause_short
    pop ecx
    loop .clock
.clock_done:
    cli
    cmp dword [clock_ticks], 3
    check ae, "clock: periodic interrupt on IRQ 8"
    expect "8259: the slave's IRQ 0 and the master's IRQ 2 in service", [seen_cascade], 0x0401
    finish 0x16

; ebx: ticks; gives up after a while.
wait_ticks:
    mov ecx, 20000
.look:
    cmp [ticks], ebx
    jae .done
    push ecx
    call pause_short
    pop ecx
    loop .look
.done:
    ret

; About 0.1 ms by the TSC, and 1 ms: at 2 GHz or more.
pause_short:
    mov ecx, 200000
    jmp pause_tsc
pause_long:
    mov ecx, 4000000
pause_tsc:
    push ebx
    rdtsc
    mov ebx, eax
.look:
    pause
    rdtsc
    sub eax, ebx
    cmp eax, ecx
    jb .look
    pop ebx
    ret

timer:
    push eax
    add dword [ticks], 1
    out8 k_master, 0x0b
    in al, k_master
    movzx eax, al
    mov [seen_isr], eax
    out8 k_master, 0x20
    pop eax
    iretd
clock:
    push eax
    add dword [clock_ticks], 1
    out8 k_slave, 0x0b
    in al, k_slave
    mov [seen_cascade], al
    out8 k_master, 0x0b
    in al, k_master
    mov [seen_cascade + 1], al
    mov al, 0x0c
    out 0x70, al
    in al, 0x71
    out8 k_slave, 0x20
    out8 k_master, 0x20
    pop eax
    iretd
spurious:
    iretd

section .data align=16
ticks: dd 0
clock_ticks: dd 0
seen_isr: dd 0
seen_cascade: dd 0
