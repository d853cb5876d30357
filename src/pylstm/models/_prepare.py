"""From a user's arguments to checked batches. Nothing is trained before everything is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pylstm import _checks, _core, _targets
from pylstm._checks import Shape
from pylstm.layers._recurrent import Recurrent
from pylstm.models._data import (
    ArraySource,
    BatchSource,
    Rows,
    Source,
    is_batches,
    split_item,
    weights_of_classes,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pylstm.layers import Layer
    from pylstm.losses import Loss, Padding
    from pylstm.models._compiled import Compiled
    from pylstm.models._estimated import Estimated

BATCH_SIZE = 32
BUDGET_MS = 50.0  # the engine returns at least this often, for the bar and for Ctrl-C


class FitData:
    """The arguments of `fit` that say which batches there are."""

    def __init__(
        self,
        *,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        batch_size: int | None,
        shuffle: bool,
        steps: int | None,
        validation_split: float,
        validation_data: Any,
        validation_steps: int | None,
        validation_batch_size: int | None,
    ) -> None:
        self.x, self.y = x, y
        self.sample_weight, self.class_weight = sample_weight, class_weight
        self.batch_size, self.shuffle, self.steps = batch_size, shuffle, steps
        self.validation_split, self.validation_data = validation_split, validation_data
        self.validation_steps = validation_steps
        self.validation_batch_size = validation_batch_size


class Preparer:
    """Checks data for one call on one compiled model; builds the model if need be."""

    def __init__(self, model: Estimated, compiled: Compiled, tbptt: int | None = None) -> None:
        self._model, self._compiled, self._tbptt = model, compiled, tbptt

    def rows(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        mode: str,
        batch_size: int | None = None,
    ) -> Rows:
        """One set of arrays for `mode`, "fit" or "evaluate"; one batch without `batch_size`."""
        if y is None:
            pair = isinstance(x, list | tuple) and len(x) in (2, 3) and getattr(x[0], "ndim", 0) > 0
            advice = "; give x and y as two arguments" if pair else ""
            if callable(x):
                advice = "; x is a function: call it, and give the batches that it yields"
            raise ValueError(f"y: expected targets, got None{advice}")
        x = _checks.array("x", x)
        given = y = _checks.array("y", y)
        self._model._build_for(x)
        window = self.window() if mode == "fit" else 0
        self._model._check_room(x, batch_size or batch_length(x), mode, window)
        function, loss = self._compiled.function, self._compiled.loss
        assert loss is not None
        if function is None:
            y = _targets.targets(
                y,
                self._output_shape(x),
                len(x),
                loss.sparse,
                steps=x.shape[1] if self._model._steps_axis() else None,
                classes=self._compiled.categorical,
            )
        elif y.ndim == 0 or len(y) != len(x):
            raise ValueError(f"y: expected {len(x)} rows, as many as x has; got shape {y.shape}")
        else:
            _checks.finite("y", y, self._model.dtype)
            if class_weight is not None:
                raise ValueError(
                    f"class_weight: not with {function.name}, a loss written in Python; give the "
                    f"weight of each row as sample_weight"
                )
            if sample_weight is not None and not function.takes_weights:
                raise ValueError(
                    f"sample_weight: the loss {function.name} takes none; give it a third "
                    f"parameter, sample_weight"
                )
        weight = self._weight(x, y, sample_weight, class_weight, loss)
        rows = self._view(x, y, weight)
        self._model._network().check(rows.data, "fit")
        loss.check_targets(given, self._padding_of(x))
        return rows

    def _padding_of(self, x: NDArray[Any]) -> Padding | None:
        """What tells where targets may be anything; None: nowhere."""
        first = self._model.layers[0]
        if not first.makes_mask or len(self._model.output_shape) != 3:
            return None

        def padding() -> NDArray[np.bool_]:
            mask = first.compute_mask(x)
            assert mask is not None
            return ~mask

        return padding

    def _view(self, x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> Rows:
        """The arrays and the engine's view of them; a loss written in Python has y and the weights
        to itself."""
        if self._compiled.function is not None:
            return Rows(x, y, _core.Data(x), weight)
        return Rows(x, y, _core.Data(x, y, weight), weight)

    def source(
        self, x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None
    ) -> Source:
        """Batches for an evaluation."""
        if is_batches(x, y):
            _no_arrays_with_batches(y, sample_weight, None, batch_size)
            return self._batches("x", x, steps, "evaluate")
        size = _checks.positive_int("batch_size", BATCH_SIZE if batch_size is None else batch_size)
        rows = self.rows(x, y, sample_weight, None, "evaluate", size)
        check_equal_batches(self._model.layers, len(rows.x), size)
        steps = _at_most(steps, len(rows.x), size)
        return ArraySource(rows, 0, len(rows.x), size, steps=steps)

    def fit_sources(
        self, data: FitData, seed: int, turns: int, begin: int
    ) -> tuple[Source, Source | None]:
        """Batches for training, from epoch `begin` on, and for validation.

        Their order in an epoch follows from `seed` and `turns` + epoch.
        """
        split = _checks.below_one("validation_split", data.validation_split)
        order = seed if data.shuffle else None
        validation: Source | None = None
        source: Source
        if is_batches(data.x, data.y):
            _no_arrays_with_batches(data.y, data.sample_weight, data.class_weight, data.batch_size)
            if split:
                raise ValueError("validation_split: it needs arrays; x is an iterable of batches")
            source = self._batches("x", data.x, data.steps, "fit", order, turns, begin)
        else:
            size = BATCH_SIZE if data.batch_size is None else data.batch_size
            size = _checks.positive_int("batch_size", size)
            weights = data.sample_weight, data.class_weight
            rows = self.rows(data.x, data.y, *weights, "fit", size)
            stop = len(rows.x)
            if split and data.validation_data is None:
                stop = _split(stop, split)
                validation = self._held_out(rows, stop, size, data)
            check_equal_batches(self._model.layers, stop, size)
            source = ArraySource(rows, 0, stop, size, order, data.steps, turns)
        if data.validation_data is not None:
            validation = self._validation(data)
        return source, validation

    def _held_out(self, rows: Rows, stop: int, size: int, data: FitData) -> Source:
        """The last rows, for validation; class weights do not count there.

        The arrays are checked; the view is another, for it counts totals of its own.
        """
        weight = self._sample_weight(rows.x, data.sample_weight)
        rows = self._view(rows.x, rows.y, weight)
        size = data.validation_batch_size or size
        with _checks.naming("validation_split"):
            check_equal_batches(self._model.layers, len(rows.x) - stop, size)
        steps = _at_most(data.validation_steps, len(rows.x) - stop, size)
        return ArraySource(rows, stop, len(rows.x), size, steps=steps)

    def _validation(self, data: FitData) -> Source:
        given = data.validation_data
        size = data.validation_batch_size or data.batch_size
        batches = is_batches(given, None)
        if isinstance(given, tuple) or (isinstance(given, list) and not batches):
            with _checks.naming("validation_data"):
                x, y, weight = split_item(given)
                return self.source(x, y, weight, size, data.validation_steps)
        if not batches:
            raise TypeError(
                f"validation_data: expected (x, y), (x, y, sample_weight) or an iterable of such "
                f"tuples, a batch each, got {type(given).__name__}"
            )
        return self._batches("validation_data", given, data.validation_steps, "evaluate")

    def _batches(
        self,
        argument: str,
        batches: Any,
        steps: int | None,
        mode: str,
        seed: int | None = None,
        turns: int = 0,
        begin: int = 0,
    ) -> BatchSource:
        def prepare(item: Any, place: str) -> Rows:
            with _checks.naming(place):
                x, y, weight = split_item(item)
                rows = self.rows(x, y, weight, None, mode)
                rows.place = place
                return rows

        anew = mode == "evaluate"
        source = BatchSource(argument, batches, prepare, steps, seed, turns, begin, anew)
        source.first()
        return source

    def _output_shape(self, x: NDArray[Any]) -> Shape:
        shape = self._model.output_shape
        return (shape[0], x.shape[1], shape[2]) if len(shape) == 3 else shape

    def _weight(
        self, x: NDArray[Any], y: NDArray[Any], sample_weight: Any, class_weight: Any, loss: Loss
    ) -> NDArray[Any] | None:
        if class_weight is None:
            return self._sample_weight(x, sample_weight)
        if sample_weight is not None:
            raise ValueError(
                "class_weight, sample_weight: only one may be given; multiply the weights of the "
                "classes into sample_weight"
            )
        classes = loss.classes(self._model.output_shape[-1] or 1)
        return weights_of_classes(class_weight, y, loss.sparse, classes)

    def _sample_weight(self, x: NDArray[Any], sample_weight: Any) -> NDArray[Any] | None:
        if sample_weight is None:
            return None
        weight = _checks.array("sample_weight", sample_weight)
        steps = x.shape[1] if len(self._model.output_shape) == 3 else None
        return _checks.weights(weight, len(x), steps)

    def window(self) -> int:
        """`tbptt` checked against the layers; 0 if there is none."""
        if self._tbptt is None:
            return 0
        window = _checks.positive_int("tbptt", self._tbptt)
        if len(self._model.output_shape) != 3:
            raise ValueError("tbptt: the model gives one output a row; every step needs one")
        if self._compiled.in_python:
            loss = self._compiled.function
            names = [] if loss is None else [loss.name]
            names += [metric.name for metric in self._compiled.own_metrics]
            raise ValueError(
                f"tbptt: not with what is computed in Python: {', '.join(names)}; `evaluate` on a "
                f"model compiled with it computes it"
            )
        for layer in self._model.layers:
            if isinstance(layer, Recurrent) and layer.reads_backward:
                raise ValueError(f"tbptt: layer {layer.name!r} reads backward")
        return window


def optional_count(argument: str, value: Any) -> int | None:
    """None, or `value` as an int >= 1."""
    return None if value is None else _checks.positive_int(argument, value)


def _at_most(steps: int | None, rows: int, batch_size: int) -> int | None:
    """`steps`, no more than there are batches of the rows; None: all of them."""
    return None if steps is None else min(steps, -(-rows // batch_size))


def batch_length(x: NDArray[Any]) -> int:
    """Rows of `x`; 1 if it has none, which is an error that `predict` reports."""
    return max(1, len(x)) if x.ndim else 1


def check_equal_batches(layers: Iterable[Layer], rows: int, batch_size: int) -> None:
    """Raise ValueError if a layer is stateful and the last batch is smaller than the others."""
    for layer in layers:
        if layer.stateful and rows > batch_size and rows % batch_size:
            raise ValueError(
                f"batch_size: layer {layer.name!r} is stateful, so all batches must be equal; "
                f"{rows} rows in batches of {batch_size} leave a last one of "
                f"{rows % batch_size}"
            )


def validation_epochs(frequency: Any) -> Callable[[int], bool]:
    """Whether there is a validation after an epoch (counted from 0)."""
    if isinstance(frequency, list | tuple | set):
        epochs = {_checks.positive_int("validation_freq", epoch) for epoch in frequency}
        return lambda epoch: epoch + 1 in epochs
    every = _checks.positive_int("validation_freq", frequency)
    return lambda epoch: (epoch + 1) % every == 0


def _split(rows: int, share: float) -> int:
    """Where the held-out rows begin."""
    stop = int(rows * (1.0 - share))
    if stop in (0, rows):
        raise ValueError(
            f"validation_split: {share} of {rows} rows leaves {stop} for training and "
            f"{rows - stop} for validation"
        )
    return stop


def _no_arrays_with_batches(y: Any, sample_weight: Any, class_weight: Any, batch_size: Any) -> None:
    for argument, value in (
        ("y", y),
        ("sample_weight", sample_weight),
        ("class_weight", class_weight),
        ("batch_size", batch_size),
    ):
        if value is not None:
            way = "; a batch may be (x, y, sample_weight)" if "weight" in argument else ""
            raise ValueError(
                f"{argument}: expected None when x is an iterable of batches, got "
                f"{_checks.described(value)}{way}"
            )
