"""Callback, the base of all callbacks; History; and the list that `fit` calls."""

from __future__ import annotations

import weakref
from typing import Any

Logs = dict[str, float]


class Callback:
    """Base of all callbacks; override what is needed. `logs` is a dict, empty if nothing is told.

    Attributes:
        model: The model, from before `on_train_begin` on. Its `stop_training`, `stop_evaluating`
            and `stop_predicting`, set to True, end the call after the batch.
        params: {"verbose", "epochs", "steps"} of the call.
    """

    model: Any
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """Called first."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called second."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch; `logs` are its values."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch; values put into `logs` go into the history."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """As `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """As `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of the epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch; `logs` are the values of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After it; `logs` are its values."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of it."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of it."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After it."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of it."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of it; `logs["outputs"]` are its results."""

    def wants_batches(self, kind: str) -> bool:
        """Whether a method for the batches of `kind` ("train", "test", "predict") is overridden."""
        return self._overrides(Callback, kind)

    def _overrides(self, base: type[Callback], kind: str) -> bool:
        """Whether it has methods for these batches that are not those of `base`."""
        names = [f"on_{kind}_batch_begin", f"on_{kind}_batch_end"]
        if kind == "train":
            names += ["on_batch_begin", "on_batch_end"]
        return any(
            name in self.__dict__ or getattr(type(self), name) is not getattr(base, name)
            for name in names
        )


class CallbackList:
    """The callbacks of one call."""

    def __init__(self, callbacks: Any) -> None:
        if isinstance(callbacks, Callback):
            callbacks = [callbacks]
        if callbacks is not None and not isinstance(callbacks, list | tuple):
            raise TypeError(f"callbacks: expected a list, got {type(callbacks).__name__}")
        self._callbacks: list[Callback] = list(callbacks or ())
        for callback in self._callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"callbacks: expected pylstm.callbacks.Callback objects, got {callback!r}"
                )

    def begin(self, model: Any, history: History | None, params: dict[str, Any]) -> None:
        """Introduce the callbacks to the call; the history comes last, after additions to logs."""
        if history is not None:
            self._callbacks.append(history)
        for callback in self._callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def wants_batches(self, kind: str) -> bool:
        """Whether any callback wants to be called for each batch."""
        return any(callback.wants_batches(kind) for callback in self._callbacks)

    def call(self, method: str, *args: Any) -> None:
        """Call one method of all callbacks, in order."""
        for callback in self._callbacks:
            getattr(callback, method)(*args)


class History(Callback):
    """What `fit` returns: `history`, a list for each name, and the `epoch` of each entry."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._model: weakref.ref[Any] | None = None

    @property
    def model(self) -> Any:
        """The model; None if it is gone. The model keeps its history, not the reverse."""
        return None if self._model is None else self._model()

    @model.setter
    def model(self, model: Any) -> None:
        self._model = weakref.ref(model)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the values of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
