"""Bit widths of the instruction fields, in packing order. Read through :mod:`adagp.spec.isa`."""

_COUNTS = {"count0": 16, "count1": 16, "count2": 16}


def _strides(prefix: str, width: int, indices=(0, 1, 2)) -> dict[str, int]:
    return {f"{prefix}{i}": width for i in indices}


HEADER = {"opcode": 4, "wait": 5, "signal": 5}

FIELDS = {
    1: {"memory": 3, "transpose": 1, "dense": 1, "format": 1, "local": 1, "base": 3, "offset": 32, "destination": 20,
        "length": 16, **_COUNTS, **_strides("source_stride", 32), **_strides("destination_stride", 20)},
    2: {"memory": 3, "value": 32, "destination": 20, "length": 16, **_COUNTS,
        **_strides("destination_stride", 20)},
    3: {"tag": 2, "layer": 8, "accumulate": 1, "columns": 8, "stream": 20, "stationary": 20, "accumulator": 16,
        **_strides("stream_count", 16), **_strides("row_count", 16), **_strides("outer_count", 16, (0, 1)),
        **_strides("stream_stride", 20), "chunk_stride": 20, **_strides("stream_outer_stride", 20, (0, 1)),
        **_strides("row_stride", 20), **_strides("stationary_outer_stride", 20, (0, 1)),
        **_strides("accumulator_outer_stride", 16, (0, 1))},
    4: {"function": 4, "multiplier": 2, "addend": 2, "negate_product": 1, "negate_addend": 1, "relu": 1,
        "broadcast": 1, "lane": 7, "behind": 4, "each": 1, "s": 32, "t": 32, "a": 16, "b": 16, "d": 16, **_COUNTS,
        **_strides("a_stride", 16), **_strides("b_stride", 16), **_strides("d_stride", 16)},
    5: {"dense": 1, "format": 1, "local": 1, "base": 3, "offset": 32, "source": 20, "length": 16, **_COUNTS,
        **_strides("source_stride", 20), **_strides("destination_stride", 32)},
    6: {},
}
FIELDS[7] = FIELDS[3]

SIGNED = {name for layout in FIELDS.values() for name in layout if "stride" in name}

assert all(sum(HEADER.values()) + sum(layout.values()) <= 512 for layout in FIELDS.values())
