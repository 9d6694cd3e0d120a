; SPDX-License-Identifier: GPL-3.0-or-later
; The extended state (SDM 1, ch. 13): XCR0's rules, XSAVE and XRSTOR of x87, SSE and AVX, init optimisation, faults, two
; contexts in turn. AVX only where CPUID offers it.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

k_area equ k_scratch             ; two areas of 4 KiB
k_area2 equ k_scratch + 0x1000

; xcr0 VALUE: sets it. Changes eax, ecx, edx.
%macro xcr0 1
    xor ecx, ecx
    xor edx, edx
    mov eax, %1
    xsetbv
%endmacro
%macro clear_area 1
    mov edi, %1
    mov ecx, 0x1000 / 8
    xor eax, eax
    rep stosq
%endmacro
%macro xsave_all 1
    mov eax, -1
    mov edx, -1
    xsave64 [%1]
%endmacro
%macro xrstor_all 1
    mov eax, -1
    mov edx, -1
    xrstor64 [%1]
%endmacro

entry:
    guest "xsave"
    call setup_protected
    to_long
    mov rax, cr0
    and eax, ~4                  ; EM
    or eax, 0x22                 ; MP, NE
    mov cr0, rax
    fninit
    mov eax, 1
    cpuid
    mov [features], ecx
    bt ecx, 26
    jc .has_xsave
    finish 0x18
.has_xsave:
    bt ecx, 27
    setc bl
    movzx ebx, bl
    expect "CPUID.OSXSAVE is clear before CR4.OSXSAVE", ebx, 0
    xor ecx, ecx
    try xgetbv
    expect_fault "XGETBV without CR4.OSXSAVE", 6, 0
    try xsave [k_area]
    expect_fault "XSAVE without CR4.OSXSAVE", 6, 0
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    mov eax, 1
    cpuid
    bt ecx, 27
    setc bl
    movzx ebx, bl
    expect "CPUID.OSXSAVE follows", ebx, 1
    xor ecx, ecx
    xgetbv
    mov ebx, eax
    expect "XCR0 after reset", ebx, 1
    call rules
    call sse
    call faults
    bt dword [features], 28
    jnc .no_avx
    call avx
.no_avx:
    finish 0x18

BITS 64
rules:
    xor ecx, ecx
    xor edx, edx
    mov eax, 2
    try xsetbv
    expect_fault "XCR0 without x87", 13, 0
    xor ecx, ecx
    xor edx, edx
    mov eax, 5
    try xsetbv
    expect_fault "XCR0: AVX without SSE", 13, 0
    mov ecx, 1
    xor edx, edx
    mov eax, 1
    try xsetbv
    expect_fault "XCR1 cannot be written", 13, 0
    xor ecx, ecx
    mov edx, 0x40000000
    mov eax, 1
    try xsetbv
    expect_fault "XCR0: a feature nobody has", 13, 0
    try user64 .user
    expect_fault "XSETBV in ring 3", 13, 0
    ret
.user:
    xor ecx, ecx
    xor edx, edx
    mov eax, 3
    xsetbv

sse:
    xcr0 3
    clear_area k_area
    fninit
    fldpi
    mov rax, 0x1122334455667788
    movq xmm3, rax
    pinsrw xmm3, eax, 7
    movdqa xmm15, xmm3
    xsave_all k_area
    expect "XSTATE_BV: x87 and SSE", [k_area + 512], 3
    expect "XMM3 in the image", [k_area + 160 + 3 * 16], 0x55667788
    expect "XMM3's upper end", [k_area + 160 + 3 * 16 + 12], 0x77880000
    expect "ST0 in the image: pi", [k_area + 32 + 4], 0xc90fdaa2
    expect "the tag word's short form", [k_area + 4], 0x80
    fninit
    pxor xmm3, xmm3
    pxor xmm15, xmm15
    xrstor_all k_area
    movq rbx, xmm15
    expect "XRSTOR brings XMM15 back", ebx, 0x55667788
    fstp qword [k_area2]
    expect "XRSTOR brings pi back", [k_area2 + 4], 0x400921fb
    ; a component that is not in XSTATE_BV comes back as new
    mov qword [k_area + 512], 1
    xrstor_all k_area
    movq rbx, xmm3
    expect "XSTATE_BV without SSE: XMM3 is zero", ebx, 0
    ; one that is not asked for stays
    movq xmm3, rax
    mov rbx, 0x99
    movq xmm3, rbx
    mov qword [k_area + 512], 3
    mov eax, 1
    xor edx, edx
    xrstor64 [k_area]
    movq rbx, xmm3
    expect "not asked for: XMM3 stays", ebx, 0x99
    ret

