; SPDX-License-Identifier: GPL-3.0-or-later
; Several processors (SDM 3A, 8.4 and ch. 10): INIT-SIPI-SIPI, LOCK, XCHG, CMPXCHG8B by all, IPIs to one, to all and by
; logical destination, cross-modifying code, TLB shoot-down, INIT again.
%include "guest.inc"
%include "protected.inc"

k_apic equ 0xfee00000
k_eoi equ 0xb0
k_svr equ 0xf0
k_ldr equ 0xd0
k_dfr equ 0xe0
k_icr_low equ 0x300
k_icr_high equ 0x310
k_ap_stacks equ 0x2d0000
k_rounds equ 20000

; start_job LABEL: every processor runs it; goes on when all are through.
%macro start_job 1
    mov dword [done], 0
    mov dword [job], %1
    mfence
    add dword [job_number], 1
    call %1
    lock add dword [done], 1
    call wait_done
%endmacro

entry:
    guest "smp"
    call setup_protected
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    gate32 0x41, handler_ipi, 0x8e
    gate32 0xff, handler_spurious, 0x8e
    mov esi, section.low.start
    mov edi, k_low
    mov ecx, low_end - k_low
    rep movsb
    mov eax, 1
    cpuid
    shr ebx, 16
    movzx ebx, bl
    mov [count], ebx
    cmp ebx, 2
    check ae, "CPUID tells of several processors"
    mov dword [k_apic + k_svr], 0x1ff
    mov dword [k_apic + k_dfr], 0xffffffff
    mov dword [k_apic + k_ldr], 0x01000000
    mov dword [k_apic + k_icr_low], 0xc4500         ; INIT, all but self
    mov ecx, 10
    call pause_ms
    mov dword [k_apic + k_icr_low], 0xc4600 | (k_low >> 12)
    mov ecx, 1
    call pause_ms
    mov dword [k_apic + k_icr_low], 0xc4600 | (k_low >> 12)
    mov ebx, [count]
    mov ecx, 2000
.arrive:
    cmp [arrived], ebx
    je .arrived
    push ecx
    mov ecx, 1
    call pause_ms
    pop ecx
    loop .arrive
.arrived:
    mov ecx, [count]
    expect "all arrived, once each", [arrived], ecx
    expect "a started processor's own APIC base has no BSP flag", [wrong_bsp], 0

    start_job job_lock
    mov ecx, [count]
    imul ecx, k_rounds
    expect "LOCK INC", [counter_inc], ecx
    expect "LOCK XADD", [counter_xadd], ecx
    expect "LOCK CMPXCHG", [counter_cmpxchg], ecx
    expect "a spin lock by XCHG", [counter_guarded], ecx
    expect "LOCK CMPXCHG8B", [counter_8], ecx
    expect "LOCK across two cache lines", [counter_split + 62], ecx
    mov ecx, [count]
    imul ecx, k_rounds * 3
    expect "LOCK CMPXCHG8B, upper half", [counter_8 + 4], ecx

    ; IPIs to all but self
    mov dword [ipis], 0
    mov dword [k_apic + k_icr_low], 0xc4041
    mov ecx, [count]
    sub ecx, 1
    call wait_ipis
    mov ecx, [count]
    sub ecx, 1
    expect "IPI to all but self", [ipis], ecx
    ; to one
    mov dword [ipis], 0
    mov dword [k_apic + k_icr_high], 0x01000000
    mov dword [k_apic + k_icr_low], 0x4041
    mov ecx, 1
    call wait_ipis
    mov ecx, 1
    call pause_ms
    expect "IPI to processor 1", [ipis], 1
    expect "it was processor 1", [last_ipi], 1
    ; logical, flat: processor 1
    mov dword [ipis], 0
    mov dword [k_apic + k_icr_high], 0x02000000
    mov dword [k_apic + k_icr_low], 0x4841
    mov ecx, 1
    call wait_ipis
    expect "IPI by logical destination", [ipis], 1

    ; one writes data, then a flag; the other may never see the flag without the data
    start_job job_order
    expect "stores are seen in their order", [order_errors], 0

    ; Cross-modifying code (SDM 3A, 8.1.3): write, signal, CPUID, call.
    mov dword [patch_round], 0
    mov dword [patch_errors], 0
    start_job job_patch
    expect "cross-modifying code: nobody ran stale bytes", [patch_errors], 0
    expect "cross-modifying code: every round", [patch_round], 100

    ; INIT puts them back to waiting for SIPI: no IPI arrives any more
    mov dword [k_apic + k_icr_low], 0xc4500
    mov ecx, 2
    call pause_ms
    mov dword [ipis], 0
    mov dword [k_apic + k_icr_low], 0xc4041
    mov ecx, 5
    call pause_ms
    expect "after INIT nobody takes an IPI", [ipis], 0
    mov dword [arrived], 1
    mov dword [k_apic + k_icr_low], 0xc4600 | (k_low >> 12)
    mov ecx, 2000
.again:
    mov ebx, [count]
    cmp [arrived], ebx
    je .again_done
    push ecx
    mov ecx, 1
    call pause_ms
    pop ecx
    loop .again
.again_done:
    mov ecx, [count]
    expect "started again after INIT", [arrived], ecx
    finish 0x17

