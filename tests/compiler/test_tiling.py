"""How passes are cut: everything is covered once, and what is chosen fits."""

from collections import Counter

import pytest

from adagp.compiler.convolution.tiling import blocks, evenly, pixel_tilings
from adagp.compiler.network import Convolution


@pytest.mark.parametrize("total", (1, 2, 7, 16, 45, 512))
@pytest.mark.parametrize("most", (1, 3, 16, 100))
@pytest.mark.parametrize("unit", (1, 5, 16))
def test_parts_cover_the_total_and_are_no_larger_than_allowed(total, most, unit):
    parts = evenly(total, most, unit)
    assert [n for first, count in parts for n in range(first, first + count)] == list(range(total))
    assert all(count <= most for _, count in parts)
    if unit <= most < total:
        assert all(count % unit == 0 for _, count in parts[:-1])


@pytest.mark.parametrize("images, rows, step", [(1, 1, 1), (3, 7, 1), (8, 4, 2), (5, 9, 3), (2, 2, 3)])
def test_tilings_cover_every_row_once_from_large_tiles_to_small(images, rows, step):
    sizes = []
    for tiles in pixel_tilings(images, rows, step):
        seen = Counter((image, row) for tile in tiles for image in range(tile.first, tile.first + tile.count)
                       for row in range(tile.row, tile.row + tile.rows))
        assert seen == {(image, row): 1 for image in range(images) for row in range(rows)}
        assert all(tile.row % step == 0 for tile in tiles)
        sizes.append(tiles[0].count * tiles[0].rows)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == images * rows
    assert sizes[-1] == min(step, rows)


def test_blocks_are_of_the_size_that_costs_least_and_cover_all_groups():
    layer = Convolution(name="conv", image=(4, 4, 34), channels=51, kernel=(3, 3), groups=17)
    for cheapest in (1, 3, 8):
        made = blocks(layer, 8, lambda n: n / 100 if n == cheapest else n)
        assert made[0].groups == cheapest
        assert sum(block.groups for block in made) == 17
        assert [(b.channel, b.output) for b in made] == [(2 * g, 3 * g) for g in range(0, 17, cheapest)]
        assert all((b.channels, b.outputs) == (2 * b.groups, 3 * b.groups) for b in made)
