; SPDX-License-Identifier: GPL-3.0-or-later
; No IDT, then a fault: a triple fault ends the machine with exit code 3.
%include "guest.inc"
entry:
    guest "triple"
    lidt [nowhere]
    ud2
section .data
nowhere:
    dw 0
    dd 0
