"""LambdaCallback: a callback from functions."""

from __future__ import annotations

from collections.abc import Callable

from pylstm import _checks
from pylstm._callback import Callback


class LambdaCallback(Callback):
    """A callback from functions, given by the names of the methods they stand for.

    Args:
        functions: Each is called as the method of its name, without the callback; what it returns
            is not looked at. None: nothing is called.

    Raises:
        TypeError: a name that is not a callback's method, or something that is no function.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs["loss"]))
    """

    def __init__(self, **functions: Callable[..., object] | None) -> None:
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                known = [method for method in dir(Callback) if method.startswith("on_")]
                raise _checks.unexpected("LambdaCallback", [name], known)
            if function is not None and not callable(function):
                raise TypeError(f"{name}: expected a function, got {function!r}")
            if function is not None:
                setattr(self, name, function)
