import torch
from torch import nn

from adagp.models.mixed import Mixed, Unit


def test_branches_are_named_and_concatenated_in_their_order():
    block = Mixed(3, {
        "alone": [nn.AvgPool2d(3, 1, 1), Unit(2, 1)],
        "long": [Unit(4, 1), (Unit(5, (1, 3)), Unit(6, (3, 1))), Unit(7, 3)],
        "pooling": nn.MaxPool2d(3, 1, 1),
    }).eval()
    units = {name.removesuffix(".conv"): tuple(module.weight.shape) for name, module in block.named_modules()
             if isinstance(module, nn.Conv2d)}
    assert units == {"alone": (2, 3, 1, 1), "long_1": (4, 3, 1, 1), "long_2a": (5, 4, 1, 3), "long_2b": (6, 4, 3, 1),
                     "long_3": (7, 11, 3, 3)}
    x = torch.randn(2, 3, 5, 5)
    alone, long, pooled = block(x).split([2, 7, 3], 1)
    assert pooled.equal(nn.functional.max_pool2d(x, 3, 1, 1))
    assert alone.equal(block.alone(nn.functional.avg_pool2d(x, 3, 1, 1)))
    middle = block.long_1(x)
    assert long.equal(block.long_3(torch.cat([block.long_2a(middle), block.long_2b(middle)], 1)))


def test_an_unpadded_unit_loses_the_border():
    with torch.device("meta"):
        assert Unit(2, 3, stride=2, padded=False).after(1)(torch.empty(1, 1, 9, 9)).shape == (1, 2, 4, 4)
        assert Unit(2, (1, 7)).after(1)(torch.empty(1, 1, 9, 9)).shape == (1, 2, 9, 9)
