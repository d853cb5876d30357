"""Metrics: numbers reported beside the loss.

The engine counts accuracies as it runs, and beside a loss with targets of the same kind squared and
absolute errors: in `fit` those of the outputs that the loss sees, with dropout. A metric written in
Python, a `Metric` or a function, needs the predictions of each batch: while training they are
computed once more, before the update and without dropout.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _custom, _overrides
from pylstm._configured import Configured
from pylstm._keras_names import no_attribute
from pylstm._warnings import warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    MetricFunction = Callable[[NDArray[Any], NDArray[Any]], Any]

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "FunctionMetric",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Perplexity",
    "SparseCategoricalAccuracy",
    "deserialize",
    "get",
    "serialize",
]


class Named(Configured):
    """Base of everything that `compile(metrics=…)` takes: it has a name in logs."""

    _default_name = "metric"
    _direction: str | None = None
    """Whether higher values are better, "up", or lower ones, "down"; callbacks ask, as in Keras."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        _checks.unsupported("dtype", dtype, (None,))
        self.name = self._default_name if name is None else _checks.text("name", name)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}


class Metric(Named, ABC):
    """Base of metrics written in Python; a subclass defines the three methods, and calls
    `super().__init__(name)` if it has an `__init__` of its own. `load_model` makes it of what its
    `get_config` gave, {"name": name} unless it gives more.

    Raises:
        TypeError: the subclass lacks one of them.

    >>> class Largest(Metric):
    ...     def reset_state(self):
    ...         self.value = 0.0
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value = max(self.value, abs(y_pred - y_true).max())
    ...     def result(self):
    ...         return self.value
    >>> metric = Largest("largest")
    >>> metric.reset_state()
    >>> metric.update_state(np.zeros(2), np.array([0.5, -2.0]))
    >>> float(metric.result())
    2.0
    """

    @abstractmethod
    def reset_state(self) -> None:
        """Begin a new pass."""

    @abstractmethod
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in one batch; `sample_weight` is its mask (rows, steps), if there is one."""

    @abstractmethod
    def result(self) -> float:
        """The value over the batches since `reset_state`."""


class FunctionMetric(Metric):
    """The mean over rows of `function(y_true, y_pred)`: a number, or one for each row, each step
    or each output. Its name in logs is `name`, or that of the function.

    Raises:
        TypeError: `function` is no function.
    """

    def __init__(self, function: MetricFunction, name: str | None = None) -> None:
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"function: expected a function, got {function!r}")
        super().__init__(name or _custom.name_of(function))
        self.function, self._warned = function, False
        self.reset_state()

    def reset_state(self) -> None:
        """Begin a new mean."""
        self._sum = self._count = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in the rows of one batch; masked steps do not count where there is a value a step.

        Raises:
            TypeError: the function gives no numbers.
            ValueError: it gives an array of another shape.
        """
        shape = y_pred.shape
        values = _checks.returned(f"metrics: {self.name}", self.function(y_true, y_pred))
        coarse = sample_weight is not None and values.ndim < sample_weight.ndim
        if coarse and not self._warned and not sample_weight.all():
            self._warned = True
            place = "row" if values.ndim else "batch"
            warn(
                f"metrics: {self.name} returns one number for a {place}, so steps that are padding "
                f"count; return one for each step",
            )
        if values.ndim == 0:
            self._sum += float(values) * len(y_pred)
            self._count += len(y_pred)
            return
        if values.shape not in (shape[:1], shape[:-1], shape):
            expected = dict.fromkeys([shape[:1], shape[:-1], shape])
            raise ValueError(
                f"metrics: {self.name} returned an array of shape {values.shape}, expected a "
                f"number or one of the shapes {', '.join(map(str, expected))}"
            )
        if sample_weight is not None and not coarse:
            values = values[sample_weight]
        self._sum += float(values.sum(dtype=np.float64))
        self._count += values.size

    def result(self) -> float:
        """The mean so far."""
        return self._sum / self._count if self._count else 0.0


class _MeanError(FunctionMetric):
    """A mean of errors, which the engine counts where the loss has the same targets."""

    _direction = "down"

    def in_engine(self) -> EngineMetric | None:
        """The same, counted by the engine; None of a subclass, which may count in its own way."""
        return _CountedByEngine(self) if type(self) in _CLASSES.values() else None


