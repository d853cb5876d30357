"""What holds for a model while other threads use it: changes alone, and one moment to be read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from pylstm import _core

BUSY = "the model is being trained"
_ATTEMPTS = 100  # another thread may make a step in each


class Shared(Protocol):
    """What is asked of a model."""

    _lock: AbstractContextManager[Any]

    def _enter(self) -> None: ...
    def _enter_idle(self) -> None: ...
    def _network(self) -> _core.Network: ...


Model = TypeVar("Model", bound=Shared)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def alone(
    method: Callable[Concatenate[Model, Arguments], Result],
) -> Callable[Concatenate[Model, Arguments], Result]:
    """A method that changes the layers or what they are trained with: one such at a time, and
    none while the model is trained, also not by its own thread."""

    @functools.wraps(method)
    def changed(self: Model, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with self._lock:
            self._enter_idle()
            return method(self, *args, **kwargs)

    return changed


def at_one_moment(model: Shared, read: Callable[[_core.Network], Result]) -> Result:
    """What `read` gives of the model's network, without a step of another thread in between.

    Raises:
        RuntimeError: another thread is training the model.
        ValueError: the model is not built.
    """
    with model._lock:
        for _ in range(_ATTEMPTS):
            model._enter()
            network = model._network()
            before = network.iterations
            found = read(network)
            if network.iterations == before and not network.trains_elsewhere:
                return found
    raise RuntimeError(BUSY)
