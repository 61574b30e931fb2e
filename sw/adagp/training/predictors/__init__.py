"""Predictors of gradients, and the controls that each has to beat."""

from collections.abc import Callable

from .controls import Skip, ZeroGradient, last_gradient, random_gradient
from .feedback import LearnedFeedback
from .paper import PaperPredictor
from .predictor import Prediction, Predictor
from .remapped import RemappedPredictor

PREDICTORS: dict[str, Callable[..., Predictor]] = {
    "paper": PaperPredictor, "remapped": RemappedPredictor, "feedback": LearnedFeedback}
"""By name; they take keyword options."""

CONTROLS: dict[str, Callable[[], Predictor]] = {
    "skip": Skip, "zero": ZeroGradient, "random": random_gradient, "last": last_gradient}
"""What Phase GP would be without a prediction."""
