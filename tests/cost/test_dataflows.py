from itertools import product

import numpy as np
import pytest

from adagp.cost.array_size import PAPER_ARRAY, ArraySize
from adagp.cost.dataflows import Dataflow, cycles
from adagp.cost.products import Work, lower, stack
from adagp.cost.traffic import OPERAND_BYTES, SUM_BYTES, accesses
from adagp.cost.workloads import CLASSIFIERS, layers
from adagp.models import LayerShape
from adagp.spec.isa import Pass

from .systolic import output_stationary, weight_stationary

MATRICES = [dict(vectors=t, contraction=k, filters=n) for t, k, n in product((1, 3, 7), (1, 4, 9), (1, 5, 6))]
SIZES = [ArraySize(rows=rows, columns=columns) for rows, columns in ((1, 1), (3, 2), (4, 5))]


def matrix(vectors: int, contraction: int, filters: int, groups: int = 1) -> Work:
    return Work(groups=groups, images=1, filters=filters, channels=contraction, kernel_rows=1, kernel_columns=1, rows=1,
                columns=vectors, source=groups * vectors * contraction)


def simulated(dataflow: Dataflow, a: np.ndarray, b: np.ndarray, size: ArraySize):
    if dataflow is Dataflow.INPUT_STATIONARY:
        run = weight_stationary(b.T, a.T, size.rows, size.columns)
        run.result = run.result.T
        return run
    simulate = weight_stationary if dataflow is Dataflow.WEIGHT_STATIONARY else output_stationary
    return simulate(a, b, size.rows, size.columns)


SYSTOLIC = Dataflow.WEIGHT_STATIONARY, Dataflow.INPUT_STATIONARY, Dataflow.OUTPUT_STATIONARY


@pytest.mark.parametrize("dataflow", SYSTOLIC)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_cycles_and_accesses_are_those_of_an_array_that_moves_every_register(dataflow, size):
    random = np.random.default_rng(0)
    for shape in MATRICES:
        a = random.integers(-9, 9, (shape["vectors"], shape["contraction"])).astype(float)
        b = random.integers(-9, 9, (shape["contraction"], shape["filters"])).astype(float)
        run, work = simulated(dataflow, a, b, size), matrix(**shape)
        assert np.array_equal(run.result, a @ b)
        assert cycles(dataflow, work, size) == run.cycles
        moved, events = accesses(dataflow, work, size), run.events
        assert moved.multiply_accumulates == events["multiply"]
        assert moved.array == events["arrive operand"] * OPERAND_BYTES + events["arrive sum"] * SUM_BYTES
        assert moved.buffer_reads == events["read operand"] * OPERAND_BYTES + events["read sum"] * SUM_BYTES
        assert moved.buffer_writes == events["write sum"] * SUM_BYTES
        assert moved.register_reads == events["use operand"] * OPERAND_BYTES + events["use sum"] * SUM_BYTES
        assert moved.register_writes == events["keep operand"] * OPERAND_BYTES + events["keep sum"] * SUM_BYTES


@pytest.mark.parametrize("channels, cycle", ((3, 15_914), (64, 254_639)))
def test_figures_reported_by_scale_sim(channels, cycle):
    """Of SCALE-Sim 3.0.0 for one CIFAR image; it counts from 0."""
    layer = LayerShape(name="conv", kind="convolution", input=(1, channels, 32, 32), weight=(64, channels, 3, 3),
                       output=(1, 64, 32, 32), padding=(1, 1))
    work, = lower(layer)[Pass.FORWARD]
    assert cycles(Dataflow.WEIGHT_STATIONARY, work, PAPER_ARRAY) - 1 == cycle


