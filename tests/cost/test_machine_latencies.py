"""The model's latencies are those of the hardware."""

import pytest

from adagp.cost.machine import latencies
from adagp.cost.machine.load_writes import TRANSFERS
from adagp.cost.machine.transfers import block_columns
from adagp.spec.config import PRESETS
from adagp_hdl.arithmetic.adder import FloatAdder
from adagp_hdl.arithmetic.multiplier import FloatMultiplier
from adagp_hdl.array.accumulator import Accumulator
from adagp_hdl.array.element import ProcessingElement
from adagp_hdl.array.engine import ArrayEngine
from adagp_hdl.control import queue
from adagp_hdl.load import engine as load_engine
from adagp_hdl.load import layouts
from adagp_hdl.memory.operand import OperandMemory
from adagp_hdl.memory.vector import VectorMemory
from adagp_hdl.vector.unit import VectorUnit


def test_components_have_the_latencies_of_the_model():
    assert (OperandMemory.LATENCY, VectorMemory.LATENCY, FloatAdder.LATENCY, FloatMultiplier.LATENCY) == (
        latencies.OPERAND_READ, latencies.VECTOR_READ, latencies.ADDER, latencies.MULTIPLIER)
    assert ProcessingElement.PRODUCT_LATENCY == latencies.PRODUCT
    assert Accumulator.latency(VectorMemory.LATENCY) == latencies.ACCUMULATOR
    assert VectorUnit.LATENCY == latencies.VECTOR_UNIT


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (12, 15), (128, 3)])
def test_array_takes_as_long(rows, columns):
    assert ArrayEngine.latency(rows, columns) == latencies.array(rows, columns)


def test_queues_have_the_same_depths():
    assert queue.IN_FLIGHT == latencies.IN_FLIGHT and load_engine.TRANSFERS == TRANSFERS


@pytest.mark.parametrize("name", PRESETS)
def test_blocks_to_transpose_are_as_wide(name):
    assert layouts.block_columns(PRESETS[name]) == block_columns(PRESETS[name])
