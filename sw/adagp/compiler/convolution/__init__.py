"""The three passes of a convolution on the array: forward, input gradient, weight gradient.

A linear layer is a 1×1 convolution of 1×1 images. Each pass gives its results as tiles in the
vector memory to ``consume``, which finishes them with the vector unit and stores them.
"""

from .forward import forward
from .input_gradient import input_gradient
from .tiling import Consume, column_tiles
from .weight_gradient import weight_gradient

__all__ = ["Consume", "column_tiles", "forward", "input_gradient", "weight_gradient"]
