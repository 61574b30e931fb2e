"""Row stationary against an array that gets its rows one by one."""

from collections import Counter
from itertools import product

import pytest

from adagp.cost.array_size import PAPER_ARRAY, ArraySize
from adagp.cost.dataflows import Dataflow, cycles
from adagp.cost.products import Work
from adagp.cost.row_stationary import RowMapping
from adagp.cost.traffic import OPERAND_BYTES, SUM_BYTES, accesses

BASE = dict(groups=1, images=2, filters=3, channels=2, kernel_rows=3, kernel_columns=2, rows=4, columns=5, source=1)
WORKS = {
    "convolution": {}, "stride": dict(row_step=2, column_step=2), "stride beyond the kernel": dict(row_step=4, column_step=3),
    "dilation": dict(row_dilation=2, column_dilation=3, rows=3, kernel_rows=9), "tall kernel": dict(kernel_rows=11),
    "wide output": dict(rows=13, columns=1), "both folded": dict(kernel_rows=7, rows=11), "depthwise": dict(groups=5, filters=1, channels=1),
    "grouped": dict(groups=3, filters=2), "many channels": dict(channels=9, kernel_rows=1), "one pixel": dict(rows=1, columns=1),
    "many images": dict(images=7, filters=1, rows=1, kernel_rows=1)}
SIZES = [ArraySize(rows=rows, columns=columns) for rows, columns in ((1, 1), (3, 4), (6, 5), (7, 9))]


def parts(total: int, most: int) -> list[range]:
    """Equal runs, but for the last, as few as there can be of at most ``most``."""
    count = -(-total // most)
    length = -(-total // count)
    return [range(first, min(first + length, total)) for first in range(0, total, length)]


def runs(total: int, length: int) -> list[range]:
    return [range(first, min(first + length, total)) for first in range(0, total, length)]


def passes(work: Work, size: ArraySize):
    """For each pass, whether it begins a turn of the images, in which kernel rows stay, and what each element does:
    (row, column) → (group, image, filter, channel, kernel row, output row). Sets are put on the array one by one,
    as long as there is room."""
    kernel_parts, strips = parts(work.kernel_rows, size.rows), parts(work.rows, size.columns)
    height, width = len(kernel_parts[0]), len(strips[0])
    places = list(product(range(size.rows // height), range(size.columns // width)))
    above = len({up for up, _ in places})
    channels = min(above, work.channels)
    towers = [(up * channels, across) for across in range(size.columns // width) for up in range(above // channels)]
    filters = min(len(towers), work.filters)
    groups = min(len(towers) // filters, work.groups)
    images = min(len(towers) // (filters * groups), work.images)
    for group_run, filter_run, kernel_part, strip, channel_run in product(
            runs(work.groups, groups), runs(work.filters, filters), kernel_parts, strips, runs(work.channels, channels)):
        for image_run in runs(work.images, images):
            jobs = {}
            free = iter(towers)
            for slot in product(range(groups), range(filters), range(images)):
                up, across = next(free)
                if slot[0] >= len(group_run) or slot[1] >= len(filter_run) or slot[2] >= len(image_run):
                    continue
                for (level, channel), (down, kernel_row), (right, row) in product(
                        enumerate(channel_run), enumerate(kernel_part), enumerate(strip)):
                    element = (up + level) * height + down, across * width + right
                    assert element not in jobs and element[0] < size.rows and element[1] < size.columns
                    jobs[element] = group_run[slot[0]], image_run[slot[2]], filter_run[slot[1]], channel, kernel_row, row
            yield image_run.start == 0, jobs


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", WORKS)
def test_mapping_is_that_of_rows_put_on_the_array(name, size):
    work = Work(**(BASE | WORKS[name]))
    done, count, deliveries = Counter(), 0, Counter()
    kept, sums = {}, Counter()
    pixels = {column * work.column_step + tap * work.column_dilation
              for column in range(work.columns) for tap in range(work.kernel_columns)}
    for begins, jobs in passes(work, size):
        count += 1
        if begins:
            kept.clear()
        done.update(jobs.values())
        fresh = {}
        for element, (group, image, filter_, channel, kernel_row, row) in jobs.items():
            kernel = group, filter_, channel, kernel_row
            if kept.get(element) != kernel:
                kept[element] = kernel
                fresh.setdefault(kernel, []).append(element)
        deliveries["kernel rows read"] += len(fresh)
        deliveries["kernel rows arrived"] += sum(map(len, fresh.values()))
        deliveries["input rows arrived"] += len(jobs)
        deliveries["input rows read"] += len({
            (group, image, channel, row * work.row_step + kernel_row * work.row_dilation)
            for group, image, _, channel, kernel_row, row in jobs.values()})
        sums.update({(group, image, filter_, row) for group, image, filter_, _, _, row in jobs.values()})
    every = product(*map(range, (work.groups, work.images, work.filters, work.channels, work.kernel_rows, work.rows)))
    assert done == Counter(every)
    assert RowMapping.of(work, size).passes == count
    assert cycles(Dataflow.ROW_STATIONARY, work, size) == count * work.columns * work.kernel_columns

    moved, macs = accesses(Dataflow.ROW_STATIONARY, work, size), work.multiply_accumulates
    operands = {side: deliveries[f"kernel rows {side}"] * work.kernel_columns + deliveries[f"input rows {side}"] * len(pixels)
                for side in ("read", "arrived")}
    written, planes = sum(sums.values()) * work.columns, len(sums) * work.columns
    upwards = (done.total() - len(sums)) * work.columns
    assert moved.array == operands["arrived"] * OPERAND_BYTES + upwards * SUM_BYTES
    assert moved.buffer_reads == operands["read"] * OPERAND_BYTES + (written - planes) * SUM_BYTES
    assert moved.buffer_writes == written * SUM_BYTES
    assert moved.register_reads == macs * (2 * OPERAND_BYTES + SUM_BYTES)
    assert moved.register_writes == operands["arrived"] * OPERAND_BYTES + macs * SUM_BYTES


def test_elements_at_work_in_alexnet_as_eyeriss_says():
    """Chen et al., JSSC 2017: 154 of 168 elements in layer 1, 156 in layers 3 to 5."""
    eyeriss = ArraySize(rows=12, columns=14)
    for kernel, rows, channels, at_work in ((11, 55, 3, 154), (3, 13, 256, 156)):
        work = Work(**(BASE | dict(kernel_rows=kernel, rows=rows, channels=channels, filters=64)))
        mapping = RowMapping.of(work, eyeriss)
        assert mapping.set_rows * mapping.set_columns * mapping.channels_beside * mapping.filters_beside == at_work


def test_full_array_does_a_multiply_accumulate_per_element_and_cycle():
    work = Work(**(BASE | dict(kernel_rows=3, channels=8, rows=30, filters=2)))
    assert cycles(Dataflow.ROW_STATIONARY, work, PAPER_ARRAY) * PAPER_ARRAY.elements == work.multiply_accumulates
