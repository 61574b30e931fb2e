"""A machine that a host reaches over a serial line, with its memory on the chip."""
