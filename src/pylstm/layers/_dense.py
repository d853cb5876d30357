"""Dense and Dropout: layers that act on each step alone."""

from __future__ import annotations

from typing import Any

from pylstm import _checks, initializers
from pylstm._checks import Shape
from pylstm.layers._base import Layer
from pylstm.layers._plain import PlainLayer
from pylstm.layers._variables import Spec

_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "softmax")


class Dense(PlainLayer):
    """`activation(x @ kernel + bias)`, at every step if the input has steps.

    Input (rows, features) or (rows, steps, features); output the same with `units` features.
    Weights: kernel (features, units), bias (units,).

    Args:
        units: Number of outputs.
        activation: None, "linear", "relu", "tanh", "sigmoid" or "softmax".
        use_bias: Whether there is a bias.
        kernel_initializer: Initial kernel.
        bias_initializer: Initial bias.
        kernel_regularizer: Not supported; must be None. So for the arguments that follow it.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape` as in `Layer`.

    Raises:
        ValueError: unknown activation, a regularizer or constraint, a size below 1.

    >>> Dense(3, activation="relu").compute_output_shape((None, 5))
    (None, 3)
    """

    _ranks = (2, 3)
    _arguments = ("units", "activation", "use_bias", "kernel_initializer", "bias_initializer")

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: None = None,
        bias_regularizer: None = None,
        activity_regularizer: None = None,
        kernel_constraint: None = None,
        bias_constraint: None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        for argument, value in (
            ("kernel_regularizer", kernel_regularizer),
            ("bias_regularizer", bias_regularizer),
            ("kernel_constraint", kernel_constraint),
            ("bias_constraint", bias_constraint),
        ):
            _checks.unsupported(argument, value, (None,))
        self.units = _checks.positive_int("units", units)
        self.activation = (
            "linear"
            if activation is None
            else _checks.choice("activation", activation, _ACTIVATIONS)
        )
        self.use_bias = _checks.boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")

    def specs(self, input_shape: Shape) -> list[Spec]:
        features = _features(self, input_shape)
        found = [Spec("kernel", (features, self.units), self.kernel_initializer)]
        if self.use_bias:
            found.append(Spec("bias", (self.units,), self.bias_initializer))
        return found

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        _features(self, input_shape)
        return (*input_shape[:-1], self.units)


class Dropout(PlainLayer):
    """Sets a share of the inputs to 0 while training and scales the others up.

    Args:
        rate: The share, 0 <= rate <= 1.
        noise_shape: Not supported; must be None.
        seed: Seed of the masks; the model's if not given.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape` as in `Layer`.

    Raises:
        ValueError: `rate` out of range, or a `noise_shape`.
    """

    _arguments = ("rate", "seed")

    def __init__(
        self, rate: float, noise_shape: None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        _checks.unsupported("noise_shape", noise_shape, (None,))
        self.rate = _checks.number("rate", rate, 0.0, 1.0)
        self.seed = _checks.optional_seed("seed", seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


def _features(layer: Layer, input_shape: Shape) -> int:
    """Size of the last axis of an input with or without steps."""
    features = input_shape[-1] if len(input_shape) in (2, 3) else None
    if features is None:
        raise ValueError(
            f"layer {layer.name!r}: expected an input of shape (rows, features) or "
            f"(rows, steps, features), got {_checks.shape_text(input_shape)}"
        )
    return features
