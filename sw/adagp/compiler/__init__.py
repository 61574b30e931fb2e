"""From a ``torch.nn.Module`` to a memory image and programs."""

from .optimizer import SGD, Adam
from .feedback import FeedbackConfig
from .predictor import Predictor, PredictorConfig
from .program import CompileError, Purpose
from .training import Training, compile_training

__all__ = ["SGD", "Adam", "CompileError", "FeedbackConfig", "Predictor", "PredictorConfig", "Purpose", "Training", "compile_training"]
