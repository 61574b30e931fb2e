#include "board.h"

#include "generated/csr.h"

#define CONSOLE (*(volatile uint32_t *)CSR_UART_RXTX_ADDR)
#define CONSOLE_FULL (*(const volatile uint32_t *)CSR_UART_TXFULL_ADDR)
#define END_OF_TRANSMISSION '\4'  /* litex_system.v takes the character after it as the exit code */

void put(char character)
{
    while (CONSOLE_FULL)
        ;
    CONSOLE = (uint8_t)character;
}

_Noreturn void stop(uint32_t exit_code)
{
    put(END_OF_TRANSMISSION);
    put((char)exit_code);
    for (;;)
        ;
}
