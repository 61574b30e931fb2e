/* The board that system.v is: memory map, interrupt, console. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define FLASH ((const volatile uint32_t *)0x20000000u)  /* read only */
#define REGISTERS ((volatile uint32_t *)0x40000000u)    /* of the accelerator */
#define MEMORY 0x80000000u                              /* external; the accelerator sees it at the same address */
#define MEMORY_BYTES 0x100000u

#define ACCELERATOR_INTERRUPT 8u /* its bit among the processor's interrupts */

void put(char character);

/* Ends the simulation. */
_Noreturn void stop(uint32_t exit_code);

#endif
