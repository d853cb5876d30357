"""The network of a layer that is called on arrays by itself."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pylstm import _checks, _core, _json
from pylstm._checks import Shape
from pylstm._memory import check_room
from pylstm._runtime import draw_seed
from pylstm.layers._shapes import engine_shape, open_shape, steps_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Callee(Protocol):
    """What a call asks of a layer; `Layer` tells more of it."""

    token_ids: bool

    @property
    def built(self) -> bool: ...
    @property
    def held(self) -> list[NDArray[Any]] | None: ...
    @property
    def input_shape(self) -> Shape: ...
    @property
    def _computes_in(self) -> str: ...
    def check_array(self, shape: tuple[int, ...]) -> None: ...
    def compute_output_shape(self, input_shape: Shape) -> Shape: ...
    def build(self, input_shape: Shape) -> None: ...
    def get_weights(self) -> list[NDArray[Any]]: ...
    def call_config(self) -> dict[str, Any]: ...
    def _known(self) -> Any: ...
    def _forget(self) -> None: ...


def call_alone(
    layer: Callee,
    caller: Caller,
    x: Any,
    states: list[Any] | None,
    mask: Any,
    training: bool,
) -> list[NDArray[Any]]:
    """[output, final states …] of a layer for `x`; builds the layer if need be."""
    x = _checks.array("x", x)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"x: expected at least one row and one step, got shape {x.shape}")
    layer.check_array(x.shape)
    shape = open_shape(x.shape, layer.token_ids)
    layer.compute_output_shape(shape)
    dtype = layer._computes_in
    if mask is not None:
        mask = steps_mask(mask, x.shape)
    if states is not None:
        states = [np.asarray(state, dtype=dtype) for state in states]
    drawn = None
    if not layer.built:
        layer.build(shape)
        drawn = layer.held
    else:
        _checks.same_shape("x", x.shape, (*shape[:-1], layer.input_shape[-1]))
    try:
        config = {"class_name": layer._known().__name__, "config": layer.call_config()}
        called = Called(config, shape, dtype, layer.get_weights())
        return caller(called, x, states, mask, bool(training))
    except BaseException:
        if drawn is not None and layer.held is drawn:  # data that a call refuses decides nothing
            layer._forget()
        raise


class Called:
    """A layer as it is now: its configuration, the shape and type it is for, its weights."""

    __slots__ = ("config", "dtype", "shape", "weights")

    def __init__(
        self, config: dict[str, Any], shape: Shape, dtype: str, weights: list[NDArray[Any]]
    ) -> None:
        self.config, self.shape, self.dtype, self.weights = config, shape, dtype, weights


class _Idle:
    """A network that one call has at most, and the rows and steps that there was room for."""

    __slots__ = ("made_for", "network", "seen")

    def __init__(self, made_for: tuple[Any, ...], network: _core.Network) -> None:
        self.made_for, self.network, self.seen = made_for, network, (0, 0)


class Caller:
    """Networks of one layer; made anew if the layer's configuration or its input changes.

    A call has a network for itself: a signal handler that runs during the call, another thread, and
    a child forked meanwhile find it taken and make another one, where a lock would block them.
    """

    def __init__(self) -> None:
        self._idle: list[_Idle] = []
        self._calls = itertools.count(1)
        self._seed: int | None = None

    def __call__(
        self,
        layer: Called,
        x: NDArray[Any],
        states: list[NDArray[Any]] | None,
        mask: NDArray[Any] | None,
        training: bool,
    ) -> list[NDArray[Any]]:
        """[output, final states …] of `layer` for `x`."""
        taken = self._taken(layer)
        self._make_sure_of_room(taken, x)
        network = taken.network
        network.set_weights(layer.weights)
        if training:  # each call has dropout masks of its own
            if self._seed is None:
                self._seed = draw_seed()
            network.set_seed(self._seed)
            network.iterations = next(self._calls)
        found = network.call(x, states, mask, training)
        self._idle.append(taken)
        return found

    def _taken(self, layer: Called) -> _Idle:
        text = _json.dumps({"name": "call", "layers": [layer.config]})
        made_for = (text, layer.shape, layer.dtype)
        with contextlib.suppress(IndexError):
            while True:
                found = self._idle.pop()
                if found.made_for == made_for:
                    return found
        return _Idle(made_for, _core.Network(text, engine_shape(layer.shape), layer.dtype))

    def _make_sure_of_room(self, taken: _Idle, x: NDArray[Any]) -> None:
        """Look whether there is memory for a call on `x` if none was as large.

        Raises:
            MemoryError: there is not.
        """
        network, shape = taken.network, taken.made_for[1]
        size = (len(x), x.shape[1] if engine_shape(shape)[0] == -1 else 1)
        if min(size) < 1 or (size[0] <= taken.seen[0] and size[1] <= taken.seen[1]):
            return
        outputs = network.output_shape()
        values = size[0] * outputs[-1] * (size[1] if len(outputs) == 2 else 1)
        try:
            check_room(network, *size, "call", values * np.dtype(taken.made_for[2]).itemsize)
        except MemoryError:
            self._idle.append(taken)
            raise
        taken.seen = size
