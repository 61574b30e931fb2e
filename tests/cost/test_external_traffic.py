from dataclasses import replace

import pytest

from adagp.cost.array_size import ArraySize
from adagp.cost.dataflows import Dataflow
from adagp.cost.products import Work, lower
from adagp.cost.row_stationary import RowMapping
from adagp.cost.traffic import Traffic, external
from adagp.models import LayerShape
from adagp.spec.isa import Pass

SIZE = ArraySize(rows=4, columns=3)
CONVOLUTION = LayerShape(name="conv", kind="convolution", input=(2, 5, 6, 6), weight=(7, 5, 3, 3), output=(2, 7, 3, 3),
                         stride=(2, 2), padding=(1, 1), dilation=(1, 1))
X, W, Y = 2 * 5 * 36, 7 * 5 * 9, 2 * 7 * 9


def moved(works: tuple[Work, ...], **options) -> tuple[int, int]:
    traffics = [external(Dataflow.WEIGHT_STATIONARY, work, SIZE, **options).total() for work in works]
    total = sum(traffics, Traffic())
    return total.external_reads, total.external_writes


def test_every_tensor_is_moved_once_per_pass_where_it_fits():
    passes = lower(CONVOLUTION)
    for buffer in (None, 2 * (X + W + Y)):
        assert moved(passes[Pass.FORWARD], buffer_bytes=buffer) == (2 * (X + W), 2 * Y)
        assert moved(passes[Pass.INPUT_GRADIENT], buffer_bytes=buffer) == (2 * (Y + W), 2 * X)
        assert moved(passes[Pass.WEIGHT_GRADIENT], buffer_bytes=buffer, result_bytes=4) == (2 * (X + Y), 4 * W)


@pytest.mark.parametrize("dataflow", Dataflow)
def test_folds_move_tensors_again_where_they_do_not_fit(dataflow):
    work, = lower(CONVOLUTION)[Pass.FORWARD]
    mapping = RowMapping.of(work, SIZE)
    sources, matrices, sums = {
        Dataflow.WEIGHT_STATIONARY: (3, 1, 12),  # 7 filters in threes, 45 of a window in fours
        Dataflow.INPUT_STATIONARY: (1, 6, 12),   # 18 vectors in threes
        Dataflow.OUTPUT_STATIONARY: (3, 5, 1),   # 18 vectors in fours
        Dataflow.ROW_STATIONARY: (7, 1, 5)}[dataflow]
    if dataflow is Dataflow.ROW_STATIONARY:
        assert (mapping.filters_beside, mapping.channels_beside, mapping.strips) == (1, 1, 1)
    traffic = external(dataflow, work, SIZE, buffer_bytes=2 * (X + W + Y) - 1)
    assert traffic.external_reads == 2 * (sources * X + matrices * W) + 4 * (sums - 1) * Y
    assert traffic.external_writes == 4 * (sums - 1) * Y + 2 * Y


def test_stride_classes_fetch_the_gradient_of_the_output_again_where_it_does_not_fit():
    works = lower(CONVOLUTION)[Pass.INPUT_GRADIENT]
    alone = [external(Dataflow.OUTPUT_STATIONARY, replace(work, part=0), SIZE, buffer_bytes=1) for work in works]
    assert len(works) == 4
    assert sum(traffic.external_reads for traffic in alone) == sum(
        external(Dataflow.OUTPUT_STATIONARY, work, SIZE, buffer_bytes=1).external_reads for work in works)


@pytest.mark.parametrize("buffer", (0, -1, 1.5))
def test_buffer_without_room_is_refused(buffer):
    work, = lower(CONVOLUTION)[Pass.FORWARD]
    with pytest.raises(ValueError, match=f"buffer_bytes must be an integer of at least 1 or None, not {buffer}"):
        external(Dataflow.WEIGHT_STATIONARY, work, SIZE, buffer_bytes=buffer)
