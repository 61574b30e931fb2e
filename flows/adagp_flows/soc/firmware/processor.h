/* PicoRV32: its cycle counter, and its interrupts, which are instructions of its own. */
#ifndef PROCESSOR_H
#define PROCESSOR_H

#include <stdint.h>

/* Clock cycles since reset, modulo 2^32. */
static inline uint32_t cycles(void)
{
    uint32_t value;
    __asm__ volatile("rdcycle %0" : "=r"(value));
    return value;
}

/* Lets the interrupts in `mask` through, and no others. */
static inline void enable_interrupts(uint32_t mask)
{
    uint32_t former;
    __asm__ volatile(".insn r 0x0b, 0, 3, %0, %1, x0" : "=r"(former) : "r"(~mask) : "memory");
}

/* Called by start.S for pending interrupts that are enabled. */
void interrupt(uint32_t pending);

#endif
