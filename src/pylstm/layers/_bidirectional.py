"""Bidirectional: an LSTM that reads forward and one that reads backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _overrides
from pylstm._checks import Shape
from pylstm.layers._lstm import LSTM
from pylstm.layers._recurrent import Recurrent
from pylstm.layers._variables import Spec, first_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm.layers._base import Layer

_MERGE_MODES = ("concat", "sum", "mul", "ave")


class Bidirectional(Recurrent):
    """Two LSTMs over the same input, one in each direction, and their outputs merged.

    Input (rows, steps, features). With `return_sequences` the outputs of a step stand together;
    without it the last processed output of each direction is merged. Weights: those of the forward
    layer, then those of the backward layer. `forward_layer` and `backward_layer` are its two LSTMs:
    they have their weights, and are trained if they and the Bidirectional are trainable. Setting
    its `trainable` sets theirs, as in Keras.

    Args:
        layer: The LSTM to double; it is copied.
        merge_mode: "concat", "sum", "mul", "ave"; None gives both outputs, only when the layer is
            called on arrays.
        weights: Initial weights, forward then backward.
        backward_layer: An LSTM with `go_backwards=True` to use in place of a copy.
        **kwargs: `name`, `trainable`, `dtype` (that of `layer` if not given), `input_shape` as in
            `Layer`.

    Raises:
        TypeError: `layer` or `backward_layer` is not an LSTM.
        ValueError: unknown `merge_mode`; directions, outputs or dtypes of the layers do not fit.

    >>> Bidirectional(LSTM(8)).compute_output_shape((None, 10, 3))
    (None, 16)
    """

    directions = 2
    _ranks = (3,)
    _arguments = ("layer", "merge_mode", "backward_layer")
    _inside = ("forward_layer", "backward_layer", "return_sequences", "return_state", "stateful")
    _fixed = ("name", "dtype", *_inside)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "trainable" and "backward_layer" in self.__dict__:
            self.forward_layer.trainable = self.backward_layer.trainable = value

    def __init__(
        self,
        layer: LSTM,
        merge_mode: str | None = "concat",
        weights: list[Any] | None = None,
        backward_layer: LSTM | None = None,
        **kwargs: Any,
    ) -> None:
        layer = _inner("layer", layer)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = layer.dtype
        super().__init__(**kwargs)
        if self.declared_shape is None:
            self.declared_shape = layer.declared_shape
        if merge_mode is not None:
            _checks.choice("merge_mode", merge_mode, _MERGE_MODES)
        self.merge_mode = merge_mode
        backward = layer if backward_layer is None else _inner("backward_layer", backward_layer)
        self.forward_layer = _direction(layer, "forward", layer.go_backwards)
        self.backward_layer = _direction(
            backward,
            "backward",
            backward.go_backwards if backward_layer is not None else not layer.go_backwards,
        )
        _check_pair(self.forward_layer, self.backward_layer)
        for argument, inner in (("layer", layer), ("backward_layer", backward)):
            if inner.dtype not in (None, self.dtype):
                raise ValueError(
                    f"{argument}: dtype {inner.dtype} differs from the Bidirectional's "
                    f"{self.dtype or 'float32'}"
                )
        for inner in (self.forward_layer, self.backward_layer):
            inner._attach(self, None)
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.stateful = layer.stateful
        if weights is not None:
            if self.declared_shape is None:
                raise ValueError("weights: they need an input_shape as well; or use set_weights")
            self._take_shape(self.declared_shape)
            self.set_weights(weights)

    @property
    def several_outputs(self) -> bool:
        """Whether a call gives a list: outputs that are not merged, or states."""
        return self.return_state or self.merge_mode is None

    @property
    def reads_backward(self) -> bool:
        """Always: one of its layers does."""
        return True

    def get_config(self) -> dict[str, Any]:
        base = {"name": self.name, "trainable": self.trainable}
        if self.dtype is not None:
            base["dtype"] = self.dtype
        forward, backward = (
            {"class_name": "LSTM", "config": inner.get_config()}
            for inner in (self.forward_layer, self.backward_layer)
        )
        return {
            **base,
            "layer": forward,
            "merge_mode": self.merge_mode,
            "backward_layer": backward,
        }

    def call_config(self) -> dict[str, Any]:
        # The engine knows merged outputs only: two outputs are the halves of a concatenation.
        return {**self._known_config(), "merge_mode": self.merge_mode or "concat"}

    def specs(self, input_shape: Shape) -> list[Spec]:
        return [
            Spec(f"{direction}/{spec.name}", spec.shape, spec.initializer)
            for direction, inner in (
                ("forward_layer", self.forward_layer),
                ("backward_layer", self.backward_layer),
            )
            for spec in inner.specs(input_shape)
        ]

    def trainable_flags(self) -> list[bool]:
        return [
            self.trainable and flag
            for inner in (self.forward_layer, self.backward_layer)
            for flag in inner.trainable_flags()
        ]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape = self.forward_layer.compute_output_shape(input_shape)
        if self.merge_mode == "concat":
            return (*shape[:-1], 2 * self.forward_layer.units)
        return shape

    def _draw_weights(self, seed: int, place: int) -> list[NDArray[Any]]:
        drawn: list[NDArray[Any]] = []
        for inner in (self.forward_layer, self.backward_layer):
            # A copy has its original's seed: counting on keeps the two directions apart.
            own, start = (seed, first_stream(place)) if inner.seed is None else (inner.seed, 0)
            for spec in inner.specs(self.input_shape):
                values = spec.initializer.draw(spec.shape, own, start + len(drawn))
                drawn.append(values.astype(self._computes_in))
        return drawn

    def __call__(
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The layer applied to an array.

        Args:
            x: (rows, steps, features).
            initial_state: [h, c] of the forward layer, then [h, c] of the backward layer.
            mask: (rows, steps), False at steps to leave out.
            training: Turn dropout on.

        Returns:
            The merged output, two outputs if `merge_mode` is None; with `return_state` a list
            with the four final states after it.

        Raises:
            ValueError: an array of the wrong shape.
        """
        merged, *states = self._call_from(x, initial_state, mask, training)
        outputs = [merged] if self.merge_mode else np.split(merged, 2, axis=-1)
        if self.return_state:
            return [*outputs, *states]
        return outputs[0] if self.merge_mode else outputs

    def _take_shape(self, input_shape: Shape | None) -> None:
        super()._take_shape(input_shape)
        for inner in (self.forward_layer, self.backward_layer):
            inner._take_shape(input_shape)

    def _span(self, inner: Layer) -> slice:
        """Where the weights of one direction stand."""
        half = len(inner.specs(inner.input_shape))
        return slice(0, half) if inner is self.forward_layer else slice(half, 2 * half)

    def _layer_weights(self, inner: Layer) -> list[NDArray[Any]]:
        return self.get_weights()[self._span(inner)]

    def _set_layer_weights(self, inner: Layer, weights: list[NDArray[Any]]) -> None:
        everything = self.get_weights()
        everything[self._span(inner)] = weights
        self.set_weights(everything)

    def _reset_state_of(self, inner: Layer) -> None:
        self.reset_state()

    def _states(self, states: Any, rows: int) -> list[NDArray[Any]]:
        if not isinstance(states, list | tuple) or len(states) != 4:
            raise ValueError(
                f"initial_state: expected [h, c, h, c], two arrays a direction; got "
                f"{_checks.described(states)}"
            )
        return [
            *self.forward_layer._states(states[:2], rows),
            *self.backward_layer._states(states[2:], rows),
        ]


