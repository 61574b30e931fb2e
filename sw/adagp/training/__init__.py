"""ADA-GP for any ``torch.nn.Module``: predictors, phases, controls and measures of quality."""

from adagp.spec.schedule import Adaptive, Phase, Row, Schedule

from .adagp import AdaGP
from .predictors import CONTROLS, PREDICTORS, LearnedFeedback, PaperPredictor, Predictor, RemappedPredictor
from .quality import Quality