def scale_sim(dataflow: Dataflow, layer: LayerShape, rows: int, columns: int) -> int:
    """Its forms in its own terms: pixels of the output, elements of a window, filters."""
    def parts(total: int, most: int) -> int:
        return total // most + (total % most > 0)

    if layer.kind == "linear":
        groups, window, filters, pixels = 1, layer.weight[1], layer.weight[0], layer.input[0]
    else:
        groups = layer.input[1] // layer.weight[1]
        window = layer.weight[1] * layer.weight[2] * layer.weight[3]
        filters = layer.output[1] // groups
        pixels = layer.output[0] * layer.output[2] * layer.output[3]
    if dataflow is Dataflow.WEIGHT_STATIONARY:
        return groups * parts(window, rows) * parts(filters, columns) * (2 * rows + columns + pixels - 2)
    if dataflow is Dataflow.INPUT_STATIONARY:
        return groups * parts(window, rows) * parts(pixels, columns) * (2 * rows + columns + filters - 2)
    return groups * parts(pixels, rows) * parts(filters, columns) * (rows + columns + window - 2)


@pytest.mark.parametrize("dataset", ("cifar10", "imagenet"))
@pytest.mark.parametrize("network", CLASSIFIERS)
def test_forward_passes_of_all_layers_take_what_scale_sim_says(dataset, network):
    shapes = layers(dataset, network, 1)
    assert {shape.kind for shape in shapes} == {"convolution", "linear"}
    works = stack([work for shape in shapes for work in lower(shape)[Pass.FORWARD]])
    for dataflow in SYSTOLIC:
        expected = [scale_sim(dataflow, shape, 12, 15) for shape in shapes]
        assert cycles(dataflow, works, PAPER_ARRAY).tolist() == expected


@pytest.mark.parametrize("dataflow", Dataflow)
def test_groups_follow_each_other(dataflow):
    if dataflow is Dataflow.ROW_STATIONARY:
        size = ArraySize(rows=1, columns=1)  # a larger one holds several groups
    else:
        size = PAPER_ARRAY
    assert cycles(dataflow, matrix(5, 6, 7, groups=3), size) == 3 * cycles(dataflow, matrix(5, 6, 7), size)


@pytest.mark.parametrize("dataflow", Dataflow)
def test_no_dataflow_beats_one_multiply_accumulate_per_element_and_cycle(dataflow):
    works = [work for shape in layers("cifar10", "mobilenetv2", 2) for passes in lower(shape).values() for work in passes]
    for size in (*SIZES, PAPER_ARRAY):
        assert (cycles(dataflow, stack(works), size) * size.elements >= stack(works).multiply_accumulates).all()


@pytest.mark.parametrize("dataflow", Dataflow)
def test_works_together_give_what_they_give_alone(dataflow):
    works = [work for shape in layers("cifar10", "mobilenetv2", 2)[:6] for passes in lower(shape).values() for work in passes]
    together = accesses(dataflow, stack(works), PAPER_ARRAY)
    assert cycles(dataflow, stack(works), PAPER_ARRAY).tolist() == [cycles(dataflow, work, PAPER_ARRAY) for work in works]
    for index, work in enumerate(works):
        alone = dict(accesses(dataflow, work, PAPER_ARRAY).items())
        assert {name: np.broadcast_to(value, len(works))[index] for name, value in together.items()} == alone


def test_unknown_dataflow_is_refused():
    with pytest.raises(ValueError, match="dataflow must be one of WS, RS, IS, OS, not 'XS'"):
        Dataflow("XS")
    with pytest.raises(ValueError, match="dataflow must be a Dataflow, not 'WS'"):
        cycles("WS", matrix(1, 1, 1), PAPER_ARRAY)


@pytest.mark.parametrize("rows, columns, name, value", ((0, 15, "rows", "0"), (12, -1, "columns", "-1"), (12, 1.5, "columns", "1.5")))
def test_array_without_elements_is_refused(rows, columns, name, value):
    with pytest.raises(ValueError, match=f"ArraySize.{name} must be an integer of at least 1, not {value}"):
        ArraySize(rows=rows, columns=columns)
