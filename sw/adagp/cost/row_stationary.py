"""Row stationary, after Eyeriss (Chen et al., ISCA 2016): rows of kernels and of inputs stay in the elements."""

from dataclasses import dataclass

import numpy as np

from .array_size import ArraySize, folds
from .products import Count, Work


@dataclass(frozen=True, kw_only=True)
class RowMapping:
    """How the rows of a work lie on an array.

    An element convolves one row of a kernel with one row of a plane, to a row of partial sums: ``columns`` ×
    ``kernel_columns`` cycles. A *set* of elements, as high as the kernel and as wide as the output has rows, makes
    one output plane of one channel: kernel rows stay along its rows, input rows lie on its diagonals, partial sums
    move up its columns.

    - Folding: a set that is higher (wider) than the array is cut into equal parts of at most its height (width),
      ``kernel_folds`` (``strips``) of them, ``set_rows`` (``set_columns``) elements large.
    - Replication: sets above one another take as many different channels as there are (``channels_beside``), whose
      partial sums are added on the way up. Whatever room is left above, and all beside, takes other filters
      (``filters_beside``), then other groups, then other images.

    One such arrangement is a pass; ``passes`` of them follow each other, all images before the kernel rows in the
    elements change. The time to fill and empty the array is not counted, as Eyeriss overlaps it with the
    neighbouring passes. In the weight gradient, the gradient of the output is the kernel: its rows are what is
    folded, the kernel's rows lie along the columns.
    """

    set_rows: Count
    set_columns: Count
    kernel_folds: Count
    strips: Count
    channels_beside: Count
    filters_beside: Count
    groups_beside: Count
    images_beside: Count
    channel_folds: Count
    filter_folds: Count
    group_folds: Count
    image_folds: Count

    @classmethod
    def of(cls, work: Work, size: ArraySize) -> "RowMapping":
        kernel_folds, strips = folds(work.kernel_rows, size.rows), folds(work.rows, size.columns)
        set_rows, set_columns = folds(work.kernel_rows, kernel_folds), folds(work.rows, strips)
        above = size.rows // set_rows
        channels = np.minimum(above, work.channels)
        free = above // channels * (size.columns // set_columns)
        filters = np.minimum(free, work.filters)
        groups = np.minimum(free // filters, work.groups)
        images = np.minimum(free // (filters * groups), work.images)
        return cls(set_rows=set_rows, set_columns=set_columns, kernel_folds=kernel_folds, strips=strips,
                   channels_beside=channels, filters_beside=filters, groups_beside=groups, images_beside=images,
                   channel_folds=folds(work.channels, channels), filter_folds=folds(work.filters, filters),
                   group_folds=folds(work.groups, groups), image_folds=folds(work.images, images))

    @property
    def sum_folds(self) -> Count:
        """Passes that add to the same output."""
        return self.kernel_folds * self.channel_folds

    @property
    def passes(self) -> Count:
        return self.sum_folds * self.strips * self.filter_folds * self.group_folds * self.image_folds


def cycles(work: Work, size: ArraySize) -> Count:
    return RowMapping.of(work, size).passes * work.columns * work.kernel_columns
