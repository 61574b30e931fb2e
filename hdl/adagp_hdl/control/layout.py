"""Shapes of registers."""

from amaranth.hdl import Shape, unsigned
from amaranth.lib import data

from adagp.spec.registers import Register


def layout(register: Register) -> Shape | data.Layout:
    """The shape of a register's port: 32 bits where it is one field, else a struct of its fields."""
    if register.fields[0].width == 32:
        return unsigned(32)
    positions = [field.lsb for field in register.fields]
    widths = [field.width for field in register.fields]
    assert positions == [sum(widths[:index]) for index in range(len(widths))], register.path
    return data.StructLayout({field.name: field.width for field in register.fields})
