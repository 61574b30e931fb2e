#include "print.h"

#include "board.h"

void print(const char *text)
{
    while (*text)
        put(*text++);
}

void print_number(uint32_t value)
{
    char digits[11];
    char *first = digits + sizeof digits - 1;
    *first = 0;
    do
        *--first = (char)('0' + value % 10u);
    while (value /= 10u);
    print(first);
}

void print_hex(uint32_t value)
{
    int shift;
    print("0x");
    for (shift = 28; shift >= 0; shift -= 4)
        put("0123456789abcdef"[value >> shift & 15u]);
}
