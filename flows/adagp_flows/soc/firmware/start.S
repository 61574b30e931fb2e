# Reset and interrupt entry of PicoRV32, whose interrupts are instructions of its own.

.macro getq destination, q             # destination = q
    .insn r 0x0b, 0, 0, \destination, \q, x0
.endm

.macro retirq                          # back to where the interrupt came
    .insn r 0x0b, 0, 2, x0, x0, x0
.endm

.macro each_caller_saved what          # all that a C function may change
    \what ra, 0(sp)
    \what t0, 4(sp)
    \what t1, 8(sp)
    \what t2, 12(sp)
    \what a0, 16(sp)
    \what a1, 20(sp)
    \what a2, 24(sp)
    \what a3, 28(sp)
    \what a4, 32(sp)
    \what a5, 36(sp)
    \what a6, 40(sp)
    \what a7, 44(sp)
    \what t3, 48(sp)
    \what t4, 52(sp)
    \what t5, 56(sp)
    \what t6, 60(sp)
.endm

.section .start, "ax"
.option norvc
.option norelax
.global _start
_start:
    j start

.org 0x10                              # PROGADDR_IRQ: the return address is in q0, what is pending in q1
    addi sp, sp, -64
    each_caller_saved sw
    getq a0, x1
    call interrupt
    each_caller_saved lw
    addi sp, sp, 64
    retirq

start:
    la sp, stack_top
    la t0, bss_start
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call main
    tail stop
