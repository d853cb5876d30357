"""Compilable: a model's optimizer, loss and metrics, and the optimizer's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm import _checks, _core
from pylstm.models._alone import alone
from pylstm.models._compiled import Compiled
from pylstm.models._predict import Predictor

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Compilable(Predictor):
    """A model that can be compiled."""

    stop_evaluating = False
    """Set by a callback, it ends an evaluation after the batch."""
    _compiled: Compiled | None = None
    _optimizer_state: tuple[int, list[NDArray[Any]]] | None = None
    """Steps done and slots that wait for a network."""
    _counted: tuple[_core.Network, list[str]] | None = None

    @alone
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: None = None,
        metrics: Any = None,
        weighted_metrics: None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose optimizer, loss and metrics; the weights stay as they are.

        Args:
            optimizer: A name or an `optimizers.Optimizer`. The same object again keeps its state.
            loss: A name, a `losses.Loss`, or a function (y_true, y_pred) → (loss, gradient), the
                gradient being dloss/dy_pred with y_pred's shape. Where y_pred has a last axis of
                size 1 that y_true lacks, functions get it with one.
            loss_weights: Must be None.
            metrics: A list of names ("accuracy", "perplexity", …), metric objects, or functions
                (y_true, y_pred) → a number, or one for each row or step.
            weighted_metrics: Must be None.
            run_eagerly: Accepted, as steps_per_execution, jit_compile and auto_scale_loss are;
                they mean nothing here.

        A UserWarning tells of a crossentropy that takes probabilities from a last layer without
        sigmoid or softmax, of logits from one with it, and of classes from one unit.

        Raises:
            ValueError: an unknown name (the nearest is suggested), or a Keras setting that is not
                supported.
            TypeError: something that is no optimizer, loss or metric.
            RuntimeError: the model is being trained.
        """
        _checks.unsupported("loss_weights", loss_weights, (None,))
        _checks.unsupported("weighted_metrics", weighted_metrics, (None, []))
        compiled = Compiled(optimizer, loss, metrics)
        if self._layers:
            compiled.look_at_output(self._layers[-1])
        before, state = self._compiled, self._state_of_optimizer()
        same = before is not None and before.optimizer is compiled.optimizer
        self._compiled, self._optimizer_state = compiled, state if same else None
        try:
            if self._core is not None:
                self._network_made(self._core)
        except Exception:
            self._compiled, self._optimizer_state = before, state
            if self._core is not None:
                self._network_made(self._core)
            raise

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compiled is not None

    @property
    def optimizer(self) -> Any:
        """The `optimizers.Optimizer`; its learning rate may be set at any time. None at first."""
        return None if self._compiled is None else self._compiled.optimizer

    @property
    def loss(self) -> Any:
        """The `losses.Loss`; None before `compile`."""
        return None if self._compiled is None else self._compiled.loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics of `compile`; an empty list before."""
        return [] if self._compiled is None else self._compiled.given()

    @property
    def metrics_names(self) -> list[str]:
        """Names of the values that `evaluate` returns."""
        return [] if self._compiled is None else self._compiled.names()

    def _network_made(self, network: _core.Network) -> None:
        super()._network_made(network)
        compiled = self._compiled
        if compiled is None or compiled.loss is None:
            return
        compiled.look_at_output(self._layers[-1])
        self._counted = None
        optimizer = compiled.optimizer.engine_text(self._paths()[0])
        network.compile(compiled.loss.engine_text(), optimizer)
        compiled.optimizer.bind(network)
        if self._optimizer_state is not None:
            iterations, slots = self._optimizer_state
            if [s.shape for s in slots] == [s.shape for _, s in network.get_slots()]:
                network.set_slots(slots)
                network.iterations = iterations
            self._optimizer_state = None

    def _state_of_optimizer(self) -> tuple[int, list[NDArray[Any]]] | None:
        """Steps done and slots, if there are any."""
        if self._core is None or self._compiled is None or self._compiled.loss is None:
            return self._optimizer_state
        return self._core.iterations, [slot for _, slot in self._core.get_slots()]

    def _count(self, names: list[str]) -> None:
        """Tell the engine which metrics to count; a set that it has is not set again."""
        now = (self._network(), names)
        if now != self._counted:
            now[0].set_metrics(names)
            self._counted = now

    def _ready(self) -> Compiled:
        if self._compiled is None:
            raise RuntimeError("the model is not compiled: call compile(optimizer, loss) first")
        if self._compiled.loss is None:
            raise ValueError("loss: the model was compiled without one; call compile with a loss")
        return self._compiled
