"""ModelCheckpoint: the model saved as training goes."""

from __future__ import annotations

import os

from pylstm import _checks
from pylstm._callback import Callback, Logs
from pylstm._warnings import warn
from pylstm.callbacks._monitor import Monitor


class ModelCheckpoint(Monitor):
    """Save the model after each epoch, or when it has become better.

    A fit of the loaded model with `initial_epoch` goes on as if it had not stopped. Callbacks begin
    anew: one that counts epochs, as `ReduceLROnPlateau`, counts from 0. What callbacks before this
    one in the list have changed is saved, what those after it change is not.

    Args:
        filepath: Where; may name values as in "m-{epoch:02d}-{val_loss:.2f}.safetensors",
            {batch} if `save_freq` is a number. The folder must be there when training begins.
        monitor: Value that tells the best model.
        verbose: 1 prints each save.
        save_best_only: Save only when the value has become better.
        save_weights_only: Leave the optimizer out.
        mode: "min", "max", or "auto": what the model's metric of this name says, as Keras' do by
            `_direction`; else "max" for names that end in acc, accuracy or auc; else "min", with a
            UserWarning if nothing in the name tells.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: Value to be beaten by the first save.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: a name of one of Keras' formats, braces that name no value or whose format does
            not fit it (of a whole number for epoch and batch, of a float for the others), a number
            out of range, or an unknown mode; while training, braces with a value that is not in
            logs (at the end of the first epoch, or with the first save).
        FileNotFoundError: training begins, and there is no such folder.

    A value in braces that neither loss nor metrics give is told by a RuntimeWarning when training
    begins: another callback has to put it into logs. Without the value of `monitor`, which a
    RuntimeWarning tells after the first epoch, `save_best_only` saves nothing.
    """

    _without = "nothing is saved"

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = _checks.model_path("filepath", filepath)
        self._named = _placeholders(self.filepath)
        self.verbose = verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        if save_freq != "epoch":
            expected = '"epoch" or a number of batches, at least 1'
            self.save_freq = _checks.integer("save_freq", save_freq, 1, expected)
        threshold = initial_value_threshold
        if threshold is not None:
            threshold = _checks.number("initial_value_threshold", threshold)
        self.best = threshold

    def wants_batches(self, kind: str) -> bool:
        """Only if it saves every so many batches, or a subclass has methods for them."""
        base = ModelCheckpoint if self.save_freq == "epoch" else Callback
        return self._overrides(base, kind)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Count from 0; look whether saving can go well."""
        self._epoch = self._batches = 0
        if "{" not in os.path.dirname(self.filepath):
            _checks.folder_of("filepath", self.filepath, "save the model")
        if not self._named:
            return
        given = self.model.metrics_names
        known = {"epoch", "learning_rate", *given, *(f"val_{name}" for name in given)}
        if self.save_freq != "epoch":
            known.add("batch")
        strange = [name for name in self._named if name not in known]
        if strange:
            warn(
                f"ModelCheckpoint: {self.filepath!r} names {', '.join(strange)}, which neither "
                f"loss nor metrics give ({', '.join(given)}); another callback has to",
                RuntimeWarning,
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save if the number of batches is reached."""
        super().on_train_batch_end(batch, logs)
        self._batches += 1
        if isinstance(self.save_freq, int) and self._batches % self.save_freq == 0:
            self._save(self._epoch, {**(logs or {}), "batch": batch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save if it saves each epoch."""
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs | None) -> None:
        for name in self._named:
            if name != "epoch" and name not in (logs or ()):
                raise ValueError(
                    f"filepath: {self.filepath!r} names {name!r}, which is not in logs: "
                    f"{', '.join(logs or ())}"
                )
        if self.save_best_only:
            value = self.value(logs)
            if value is None or not self.better(value, self.best):
                return
            self.best = value
        path = self.filepath.format(**{**(logs or {}), "epoch": epoch + 1})
        self.model.save(path, include_optimizer=not self.save_weights_only)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")


def _placeholders(filepath: str) -> list[str]:
    """Names of the values in braces."""
    from string import Formatter  # nothing else needs it

    try:
        parts = [(field, spec or "") for _, field, spec, _ in Formatter().parse(filepath)]
    except ValueError as error:
        raise ValueError(f"filepath: {filepath!r}: {error}") from None
    fields = [(field, spec) for field, spec in parts if field is not None]
    for field, spec in fields:
        if not field.isidentifier() or "{" in spec:
            got = f"{{{field}:{spec}}}" if spec else f"{{{field}}}"
            raise ValueError(
                f"filepath: {filepath!r}: braces must name a value, as {{epoch}}; got {got}"
            )
    # As they will be: epoch and batch whole, values in logs not, so that {val_loss:d} fails here.
    tried = {field: 1 if field in ("epoch", "batch") else 1.5 for field, _ in fields}
    try:
        filepath.format(**tried)
    except ValueError as error:
        raise ValueError(f"filepath: {filepath!r}: {error}") from None
    return list(tried)
