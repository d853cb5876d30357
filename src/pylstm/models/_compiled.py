"""What `compile` was given, checked; and the tally of loss and metrics over one pass."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from pylstm import _checks, losses, metrics, optimizers
from pylstm._warnings import warn
from pylstm.layers import Dense, Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm._core import Data

_LIKELIHOODS = ("categorical_crossentropy", "sparse_categorical_crossentropy")


class Compiled:
    """Optimizer, loss and metrics of a model.

    Raises:
        TypeError, ValueError: from `get` of each; two metrics of one name; perplexity with a loss
            that is not a plain categorical crossentropy; an accuracy or an error of other targets
            than the loss has.
    """

    def __init__(self, optimizer: Any, loss: Any, metric_list: Any) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.loss = None if loss is None else losses.get(loss)
        if isinstance(metric_list, dict) and "class_name" not in metric_list:
            raise TypeError(
                f"metrics: expected a list, as a model has one output, got "
                f"{_checks.described(metric_list)}"
            )
        if isinstance(metric_list, str | dict | metrics.Named) or callable(metric_list):
            metric_list = [metric_list]
        if metric_list is not None and not isinstance(metric_list, list | tuple):
            raise TypeError(f"metrics: expected a list, got {type(metric_list).__name__}")
        self.metrics = [self._fitting(metrics.get(m)) for m in metric_list or ()]
        names = self.names()
        if len(set(names)) < len(names):
            raise ValueError(
                f"metrics: two have the same name, or that of the loss: {names}; "
                f"metrics.FunctionMetric(function, name) has a name of your choice"
            )
        self._looked = self._warned_of_padding = False

    def look_at_padding(self) -> None:
        """Warn, once, if steps are masked and the loss, written in Python, is not told which."""
        function = self.function
        if function is None or function.takes_weights or self._warned_of_padding:
            return
        self._warned_of_padding = True
        warn(
            f"loss: {function.name} is not told which steps are padding, so they count; give it a "
            f"parameter sample_weight, which is 0 there",
        )

    def look_at_output(self, last: Layer) -> None:
        """Warn, once, if `last` gives what the loss does not take."""
        loss = self.loss
        if self._looked or loss is None or not isinstance(last, Dense):
            return
        self._looked = True
        activation = loss.expected_activation()
        if activation is None:
            if loss.get_config().get("from_logits") and last.activation in ("sigmoid", "softmax"):
                warn(
                    f"loss: {type(loss).__name__}(from_logits=True) takes logits, but the last "
                    f"layer, {last.name!r}, has the activation {last.activation!r}; leave out one "
                    f"of the two",
                )
        elif last.activation not in ("sigmoid", "softmax"):
            kind = type(loss).__name__
            warn(
                f"loss: {kind} takes probabilities, but the last layer, {last.name!r}, has the "
                f"activation {last.activation!r}; give it activation={activation!r}, or compile "
                f"with losses.{kind}(from_logits=True)",
            )
        elif last.activation == "softmax" and last.units == 1:
            warn(
                f"loss: a softmax over the one unit of the last layer, {last.name!r}, is always 1; "
                f"of two classes give it activation='sigmoid' and the loss binary_crossentropy, of "
                f"more a unit for each",
            )
        elif last.units == 1 and self.categorical:
            known = "label 0 alone" if loss.sparse else "one class alone"
            warn(
                f"loss: with the one unit of the last layer, {last.name!r}, {type(loss).__name__} "
                f"knows {known}; of two classes give the loss binary_crossentropy, of more a "
                f"unit for each",
            )

    def _fitting(self, metric: metrics.Named) -> metrics.Named:
        """`metric`, or the one in its place, for the loss in use."""
        loss = self.loss
        smoothed = loss is not None and loss.get_config().get("label_smoothing")
        if isinstance(metric, metrics.Perplexity) and (smoothed or not self.categorical):
            raise ValueError(
                "metrics: perplexity needs the loss categorical_crossentropy or "
                "sparse_categorical_crossentropy, without label smoothing"
            )
        if isinstance(metric, metrics.MeanSquaredError | metrics.MeanAbsoluteError):
            counted = metric.in_engine()
            if counted is not None and loss is not None and loss.sparse:
                raise ValueError(
                    f"metrics: {metric.name} needs a target for each output, which the loss "
                    f"{loss.engine_name} does not have: its targets are integer labels"
                )
            if loss is None or self.categorical or self.function:
                return metric
            return counted or metric
        if not isinstance(metric, metrics.EngineMetric) or loss is None:
            return metric
        if isinstance(loss, losses.FunctionLoss):
            return metric.in_python()
        if isinstance(metric, metrics.BinaryAccuracy):
            fits, targets = not self.categorical, "a 0 or 1 for each output"
        elif isinstance(metric, metrics.SparseCategoricalAccuracy):
            fits, targets = loss.sparse, "integer labels"
        else:
            fits = not (isinstance(metric, metrics.CategoricalAccuracy) and loss.sparse)
            targets = "one-hot targets"
        if not fits:
            raise ValueError(
                f"metrics: {metric.name} needs {targets}, which the loss {loss.engine_name} does "
                f"not have; 'accuracy' fits every loss"
            )
        return metric

    @property
    def categorical(self) -> bool:
        """Whether the loss is a crossentropy of classes."""
        return self.loss is not None and self.loss.engine_name in _LIKELIHOODS

    def given(self) -> list[metrics.Named]:
        """The metrics as `compile` was given them."""
        return [metrics.given(m) for m in self.metrics]

    def names(self) -> list[str]:
        """Names in logs: "loss", then the metrics as given."""
        return ["loss", *(m.name for m in self.metrics)]

    @property
    def function(self) -> losses.FunctionLoss | None:
        """The loss if it is written in Python."""
        return self.loss if isinstance(self.loss, losses.FunctionLoss) else None

    @property
    def own_metrics(self) -> list[metrics.Metric]:
        """Metrics that need the predictions in Python."""
        return [m for m in self.metrics if isinstance(m, metrics.Metric)]

    @property
    def in_python(self) -> bool:
        """Whether predictions of each batch are needed in Python."""
        return self.function is not None or bool(self.own_metrics)

    def engine_metrics(self, sparse: bool, outputs: int) -> dict[str, str]:
        """The engine's name for each metric that it counts."""
        binary = outputs == 1 and not self.categorical
        return {
            m.name: m.engine_name(sparse, binary)
            for m in self.metrics
            if isinstance(m, metrics.EngineMetric)
        }