def _inner(argument: str, layer: Any) -> LSTM:
    """`layer` as an LSTM; a dict is what `get_config` wrote."""
    if isinstance(layer, dict):
        name, config = layer.get("class_name"), layer.get("config")
        if name != "LSTM" or not isinstance(config, dict):
            raise ValueError(
                f"{argument}: expected the configuration of an LSTM, got class_name {name!r}, "
                f"config {_checks.described(config)}"
            )
        return LSTM.from_config(config)
    if not isinstance(layer, LSTM):
        got = f"the class {layer.__name__}" if isinstance(layer, type) else type(layer).__name__
        raise TypeError(f"{argument}: expected a pylstm.layers.LSTM, got {got}")
    _overrides.refuse("layer", layer, [LSTM])
    return layer


def _direction(layer: LSTM, direction: str, go_backwards: bool) -> LSTM:
    """A copy of `layer` for one direction, without weights."""
    config = layer._known_config()
    if not layer.name.startswith(f"{direction}_"):
        config["name"] = f"{direction}_{layer.name}"
    config["go_backwards"] = go_backwards
    if layer.return_sequences:
        config["zero_output_for_mask"] = True  # the two directions hold at different steps
    return LSTM.from_config(config)


def _check_pair(forward: LSTM, backward: LSTM) -> None:
    if forward.go_backwards == backward.go_backwards:
        raise ValueError("backward_layer: go_backwards must differ from that of layer")
    for setting in ("units", "use_bias", "return_sequences", "return_state", "stateful"):
        if getattr(forward, setting) != getattr(backward, setting):
            raise ValueError(f"backward_layer: {setting} must be the same as in layer")
