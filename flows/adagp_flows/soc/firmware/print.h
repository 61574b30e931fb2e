/* Text on the board's console. */
#ifndef PRINT_H
#define PRINT_H

#include <stdint.h>

void print(const char *text);
void print_number(uint32_t value);
void print_hex(uint32_t value);

#endif