class MeanSquaredError(_MeanError):
    """Mean of (y_true - y_pred)²."""

    _default_name = "mean_squared_error"

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        _checks.unsupported("dtype", dtype, (None,))
        super().__init__(_squared_error, name or self._default_name)


class MeanAbsoluteError(_MeanError):
    """Mean of |y_true - y_pred|."""

    _default_name = "mean_absolute_error"

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        _checks.unsupported("dtype", dtype, (None,))
        super().__init__(_absolute_error, name or self._default_name)


def _squared_error(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Any:
    return np.square(np.subtract(y_true, y_pred, dtype=np.float64)).mean(axis=-1)


def _absolute_error(y_true: NDArray[Any], y_pred: NDArray[Any]) -> Any:
    return np.abs(np.subtract(y_true, y_pred, dtype=np.float64)).mean(axis=-1)


class EngineMetric(Named):
    """A metric that the engine counts."""

    _direction = "up"

    def engine_name(self, sparse: bool, binary: bool) -> str:
        """The engine's name of it: `sparse` targets are labels, `binary` ones a single output."""
        return self._default_name

    def take(self, total: float, count: float) -> None:
        """The engine's sums of a pass so far, for a metric that others look at."""

    def in_python(self) -> Metric:
        """The same for a loss written in Python, where the engine does not count."""
        return _CountedInPython(self, self._hits)

    def _hits(self, y_true: NDArray[Any], y_pred: NDArray[Any]) -> Any:
        single = y_pred.shape[-1] == 1
        sparse = y_true.ndim < y_pred.ndim or y_true.shape[-1] < y_pred.shape[-1]
        kind = self.engine_name(sparse and not single, single)
        if kind == "binary_accuracy":
            if single and y_true.ndim < y_pred.ndim:
                y_true = y_true[..., None]
            return (y_true == (y_pred > 0.5)).mean(axis=-1)
        sparse = sparse or kind == "sparse_categorical_accuracy"
        labels = y_true if sparse else y_true.argmax(axis=-1)
        return labels.reshape(y_pred.shape[:-1]) == y_pred.argmax(axis=-1)


class _CountedInPython(FunctionMetric):
    """A metric of the engine where the engine does not count."""

    def __init__(self, metric: EngineMetric, hits: MetricFunction) -> None:
        super().__init__(hits, metric.name)
        self.metric = metric


class _CountedByEngine(EngineMetric):
    """A mean of errors where the engine counts it."""

    def __init__(self, metric: _MeanError) -> None:
        super().__init__(metric.name)
        self.metric = metric

    def engine_name(self, sparse: bool, binary: bool) -> str:
        """The engine's name of it."""
        return self.metric._default_name

    def in_python(self) -> Metric:
        """The metric itself."""
        return self.metric

    def take(self, total: float, count: float) -> None:
        """The engine's sums of a pass become those of the metric."""
        self.metric._sum, self.metric._count = total, count


class Accuracy(EngineMetric):
    """Accuracy that fits the targets: binary for one output, sparse for labels, or categorical."""

    _default_name = "accuracy"

    def engine_name(self, sparse: bool, binary: bool) -> str:
        """The accuracy that fits the targets."""
        if binary and not sparse:
            return "binary_accuracy"
        return "sparse_categorical_accuracy" if sparse else "categorical_accuracy"


class BinaryAccuracy(EngineMetric):
    """Share of outputs that, as 1 above 0.5 and else 0, equal their target."""

    _default_name = "binary_accuracy"

    def __init__(self, name: str | None = None, dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        _checks.unsupported("threshold", threshold, (0.5,))


class CategoricalAccuracy(EngineMetric):
    """Share of predictions whose largest output is the largest of the target."""

    _default_name = "categorical_accuracy"


class SparseCategoricalAccuracy(EngineMetric):
    """Share of predictions whose largest output is that of the label."""

    _default_name = "sparse_categorical_accuracy"


class Perplexity(Named):
    """exp(loss), its weights included, of a categorical crossentropy: equally likely choices."""

    _default_name = "perplexity"
    _direction = "down"


_CLASSES: dict[str, type[Named]] = {
    "accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "perplexity": Perplexity,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
}
_ALIASES: dict[str, type[Named]] = {
    "acc": Accuracy,
    **dict.fromkeys(("mse", "MSE"), MeanSquaredError),
    **dict.fromkeys(("mae", "MAE"), MeanAbsoluteError),
}
_BY_CLASS: dict[str, type[Named]] = {c.__name__: c for c in _CLASSES.values()}
_USABLE: tuple[type[Named], ...] = (Metric, _CountedByEngine, *_CLASSES.values())  # are counted


def get(identifier: object) -> Named:
    """The metric that a name, a serialized dict, a metric, its class or a function means.

    Raises:
        ValueError: unknown name; the nearest one is suggested.
        TypeError: anything else; a class that nothing counts, as `Named` and `EngineMetric` are.

    >>> get("acc").name
    'acc'
    """
    if isinstance(identifier, type):
        identifier = _made(identifier)
    if isinstance(identifier, Named):
        _check_own(identifier)
        return identifier
    if isinstance(identifier, str):
        kind = _CLASSES.get(identifier) or _ALIASES.get(identifier)
        if kind is not None:
            return kind(name=identifier)
        return deserialize({"class_name": identifier, "config": {}})
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        return FunctionMetric(identifier)
    raise TypeError(f"metrics: expected a name, a Metric or a function, got {identifier!r}")


def _check_own(metric: Named) -> None:
    kind = type(metric).__name__
    if not isinstance(metric, _USABLE):
        raise TypeError(f"metrics: expected one of pylstm's or a metrics.Metric, got a {kind}")
    if not isinstance(metric, Metric):
        _overrides.refuse("metrics", metric, _CLASSES.values())
    if "name" not in vars(metric):
        raise TypeError(f"metrics: {kind}.__init__ must call super().__init__(name)")
    try:
        if isinstance(metric, Metric):
            inspect.signature(metric.update_state).bind(None, None, None)
    except TypeError:
        expected = "(y_true, y_pred, sample_weight=None)"
        raise TypeError(f"metrics: {kind}.update_state must take {expected}") from None


def _made(kind: type) -> Named:
    """A metric of a class that needs no arguments."""
    name = kind.__name__
    if issubclass(kind, _USABLE) and kind not in (Metric, FunctionMetric):
        try:
            return kind()
        except TypeError as error:
            raise TypeError(f"metrics: {name} is a class; give a metric: {error}") from error
    raise TypeError(f"metrics: expected a metric, not the class {name}")


def given(metric: Named) -> Named:
    """The metric that `compile` was given, of the one that counts in its place."""
    return metric.metric if isinstance(metric, _CountedInPython | _CountedByEngine) else metric


def serialize(metric: Named) -> dict[str, Any]:
    """`metric` as {"class_name": …, "config": {…}}; a function of the user as the metric's name,
    a class of theirs as its own, beside "custom"."""
    metric = given(metric)
    kind, config = type(metric), metric.get_config()
    if kind in _CLASSES.values():
        return {"class_name": kind.__name__, "config": config}
    if kind is FunctionMetric:
        return {"class_name": kind.__name__, "custom": metric.name, "config": config}
    return {"class_name": Metric.__name__, "custom": kind.__name__, "config": config}


def deserialize(
    config: dict[str, Any], custom_objects: Mapping[str, Callable[..., Any]] | None = None
) -> Named:
    """The metric of a serialized dict: of a class here, or what `custom_objects` has for its name.

    Raises:
        TypeError, ValueError: not such a dict, an unknown name, one of the user's that is not
            given, or that is not made of what the dict has for it.
    """
    name, arguments = _checks.class_and_arguments("metrics", config)
    if name == FunctionMetric.__name__:
        function = _custom.find_function("metrics", config, custom_objects)
        return FunctionMetric(function, config["custom"])
    if name == Metric.__name__:
        kind = _custom.find_class("metrics", config, custom_objects, _USABLE)
        return _custom.made_of(kind, arguments)
    if name not in _BY_CLASS:
        raise _checks.unknown("metrics", name, [*_CLASSES, *_ALIASES])
    return _BY_CLASS[name].from_config(arguments)


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, (c.__name__ for c in _CLASSES.values()))
