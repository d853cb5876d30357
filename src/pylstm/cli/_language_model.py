"""The byte-level language model that the command line trains: built, trained, measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pylstm
from pylstm import Sequential, callbacks, initializers, layers, optimizers
from pylstm.cli._corpus import windows

VOCABULARY = 256  # every byte value, so that any UTF-8 can be read and written
MAX_NORM = 0.25  # of the gradient: lets the learning rate be high from the first step
STREAM_BYTES = 1 << 20  # held-out text is read in streams of at least this size
EPOCH_BYTES = 1 << 18  # of held-out text that an epoch but the last is measured on
EVALUATION_STEPS = 1000  # bytes a call of `evaluate` walks at once; bounds its memory


@dataclass(frozen=True)
class Settings:
    """Sizes and schedule. The defaults are those of `pylstm demo`.

    They were chosen by some 25 runs that looked at the demo's own held-out text, so its figure
    there is a little kinder than on text that nobody has looked at.
    """

    units: int = 256
    layers: int = 1
    epochs: int = 6
    batch_size: int = 32
    seq_length: int = 50
    learning_rate: float = 0.01
    embedding: int = 64
    seed: int = 1

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch: half a cosine from ``learning_rate`` towards 0."""
        middle = (epoch + 0.5) / self.epochs
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * middle))


@dataclass(frozen=True)
class Training:
    """How a training went."""

    tokens: int  # bytes predicted, over all epochs
    seconds: float
    interrupted: bool
    bits: float | None  # per byte, the mean over the last epoch; None if it did not end


def build(settings: Settings) -> Sequential:
    """Embedding, LSTMs that carry their state, a softmax over the next byte; weights drawn."""
    stack = [
        layers.LSTM(settings.units, return_sequences=True, stateful=True)
        for _ in range(settings.layers)
    ]
    # Keras' default of +-0.05 is so small that the first epoch would go by in growing it
    vectors = initializers.RandomUniform(-1.0, 1.0)
    model = Sequential(
        [
            layers.Embedding(VOCABULARY, settings.embedding, embeddings_initializer=vectors),
            *stack,
            layers.Dense(VOCABULARY, activation="softmax"),
        ]
    )
    model.build((None, None))
    return _compiled(model, settings)


def load(path: str, settings: Settings) -> Sequential:
    """The model of a file, to be trained on: it carries state, and Adam starts anew.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a model that reads and predicts bytes.
    """
    model = pylstm.load_model(path, compile=False)
    check(model, path)
    if getattr(model.layers[0], "mask_zero", False):
        raise ValueError(f"{path}: expected a model that reads every byte, got mask_zero=True")
    try:
        model.generate(np.zeros(1, np.uint8), 0)  # refuses what sees later bytes or has no softmax
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return _compiled(_copy(model, stateful=True), settings)


def for_use(model: Sequential) -> Sequential:
    """The model without carried state: what is saved, so that every call starts afresh."""
    return _copy(model, stateful=False)


def _copy(model: Sequential, *, stateful: bool) -> Sequential:
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "LSTM":
            layer["config"]["stateful"] = stateful
    result = Sequential.from_config(config)
    for new, old in zip(result.layers, model.layers, strict=True):
        new._hold(old.get_weights())
    return result


def _compiled(model: Sequential, settings: Settings) -> Sequential:
    model.compile(
        optimizer=optimizers.Adam(settings.learning_rate, global_clipnorm=MAX_NORM),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(
    model: Sequential, text: bytes, settings: Settings, after_epoch: Callable[[int], None]
) -> Training:
    """Fit a stateful model to a text; Ctrl-C ends it after a whole number of steps.

    Args:
        after_epoch: called with the number of every epoch but the last, from 0, when it is over;
            its time does not count. It may let the model read: an epoch begins with new state.
    """
    x, y, streams = windows(text, settings.batch_size, settings.seq_length)
    interrupted, bits = False, None
    rest = _AfterEpoch(after_epoch, settings.epochs)
    start = time.perf_counter()
    try:
        history = model.fit(
            x,
            y,
            batch_size=streams,
            epochs=settings.epochs,
            shuffle=False,
            callbacks=[_EpochStart(settings), rest],
        )
        bits = history.history["loss"][-1] / math.log(2)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - start - rest.seconds
    tokens = model.optimizer.iterations * streams * x.shape[1]
    return Training(tokens, seconds, interrupted, bits)


class _EpochStart(callbacks.Callback):
    """At the start of an epoch the streams begin anew, and the learning rate is that epoch's."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.reset_state()
        self.model.optimizer.learning_rate = self._settings.rate(epoch)


class _AfterEpoch(callbacks.Callback):
    """Calls a function after every epoch but the last."""

    def __init__(self, function: Callable[[int], None], epochs: int) -> None:
        super().__init__()
        self._function, self._last = function, epochs - 1
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        start = time.perf_counter()
        try:
            if epoch < self._last:
                self._function(epoch)
        finally:
            self.seconds += time.perf_counter() - start


def bits_per_byte(model: Sequential, before: int, text: bytes) -> float:
    """Cross-entropy of ``text`` under a stateful model, each byte predicted once.

    The model starts from the zero state and reads on from byte to byte through the whole text (a
    text of more than two STREAM_BYTES is cut into streams that start so); it learns nothing.

    Args:
        before: the byte before ``text``: all that the prediction of the first byte has to go by.
    """
    data = np.frombuffer(bytes([before]) + text, np.uint8)
    streams = max(1, len(text) // STREAM_BYTES)
    nats = 0.0
    length = len(text) // streams
    whole = length - length % EVALUATION_STEPS
    pieces = [(0, whole, EVALUATION_STEPS), (whole, length, length - whole)]
    model.reset_state()
    x, y = (data[i : i + streams * length].reshape(streams, length) for i in (0, 1))
    for first, last, steps in pieces:
        if first < last:
            inputs, targets = (
                part[:, first:last].reshape(streams, -1, steps).swapaxes(0, 1).reshape(-1, steps)
                for part in (x, y)
            )
            loss = model.evaluate(inputs, targets, batch_size=streams, verbose=0)
            nats += float(loss) * inputs.size
    rest = len(text) - streams * length  # fewer bytes than there are streams
    if rest:
        model.reset_state()
        loss = model.evaluate(data[None, -rest - 1 : -1], data[None, -rest:], verbose=0)
        nats += float(loss) * rest
    return nats / len(text) / math.log(2.0)


def check(model: Sequential, path: str) -> None:
    """Raise ValueError unless ``model`` reads and predicts bytes."""
    first, last = model.layers[0], model.layers[-1]
    reads = isinstance(first, layers.Embedding) and first.input_dim == VOCABULARY
    predicts = isinstance(last, layers.Dense) and last.units == VOCABULARY
    if not (reads and predicts):
        raise ValueError(
            f"{path}: expected a model from bytes to bytes, as `pylstm train` saves it: "
            f"Embedding({VOCABULARY}, ...) first and Dense({VOCABULARY}) last"
        )


def generate(
    model: Sequential,
    prompt: bytes,
    count: int,
    *,
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int | None = None,
) -> bytes:
    """``count`` bytes that the model writes after ``prompt``."""
    ids = model.generate(
        np.frombuffer(prompt, np.uint8),
        count,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    return ids.astype(np.uint8).tobytes()
