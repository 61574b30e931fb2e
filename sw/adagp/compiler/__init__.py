"""From a ``torch.nn.Module`` to a memory image and programs."""

from .finish import SGD, Adam
from .predictor import Predictor, PredictorConfig
from .program import CompileError, Purpose
from .training import Training, compile_training

__all__ = ["SGD", "Adam", "CompileError", "Predictor", "PredictorConfig", "Purpose", "Training", "compile_training"]
