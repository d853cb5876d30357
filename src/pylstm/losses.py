"""Losses: those of the engine, by Keras' names, and functions that bring their own gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _custom, _json, _overrides
from pylstm._configured import Configured
from pylstm._keras_names import no_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    LossFunction = Callable[..., tuple[float | np.floating[Any], NDArray[Any]]]
    Padding = Callable[[], NDArray[np.bool_]]

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "FunctionLoss",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "deserialize",
    "get",
    "serialize",
]


class Loss(Configured):
    """Base of all losses: the mean over rows and steps, as Keras' "sum_over_batch_size".

    Raises:
        ValueError: a `reduction` other than "sum_over_batch_size".
    """

    engine_name = ""
    sparse = False
    _arguments: tuple[str, ...] = ()

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        _checks.unsupported("reduction", reduction, ("sum_over_batch_size",))
        _checks.unsupported("dtype", dtype, (None,))
        self.name = self.engine_name if name is None else _checks.text("name", name)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, ready for JSON."""
        return {"name": self.name, "reduction": "sum_over_batch_size", **self._own_arguments()}

    def _own_arguments(self) -> dict[str, Any]:
        return {argument: getattr(self, argument) for argument in self._arguments}

    def expected_activation(self) -> str | None:
        """The activation that makes what the loss takes for y_pred; None if any number will do."""
        return None

    def check_targets(self, y: NDArray[Any], padding: Padding | None) -> None:
        """Raise ValueError if targets are not what the loss is defined for.

        Args:
            y: Of any shape, rows first; finite where there is no padding.
            padding: Gives (rows, steps), True where targets may be anything; None: nowhere.
        """

    def classes(self, outputs: int) -> int | None:
        """Number of classes that a model of so many outputs tells apart; None if it is open."""
        return outputs if outputs > 1 else None

    def engine_text(self) -> str:
        """The loss as the engine reads it."""
        return _json.dumps({"name": self.engine_name, **self._own_arguments()})


class MeanSquaredError(Loss):
    """Mean of (y_true - y_pred)²."""

    engine_name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """Mean of |y_true - y_pred|."""

    engine_name = "mean_absolute_error"


class _Crossentropy(Loss):
    _activation = "softmax"
    _arguments = ("from_logits", "label_smoothing")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        _checks.unsupported("axis", axis, (-1,))
        self.from_logits = _checks.boolean("from_logits", from_logits)
        self.label_smoothing = _checks.number("label_smoothing", label_smoothing, 0.0, 1.0)

    def expected_activation(self) -> str | None:
        return None if self.from_logits else self._activation


class CategoricalCrossentropy(_Crossentropy):
    """-Σ y_true log(y_pred), for targets that are distributions (one-hot or soft).

    Args:
        from_logits: Whether y_pred is before the softmax.
        label_smoothing: Share of each target spread evenly over all classes.
        axis: Must be -1.
        reduction: Must be "sum_over_batch_size".
        name: Of the object; in logs every loss is "loss".
        dtype: Must be None.
    """

    engine_name = "categorical_crossentropy"


class BinaryCrossentropy(_Crossentropy):
    """-(y log p + (1 - y) log(1 - p)), the mean over the outputs; for targets from 0 to 1.

    Args:
        from_logits: Whether y_pred is before the sigmoid.
        label_smoothing: Share of each target that becomes 1/2.
        axis: Must be -1.
        reduction: Must be "sum_over_batch_size".
        name: Of the object; in logs every loss is "loss".
        dtype: Must be None.
    """

    engine_name = "binary_crossentropy"
    _activation = "sigmoid"

    def check_targets(self, y: NDArray[Any], padding: Padding | None) -> None:
        """Raise ValueError, naming the first one, if a target is outside [0, 1]."""
        _checks.between("y", y, 0.0, 1.0, self.engine_name, padding)

    def classes(self, outputs: int) -> int | None:
        """One output stands for two classes."""
        return max(outputs, 2)


class SparseCategoricalCrossentropy(Loss):
    """-log(y_pred[y_true]), for integer labels.

    Args:
        from_logits: Whether y_pred is before the softmax.
        ignore_class: Not supported; must be None.
        reduction: Must be "sum_over_batch_size".
        axis: Must be -1.
        name: Of the object; in logs every loss is "loss".
        dtype: Must be None.
    """

    engine_name = "sparse_categorical_crossentropy"
    sparse = True
    _arguments = ("from_logits",)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        _checks.unsupported("ignore_class", ignore_class, (None,))
        _checks.unsupported("axis", axis, (-1,))
        self.from_logits = _checks.boolean("from_logits", from_logits)

    def expected_activation(self) -> str | None:
        """Softmax, unless it is told that there is none."""
        return None if self.from_logits else "softmax"

    def classes(self, outputs: int) -> int | None:
        """One for each output."""
        return outputs


