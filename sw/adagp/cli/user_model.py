"""Networks that users bring along."""

from importlib import import_module

from . import UserError


def user_model(name: str):
    """What the function PACKAGE:FUNCTION returns, a ``torch.nn.Module``; :class:`UserError`."""
    package, _, function = name.partition(":")
    try:
        return getattr(import_module(package), function)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"--model must be PACKAGE:FUNCTION, a function without arguments, not {name!r}: {error}") from error