class Tally:
    """Loss and metrics over the batches of one pass, which may come from several sets of rows."""

    def __init__(self, compiled: Compiled, counted: dict[str, str], token_ids: bool) -> None:
        self._compiled, self._counted, self._token_ids = compiled, counted, token_ids
        self._data: Data | None = None
        self._earlier: dict[str, tuple[float, float]] = {}
        self._python_loss = 0.0
        self._python_rows = self._python_skipped = 0
        self.rows = 0
        # Of a function's mean each pass has one of its own: several threads may evaluate at once.
        self._own = {
            metric.name: copy.copy(metric) if isinstance(metric, metrics.FunctionMetric) else metric
            for metric in compiled.own_metrics
        }
        for metric in self._own.values():
            metric.reset_state()

    def follow(self, data: Data) -> None:
        """From now on the engine counts into `data`."""
        if data is not self._data:
            self._earlier = self._totals()
            self._data = data
            data.reset_totals()

    def add_batch(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], mask: NDArray[Any] | None
    ) -> None:
        """Show one batch to the metrics written in Python."""
        shown = y_pred.view()
        shown.flags.writeable = False  # the loss and other metrics see it too
        for metric in self._own.values():
            metric.update_state(y_true, shown, mask)

    def add_loss(self, loss: float, rows: int, applied: bool) -> None:
        """Take in the loss of one batch that was computed in Python."""
        self._python_loss += loss * rows
        self._python_rows += rows
        self._python_skipped += not applied

    @property
    def skipped(self) -> int:
        """Steps that were not applied, as the loss, a gradient or its square was not finite."""
        return int(self._totals().get("skipped", (0.0, 0.0))[0]) + self._python_skipped

    def logs(self) -> dict[str, float]:
        """Values so far, by name, sorted as Keras sorts them."""
        totals = self._totals()
        if self._compiled.function is None:
            loss = _ratio(totals, "loss")
        else:
            loss = self._python_loss / self._python_rows if self._python_rows else 0.0
        found = {"loss": loss}
        for metric in self._compiled.metrics:
            found[metric.name] = self._value(metric, totals, loss)
        return dict(sorted(found.items()))

    def amount(self) -> tuple[float, str]:
        """How much has been done, and in which unit."""
        if self._token_ids and self._compiled.function is None:
            return self._totals().get("tokens", (0.0, 0.0))[0], "tokens"
        return self.rows, "samples"

    def _totals(self) -> dict[str, tuple[float, float]]:
        """The engine's sums over all rows so far."""
        now = {} if self._data is None else self._data.totals()
        for name, (total, weight) in self._earlier.items():
            more = now.get(name, (0.0, 0.0))
            now[name] = (total + more[0], weight + more[1])
        return now

    def _value(
        self, metric: metrics.Named, totals: dict[str, tuple[float, float]], loss: float
    ) -> float:
        if isinstance(metric, metrics.Metric):
            own = self._own[metric.name]
            if own is not metric:  # the user's object tells what the last pass has found
                vars(metric).update(vars(own))
            return float(own.result())
        if isinstance(metric, metrics.EngineMetric):
            name = self._counted[metric.name]
            metric.take(*totals.get(name, (0.0, 0.0)))
            return _ratio(totals, name)
        return math.exp(loss) if loss < 700.0 else math.inf


def _ratio(totals: dict[str, tuple[float, float]], name: str) -> float:
    total, weight = totals.get(name, (0.0, 0.0))
    return total / weight if weight else 0.0
