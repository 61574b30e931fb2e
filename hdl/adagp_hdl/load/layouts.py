"""What the stages of the load engine hand on."""

from amaranth.lib import data

from adagp.spec.config import AcceleratorConfig

from ..interfaces import SCRATCHPAD_ADDRESS_BITS, memories_of

COUNT_BITS = 16


def block_columns(config: AcceleratorConfig) -> int:
    """Elements of a row that a transposed load fetches at once."""
    return max(32, config.stream_lanes, config.stationary_lanes)


def transpose_lanes(config: AcceleratorConfig) -> int:
    """Rows of a transposed load at most."""
    return max(config.stream_lanes, config.stationary_lanes)


def count_bits(config: AcceleratorConfig) -> int:
    """Width of a number of lanes."""
    return max(transpose_lanes(config), config.vector_lanes).bit_length()


def memory_bits(config: AcceleratorConfig) -> int:
    """Width of the code of a memory."""
    return max(memories_of(config)).bit_length()


def transfer_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The destination side of an instruction. ``wide`` is the format FLOAT32."""
    return data.StructLayout({
        "fill": 1, "memory": memory_bits(config), "transpose": 1, "dense": 1, "wide": 1, "value": 32,
        "destination": SCRATCHPAD_ADDRESS_BITS, "length": COUNT_BITS,
        "counts": data.ArrayLayout(COUNT_BITS, 3), "strides": data.ArrayLayout(SCRATCHPAD_ADDRESS_BITS, 3)})


def group_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Consecutive elements of a transfer. ``run_last``: the run that holds the group ends with it.
    ``last``: so does the instruction."""
    return data.StructLayout({
        "fill": 1, "memory": memory_bits(config), "transpose": 1, "wide": 1, "value": 32,
        "position": SCRATCHPAD_ADDRESS_BITS, "length": COUNT_BITS, "run_last": 1, "last": 1})


def fetched_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A run that was requested: ``phase`` is the operand within the first beat at which it starts.
    A run of a transposed load is ``more`` + 1 elements of a row; ``block_last`` marks the last row."""
    return data.StructLayout({
        "phase": (config.bus_operands - 1).bit_length(), "transpose": 1, "wide": 1,
        "more": (block_columns(config) - 1).bit_length(), "block_last": 1})


def target_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Where up to a beat of elements goes: ``count`` of them to ``position`` of ``memory``, or with
    ``block`` into the transposer, to columns from ``position`` on of ``row``. ``last`` ends the
    instruction (the block)."""
    return data.StructLayout({
        "block": 1, "memory": memory_bits(config), "wide": 1, "position": SCRATCHPAD_ADDRESS_BITS,
        "row": (transpose_lanes(config) - 1).bit_length(), "count": count_bits(config), "last": 1})


def chunk_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A target and how to make its data: ``value`` if ``fill``, else operands from ``phase`` of the
    current beat on, those beyond its end from the next (``crosses``), rotated down by ``rotate``.
    ``drops`` beats are used up then."""
    phase = (config.bus_operands - 1).bit_length()
    return data.StructLayout({
        "target": target_layout(config), "fill": 1, "value": 32, "phase": phase, "rotate": phase,
        "crosses": 1, "drops": 2})