faults:
    try xsave64 [k_area + 8]
    expect_fault "XSAVE to an unaligned area", 13, 0
    xsave_all k_area
    mov dword [k_area + 512 + 16], 1
    mov eax, -1
    mov edx, -1
    try xrstor64 [k_area]
    expect_fault "XRSTOR with a reserved byte of the header", 13, 0
    mov dword [k_area + 512 + 16], 0
    mov dword [k_area + 512 + 4], 0x40000000
    mov edx, -1
    mov eax, -1
    try xrstor64 [k_area]
    expect_fault "XRSTOR of a feature that XCR0 has not", 13, 0
    mov dword [k_area + 512 + 4], 0
    mov dword [k_area + 24], 0x10000   ; MXCSR
    mov eax, -1
    mov edx, -1
    try xrstor64 [k_area]
    expect_fault "XRSTOR with a reserved bit of MXCSR", 13, 0
    mov dword [k_area + 24], 0x1f80
    mov rax, cr0
    or eax, 8
    mov cr0, rax
    try xsave64 [k_area]
    expect_fault "XSAVE with CR0.TS", 7, 0
    try paddd xmm0, xmm0
    expect_fault "SSE with CR0.TS", 7, 0
    clts
    ; a numeric fault of SSE, by its own vector
    mov dword [k_area2], 0x1f80 & ~(1 << 9)   ; zero-divide unmasked
    ldmxcsr [k_area2]
    mov eax, 1
    cvtsi2sd xmm1, eax
    pxor xmm2, xmm2
    try divsd xmm1, xmm2
    expect_fault "unmasked division by zero of SSE", 19, 0
    stmxcsr [k_area2]
    mov ebx, [k_area2]
    and ebx, 4
    expect "MXCSR.ZE", ebx, 4
    mov dword [k_area2], 0x1f80
    ldmxcsr [k_area2]
    ; and of x87: reported by the next waiting instruction
    fninit
    mov word [k_area2], 0x37f & ~4
    fldcw [k_area2]
    fld1
    fldz
    fdivp st1
    try fwait
    expect_fault "unmasked division by zero of x87", 16, 0
    fnclex
    fninit
    ret

avx:
    xcr0 3
    try vpxor xmm0, xmm0, xmm0
    expect_fault "AVX without XCR0.AVX", 6, 0
    xcr0 7
    mov eax, 0xd
    xor ecx, ecx
    cpuid
    expect "CPUID: the area's size with AVX", ebx, 832
    clear_area k_area
    mov rax, 0x0102030405060708
    movq xmm0, rax
    vinsertf128 ymm5, ymm0, xmm0, 1
    xsave_all k_area
    mov ebx, [k_area + 512]
    and ebx, 4
    expect "XSTATE_BV: AVX", ebx, 4
    expect "upper half of YMM5 in the image", [k_area + 576 + 5 * 16], 0x05060708
    movdqa xmm5, xmm0
    vextractf128 xmm1, ymm5, 1
    movq rbx, xmm1
    expect "a legacy instruction keeps the upper half", ebx, 0x05060708
    vmovdqa xmm5, xmm5
    vextractf128 xmm1, ymm5, 1
    movq rbx, xmm1
    expect "a VEX instruction clears it", ebx, 0
    xrstor_all k_area
    vextractf128 xmm1, ymm5, 1
    movq rbx, xmm1
    expect "XRSTOR brings it back", ebx, 0x05060708
    vzeroupper
    vextractf128 xmm1, ymm5, 1
    movq rbx, xmm1
    expect "VZEROUPPER", ebx, 0
    ; two contexts in turn
    vzeroall
    clear_area k_area
    clear_area k_area2
    xsave_all k_area
    xsave_all k_area2
    mov ebp, 50
.turn:
    xrstor_all k_area
    mov eax, 1
    movq xmm1, rax
    vinsertf128 ymm1, ymm1, xmm1, 1
    vextractf128 xmm2, ymm7, 1
    paddq xmm2, xmm1
    vinsertf128 ymm7, ymm7, xmm2, 1
    xsave_all k_area
    xrstor_all k_area2
    mov eax, 3
    movq xmm1, rax
    vextractf128 xmm2, ymm7, 1
    paddq xmm2, xmm1
    vinsertf128 ymm7, ymm7, xmm2, 1
    xsave_all k_area2
    dec ebp
    jnz .turn
    expect "first context", [k_area + 576 + 7 * 16], 50
    expect "second context", [k_area2 + 576 + 7 * 16], 150
    ret

section .data
features: dd 0
