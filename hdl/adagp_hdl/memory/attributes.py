"""Attributes of memories for synthesis."""

UNCHECKED = {"no_rw_check": 1}
"""Attribute of a memory nobody reads where it is written in the same cycle, or who does not look at what he reads.
Synthesis for block memory without a rule of its own for this, ECP5's, else adds a register and a multiplexer per bit
that give the old value."""

BLOCK = UNCHECKED | {"ram_style": "block"}
"""The same in block memory, however small."""
