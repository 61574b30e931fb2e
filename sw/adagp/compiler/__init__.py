"""From a ``torch.nn.Module`` to a memory image and programs."""

from .optimizer import SGD, Adam
from .predictor import Predictor, PredictorConfig
from .program import CompileError
from .training import Training, compile_training

__all__ = ["SGD", "Adam", "CompileError", "Predictor", "PredictorConfig", "Training", "compile_training"]
