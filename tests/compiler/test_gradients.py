"""How shares of a gradient come together, and which of them cost no instruction."""

import pytest
import torch
from torch import nn

from adagp.compiler.capture import capture
from adagp.compiler.gradients import GradientFlow, Share


class Block(nn.Module):
    """A residual block behind ``before``."""

    def __init__(self, before: nn.Module):
        super().__init__()
        self.stem, self.before, self.conv = nn.Conv2d(2, 4, 1), before, nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        x = self.before(self.stem(x))
        x = self.conv(x) + x
        return self.head(torch.flatten(x, 1))


def flow(model: nn.Module) -> GradientFlow:
    return GradientFlow(capture(model, (2, 4, 4)))


@pytest.mark.parametrize("before", [nn.Identity(), nn.ReLU()])
def test_gradient_of_a_sum_is_that_of_its_terms(before):
    plan = flow(Block(before))
    assert plan.owners == {"head": "head", "add": "add", "conv": "add", "stem": "stem"}
    assert plan.shares == {("head", 0): Share(addend=None, last=True), ("conv", 0): Share(addend="add", last=True)}


class LateSum(nn.Module):
    """The sum is the first reader of what comes out of a ReLU, so the last to give its share."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv, self.head = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(64, 3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(torch.flatten(self.conv(x + x), 1))


def test_sum_that_must_take_a_derivative_stores_its_share():
    plan = flow(LateSum())
    assert plan.shares["add", 1] == Share(addend="add", last=True) and ("add", 0) not in plan.shares
    assert plan.owners["stem"] == "stem"


def test_no_gradient_is_wanted_before_the_first_parameter():
    plan = flow(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(2, 4, 1), nn.Flatten(), nn.Linear(16, 3)))
    assert plan.owners.keys() == {"1", "3"} and plan.shares.keys() == {("3", 0)}
