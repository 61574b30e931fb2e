/* The board that system.v is: memory map, console, clock, interrupts. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define FLASH ((const volatile uint32_t *)0x20000000u)  /* read only */
#define REGISTERS ((volatile uint32_t *)0x40000000u)    /* of the accelerator */
#define MEMORY 0x80000000u                              /* external; the accelerator sees it at the same address */
#define MEMORY_BYTES 0x100000u

#define ACCELERATOR_INTERRUPT 8u /* its bit among the processor's interrupts */

void print(const char *text);
void print_number(uint32_t value);
void print_hex(uint32_t value);

/* Ends the simulation. */
_Noreturn void stop(uint32_t exit_code);

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
