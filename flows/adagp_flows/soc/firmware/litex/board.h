/* The example of the release's litex/ folder, as LiteX's own headers describe it. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#include "generated/mem.h"
#include "generated/soc.h"

#define FLASH ((const volatile uint32_t *)FLASH_BASE)  /* read only */
#define REGISTERS ((volatile uint32_t *)ADAGP_BASE)    /* of the accelerator */
#define MEMORY ((uint32_t)MAIN_RAM_BASE)               /* the accelerator sees it at the same address */
#define MEMORY_BYTES MAIN_RAM_SIZE

#define ACCELERATOR_INTERRUPT (1u << ADAGP_INTERRUPT) /* its bit among the processor's interrupts */

void put(char character);

/* Ends the simulation. */
_Noreturn void stop(uint32_t exit_code);

#endif
