"""Networks that users bring along."""

import os
import sys
from importlib import import_module
from inspect import signature

from . import UserError


def user_model(name: str):
    """What the function PACKAGE:FUNCTION returns, a ``torch.nn.Module``; :class:`UserError`. PACKAGE may also lie
    in the working directory."""
    from torch import nn

    package, _, function = name.partition(":")
    if os.getcwd() not in sys.path:  # where Python itself looks only when it is started as python -m
        sys.path.append(os.getcwd())
    try:
        make = getattr(import_module(package), function)
        signature(make).bind()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"--model must be PACKAGE:FUNCTION, a function without arguments, not {name!r}: {error}") from error
    model = make()
    if not isinstance(model, nn.Module):
        raise UserError(f"--model must return a torch.nn.Module, not {model!r}, which is what {name} does")
    return model
