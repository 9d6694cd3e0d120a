; SPDX-License-Identifier: GPL-3.0-or-later
; Self-modifying code in 32 and 64 bits: the next instruction, a loop, another page, both halves of an instruction across
; pages, string instructions, the stack, through another linear address, copied and replaced functions.
%include "guest.inc"
%include "protected.inc"
%include "long.inc"

k_area equ k_scratch

; The same text for both modes: absolute addresses fit in 32 bits.
%macro tests 2
    ; the instruction right behind the write
    mov byte [%%next + 1], 7
%%next:
    mov eax, 1
    mov ebx, eax
    expect {%1, ": the next instruction"}, ebx, 7
    ; a loop that counts in its own immediate
    mov dword [%%sum + 2], 0
    mov ecx, 100
    xor ebx, ebx
%%loop:
    add dword [%%sum + 2], 1
%%sum:
    add ebx, 0x11223344
    dec ecx
    jnz %%loop
    expect {%1, ": a loop that patches itself"}, ebx, 5050
    ; another page
    mov edi, k_area
    mov byte [edi], 0xb8
    mov dword [edi + 1], 1
    mov byte [edi + 5], 0xc3
    mov ebp, edi
    call %2
    mov ebx, eax
    mov dword [edi + 1], 2
    call %2
    add ebx, eax
    expect {%1, ": a function on another page"}, ebx, 3
    ; across two pages: first the second half changes, then the first
    mov ebp, k_area + 0xffe
    mov byte [k_area + 0xffe], 0xb8
    mov dword [k_area + 0xfff], 0x01010101
    mov byte [k_area + 0x1003], 0xc3
    call %2
    mov ebx, eax
    expect {%1, ": across pages"}, ebx, 0x01010101
    mov byte [k_area + 0x1002], 2
    call %2
    mov ebx, eax
    expect {%1, ": across pages, second half new"}, ebx, 0x02010101
    mov byte [k_area + 0xffe], 0xb9            ; MOV ECX
    mov ecx, 5
    call %2
    expect {%1, ": across pages, first half new"}, ecx, 0x02010101
    ; REP MOVSB over a function that has run
    mov ebp, k_area + 0x200
    mov esi, %%three
    mov edi, k_area + 0x200
    mov ecx, 6
    rep movsb
    call %2
    mov ebx, eax
    mov esi, %%four
    mov edi, k_area + 0x200
    mov ecx, 6
    rep movsb
    call %2
    shl ebx, 8
    or ebx, eax
    expect {%1, ": REP MOVSB over code"}, ebx, 0x304
    ; LOCK and XCHG
    mov ebp, k_area + 0x200
    lock inc byte [k_area + 0x201]
    call %2
    mov ebx, eax
    mov al, 9
    xchg al, [k_area + 0x201]
    call %2
    shl ebx, 8
    or ebx, eax
    expect {%1, ": LOCK INC and XCHG into code"}, ebx, 0x509
    ; a store of SSE
    movups xmm0, [%%three]
    movups [k_area + 0x200], xmm0
    call %2
    mov ebx, eax
    expect {%1, ": MOVUPS over code"}, ebx, 3
    ; code on the stack
    sub esp, 16
    mov byte [esp], 0xb8
    mov dword [esp + 1], 0x77
    mov byte [esp + 5], 0xc3
    mov ebp, esp
    call %2
    mov ebx, eax
    mov dword [esp + 1], 0x78
    call %2
    add ebx, eax
    add esp, 16
    expect {%1, ": code on the stack"}, ebx, 0xef
    ; a jump that is turned round
    mov byte [%%branch], 0x74                  ; JZ
    xor ebx, ebx
    call %%decide
    mov byte [%%branch], 0x75                  ; JNZ
    call %%decide
    expect {%1, ": a branch turned round"}, ebx, 0x12
    jmp %%end
%%decide:
    cmp eax, eax
%%branch:
    jz %%taken
    add ebx, 2
    ret
%%taken:
    add ebx, 0x10
    ret
%%three:
    db 0xb8, 3, 0, 0, 0, 0xc3
    times 10 db 0x90
%%four:
    db 0xb8, 4, 0, 0, 0, 0xc3
%%end:
%endmacro

entry:
    guest "selfmod"
    call setup_protected
    mov eax, cr4
    or eax, 0x600
    mov cr4, eax
    tests "32", ebp
    to_long
    tests "64", rbp
    ; the same page under another linear address: write here, run there
    mov dword [k_tables + 0x8000], k_area + 7
    mov dword [k_tables + 0x9000], k_tables + 0x8000 + 7
    mov dword [k_tables + 0x1000 + 8], k_tables + 0x9000 + 7
    mov rax, cr3
    mov cr3, rax
    mov byte [k_area], 0xb8
    mov dword [k_area + 1], 1
    mov byte [k_area + 5], 0xc3
    mov ebp, 0x40000000
    call rbp
    mov ebx, eax
    mov dword [k_area + 1], 2
    call rbp
    add ebx, eax
    expect "written under another address", ebx, 3
    finish 0x19