class FunctionLoss(Loss):
    """A loss written in Python: `function(y_true, y_pred)` gives (loss, dloss/dy_pred).

    A function with a parameter `sample_weight` is given the weights of the batch too, (rows,) or
    (rows, steps), 0 at masked steps; None if all weigh 1. Any other has every step count. A batch
    whose loss or gradient is not finite is left out of training, with a warning.

    Args:
        function: Of y_true and y_pred; gives the mean over the batch and its gradient with respect
            to y_pred, of y_pred's shape.
        name: For files and messages; the function's own by default.

    Raises:
        TypeError: `function` is no function.
    """

    engine_name = "external"

    def __init__(self, function: LossFunction, name: str | None = None) -> None:
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"function: expected a function, got {function!r}")
        super().__init__(name=name or _custom.name_of(function))
        self.function = function
        self.takes_weights = _has_parameter(function, "sample_weight")

    def get_config(self) -> dict[str, Any]:
        """The name; a function cannot be written down."""
        return {"name": self.name}

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> tuple[float, NDArray[Any]]:
        """The loss and its gradient, of y_pred's shape and type.

        Raises:
            TypeError: the function gives no pair of a number and an array.
            ValueError: more than one number, or a gradient of another shape.
        """
        weights = {"sample_weight": sample_weight} if self.takes_weights else {}
        result = self.function(y_true, y_pred, **weights)
        if not isinstance(result, tuple) or len(result) != 2:
            size = f" of {len(result)}" if isinstance(result, tuple) else ""
            raise TypeError(
                f"loss: {self.name} must return (loss, gradient), a number and the gradient with "
                f"respect to y_pred, of its shape {y_pred.shape}; got {type(result).__name__}{size}"
            )
        value = _checks.returned(f"loss: {self.name}", result[0])
        if value.ndim:
            raise ValueError(
                f"loss: {self.name} returned a loss of shape {value.shape}, expected one number: "
                f"the mean over the batch"
            )
        loss = float(value)
        gradient = _checks.array("gradient", result[1])
        if gradient.shape != y_pred.shape:
            raise ValueError(
                f"loss: {self.name} returned a gradient of shape {gradient.shape}, "
                f"expected y_pred's {y_pred.shape}; y_true has {np.shape(y_true)}"
            )
        return loss, np.ascontiguousarray(gradient, dtype=y_pred.dtype)


def _has_parameter(function: LossFunction, name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of some builtins Python knows no signature
        return False


_CLASSES: dict[str, type[Loss]] = {
    c.engine_name: c
    for c in (
        CategoricalCrossentropy,
        SparseCategoricalCrossentropy,
        BinaryCrossentropy,
        MeanSquaredError,
        MeanAbsoluteError,
    )
}
_BY_NAME: dict[str, type[Loss]] = {
    **_CLASSES,
    **{c.__name__: c for c in _CLASSES.values()},
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
}


def get(identifier: object) -> Loss:
    """The loss that a name, a serialized dict, a Loss, its class or a function means.

    Raises:
        ValueError: unknown name; the nearest one is suggested.
        TypeError: anything else.

    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, type):
        if identifier not in _CLASSES.values():
            raise TypeError(f"loss: expected a loss, not its class {identifier.__name__}")
        identifier = identifier()
    if isinstance(identifier, Loss):
        if not isinstance(identifier, FunctionLoss) and identifier.engine_name not in _CLASSES:
            raise TypeError(
                f"loss: {type(identifier).__name__} is not one of the engine's; a loss of your own "
                f"is a function that returns loss and gradient"
            )
        _overrides.refuse("loss", identifier, _CLASSES.values())
        return identifier
    if isinstance(identifier, str):
        return deserialize({"class_name": identifier, "config": {}})
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        return FunctionLoss(identifier)
    raise TypeError(f"loss: expected a name, a Loss or a function, got {identifier!r}")


def serialize(loss: Loss) -> dict[str, Any]:
    """`loss` as {"class_name": …, "config": {…}}; a function as its name, beside "custom", and a
    subclass as what it inherits."""
    if isinstance(loss, FunctionLoss):
        return {"class_name": FunctionLoss.__name__, "custom": loss.name, "config": {}}
    kind = _CLASSES[loss.engine_name]
    return {"class_name": kind.__name__, "config": kind.get_config(loss)}


def deserialize(
    config: dict[str, Any], custom_objects: Mapping[str, LossFunction] | None = None
) -> Loss:
    """The loss of a serialized dict: of a class of this module, or a function in `custom_objects`.

    Raises:
        TypeError, ValueError: not such a dict, an unknown name, a function that is not given.
    """
    name, arguments = _checks.class_and_arguments("loss", config)
    if name == FunctionLoss.__name__:
        function = _custom.find_function("loss", config, custom_objects)
        return FunctionLoss(function, config["custom"])
    if name not in _BY_NAME:
        raise _checks.unknown("loss", name, filter(str.islower, _BY_NAME))
    return _BY_NAME[name].from_config(arguments)


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, (c.__name__ for c in _CLASSES.values()))