; Milliseconds of a TSC of 2 GHz.
pause_ms:
    push ebx
    push eax
    push edx
    imul ecx, 2000000
    rdtsc
    mov ebx, eax
.look:
    pause
    rdtsc
    sub eax, ebx
    cmp eax, ecx
    jb .look
    pop edx
    pop eax
    pop ebx
    ret

; ecx: how many. Gives up after a second.
wait_ipis:
    mov ebx, 1000
.look:
    cmp [ipis], ecx
    jae .done
    push ecx
    mov ecx, 1
    call pause_ms
    pop ecx
    dec ebx
    jnz .look
.done:
    ret

wait_done:
    mov ebx, [count]
.look:
    pause
    cmp [done], ebx
    jb .look
    ret

job_lock:
    mov ecx, k_rounds
.round:
    lock inc dword [counter_inc]
    mov eax, 1
    lock xadd [counter_xadd], eax
    mov eax, [counter_cmpxchg]
.again:
    lea edx, [eax + 1]
    lock cmpxchg [counter_cmpxchg], edx
    jne .again
    lock add dword [counter_split + 62], 1
.spin:
    mov eax, 1
    xchg [spin_lock], eax
    test eax, eax
    jnz .busy
    add dword [counter_guarded], 1
    mov dword [spin_lock], 0
    push ecx
    mov eax, [counter_8]
    mov edx, [counter_8 + 4]
.again8:
    lea ebx, [eax + 1]
    lea ecx, [edx + 3]
    lock cmpxchg8b [counter_8]
    jne .again8
    pop ecx
    loop .round
    ret
.busy:
    pause
    jmp .spin

; The boot processor writes, the others read.
job_order:
    call my_id
    test eax, eax
    jnz .reader
    mov ecx, 1
.write:
    mov [order_data], ecx
    mov [order_flag], ecx
    inc ecx
    cmp ecx, 50000
    jb .write
    ret
.reader:
    mov eax, [order_flag]
    mov ebx, [order_data]
    cmp ebx, eax
    jae .fine
    lock inc dword [order_errors]
.fine:
    cmp eax, 49999
    jb .reader
    ret

job_patch:
    call my_id
    test eax, eax
    jnz .follower
    mov ebp, 1
.round:
    mov [patched + 1], ebp
    mov dword [patch_answers], 0
    mov [patch_round], ebp
    mov ebx, [count]
    dec ebx
.wait:
    pause
    cmp [patch_answers], ebx
    jb .wait
    inc ebp
    cmp ebp, 101
    jb .round
    ret
.follower:
    mov ebp, 1
.next:
    pause
    cmp [patch_round], ebp
    jb .next
    xor eax, eax
    cpuid
    call patched
    cmp eax, ebp
    je .same
    lock inc dword [patch_errors]
.same:
    lock inc dword [patch_answers]
    inc ebp
    cmp ebp, 101
    jb .next
    ret

align 64
patched:
    mov eax, 0
    ret

my_id:
    mov eax, [k_apic + 0x20]
    shr eax, 24
    ret

; A started processor, in 32-bit mode; eax: its number.
ap_entry:
    mov ax, k_data
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, [k_apic + 0x20]
    shr eax, 24
    mov ebx, eax
    shl eax, 12
    lea esp, [eax + k_ap_stacks]
    lidt [idt32_pointer]
    mov dword [k_apic + k_svr], 0x1ff
    mov dword [k_apic + k_dfr], 0xffffffff
    mov ecx, ebx
    mov eax, 0x01000000
    shl eax, cl
    mov [k_apic + k_ldr], eax
    mov ecx, 0x1b
    rdmsr
    and eax, 0x100
    add [wrong_bsp], eax
    mov esi, [job_number]
    lock add dword [arrived], 1
    sti
.wait:
    pause
    cmp [job_number], esi
    je .wait
    mov esi, [job_number]
    push esi
    call [job]
    pop esi
    lock add dword [done], 1
    jmp .wait

handler_ipi:
    push eax
    mov eax, [k_apic + 0x20]
    shr eax, 24
    mov [last_ipi], eax
    lock add dword [ipis], 1
    mov dword [k_apic + k_eoi], 0
    pop eax
    iretd
handler_spurious:
    iretd

section .data align=64
count: dd 0
arrived: dd 1
wrong_bsp: dd 0
job: dd 0
job_number: dd 0
done: dd 0
align 64
counter_inc: dd 0
counter_xadd: dd 0
counter_cmpxchg: dd 0
counter_guarded: dd 0
counter_8: dq 0
spin_lock: dd 0
ipis: dd 0
last_ipi: dd 0
align 64
counter_split: times 128 db 0
align 64
order_data: dd 0
order_errors: dd 0
align 64
order_flag: dd 0
patch_round: dd 0
patch_answers: dd 0
patch_errors: dd 0

k_low equ 0x9000
section low follows=.data vstart=k_low align=16
BITS 16
    cli
    xor ax, ax
    mov ds, ax
    mov ax, cs
    cmp ax, k_low >> 4
    jne $
    lgdt [low_gdt]
    mov eax, cr0
    and eax, 0x9fffffff
    or al, 1
    mov cr0, eax
    jmp dword k_code32:ap_entry
low_gdt:
    dw gdt_end - gdt - 1
    dd gdt
low_end:
