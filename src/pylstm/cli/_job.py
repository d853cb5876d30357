"""The main job: train, save, compare with the baselines, write a sample; `demo` and `train`."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pylstm
from pylstm import Sequential, _checks, _ngram
from pylstm.cli import _language_model as language_model
from pylstm.cli._exit import INTERRUPTED
from pylstm.cli._output import STDOUT, say, tell, write

BASELINES = (("uniform", 0), ("unigram", 1), ("5-gram", 5))
SAMPLE_BYTES = 300
SAMPLE_TEMPERATURE = 0.6


@dataclass(frozen=True)
class Job:
    """What to learn from, what to measure on, where to write."""

    name: str
    train: bytes
    held_out: bytes
    prompt: bytes
    output: str
    start: str | None = None  # the file of a model to go on from
    goes_on: bool = True  # held_out is what follows train in one text

    def to_predict(self) -> tuple[int, bytes]:
        """What a model is measured on, and the byte before, which is all that it has to go by: the
        last one of `train`, or, of another text, its own first one."""
        if self.goes_on:
            return self.train[-1], self.held_out
        return self.held_out[0], self.held_out[1:]


def run(job: Job, settings: language_model.Settings) -> int:
    """Do the job and print the report; returns the exit code.

    Raises:
        OSError: the model cannot be saved where ``job.output`` says, or ``job.start`` not be read.
        ValueError: there is too little text, or ``job.start`` holds no such model.
    """
    _check_output(job.output)
    pylstm.set_seed(settings.seed)
    if job.start is None:
        model = language_model.build(settings)
    else:
        model = language_model.load(job.start, settings)
    keeper = _Keeper(model, Path(job.output))
    if keeper.replaces:
        say("output", f"{job.output} is there and will be replaced when an epoch is over")
    if job.start is not None:
        say("from", f"{job.start}, with an optimizer that begins anew")
    say("text", f"{job.name}: {len(job.train):,} bytes to learn, {len(job.held_out):,} held out")
    say("model", _describe(model))
    say("machine", f"{pylstm.active_isa()}, threads: {pylstm.get_num_threads()}")

    def after_epoch(epoch: int) -> None:
        keeper.after_epoch()
        before, text = job.to_predict()
        text = text[: language_model.EPOCH_BYTES]
        bits = language_model.bits_per_byte(model, before, text)
        say(f"epoch {epoch + 1}", f"{bits:.3f} bits per byte over {len(text):,} held out")

    try:
        training = language_model.train(model, job.train, settings, after_epoch=after_epoch)
        keeper.at_end(finished=not training.interrupted)  # before a report that may fail
        return _report(job, model, settings, training, keeper.saved)
    except KeyboardInterrupt:  # a second one
        keeper.at_end(finished=False)
        raise
    except OSError as error:  # nobody reads the report: Ctrl-C may have ended who did
        try:
            keeper.at_end(finished=False)
        finally:
            if keeper.saved is not None:
                where = os.path.realpath(keeper.saved)
                tell(f"ended early, as {STDOUT} cannot be written; saved {where}")
        if error.filename is None:  # it is the bar's
            raise OSError(error.errno, error.strerror, STDOUT) from None
        raise


class _Keeper:
    """Saves a model that is being trained, and never loses what it has learned."""

    def __init__(self, model: Sequential, output: Path) -> None:
        self._model, self._output = model, output
        self.replaces = output.exists()
        self.saved: Path | None = None
        self._at_end = False

    def after_epoch(self) -> None:
        """Save, or say why not: the last one decides."""
        try:
            self._save(self._output)
        except OSError as error:
            say("not saved", f"{error}; training goes on")

    def at_end(self, *, finished: bool) -> None:
        """Save, once, if a step was done; what has seen no whole epoch not over another model."""
        if self._at_end:
            return
        begun = self.replaces and self.saved is None and not finished
        with _undisturbed():
            self._save(_free_name(self._output) if begun else self._output)
        self._at_end = True

    def _save(self, path: Path) -> None:
        if self._model.optimizer.iterations > 0:
            language_model.for_use(self._model).save(path, include_optimizer=False)
            self.saved = path


def _report(
    job: Job,
    model: Sequential,
    settings: language_model.Settings,
    training: language_model.Training,
    saved: Path | None,
) -> int:
    """What came of the training; returns the exit code."""
    speed = training.tokens / training.seconds
    stopped = " until Ctrl-C" if training.interrupted else ""
    say("trained", f"{training.tokens:,} tokens in {training.seconds:.1f} s{stopped}")
    if training.bits is not None:
        say("", f"{training.bits:.3f} bits per byte in the last epoch")
    say("speed", f"{speed:,.0f} tokens per second")
    if saved is None and training.interrupted:
        say("saved", "nothing: Ctrl-C came before the first step was done")
        return INTERRUPTED
    if saved is None:
        raise ValueError(
            f"{job.start or job.name}: not one step was finite, and nothing is saved: a smaller "
            "--learning-rate may help, or another model to go on from"
        )
    try:
        if not training.interrupted:
            _compare(model, job)
            _sample(language_model.for_use(model), job.prompt, settings.seed)
    finally:
        say("saved", f"{os.path.realpath(saved)}, {saved.stat().st_size:,} bytes")
    return INTERRUPTED if training.interrupted else 0


def _compare(model: Sequential, job: Job) -> None:
    """Bits per byte of the baselines and of the model, all on the same text."""
    before, text = job.to_predict()
    say("held out", f"bits per byte over {len(text):,} bytes")
    context = None if job.goes_on else bytes([before])
    bits = {name: _ngram.bits_per_byte(job.train, text, k, context) for name, k in BASELINES}
    for name, value in bits.items():
        say("", f"{name:<9}{value:6.3f}")
    own = language_model.bits_per_byte(model, before, text)
    difference = bits["5-gram"] - own
    side = "below" if difference >= 0 else "above"
    say("", f"{'pylstm':<9}{own:6.3f}   {abs(difference):.3f} {side} the 5-gram")


def _sample(model: Sequential, prompt: bytes, seed: int) -> None:
    """Text that the model writes; ValueError if its weights are not finite."""
    say("sample", f"temperature {SAMPLE_TEMPERATURE}, after {prompt.decode(errors='replace')!r}")
    try:
        text = language_model.generate(
            model, prompt, SAMPLE_BYTES, temperature=SAMPLE_TEMPERATURE, seed=seed
        )
    except RuntimeError as error:  # probabilities are not finite
        raise ValueError(f"{error}: a smaller --learning-rate may help") from None
    write("\n" + (prompt + text).decode(errors="replace") + "\n\n")


def _describe(model: Sequential) -> str:
    parts = []
    for layer in model.layers:
        config = layer.get_config()
        size = config.get("units", config.get("output_dim"))
        parts.append(type(layer).__name__ + ("" if size is None else f"({size})"))
    return f"{' -> '.join(parts)}, {model.count_params():,} parameters"


def _check_output(output: str) -> None:
    """Raise now, not after the training, if the model cannot be saved."""
    name = os.path.realpath(_checks.text("--output", _checks.model_path("--output", output)))
    if os.path.isdir(name):
        raise IsADirectoryError(f"{output}: expected the path of a file to write, got a folder")
    _checks.folder_of(output, name, "save the model")
    if os.path.lexists(name) and not os.path.isfile(name):
        raise ValueError(
            f"{output}: expected the path of a file to write, got a device, pipe or loop"
        )
    # of a file that is there too: saving writes a new one beside it, which takes its place
    for place in (name, os.path.dirname(name) or "."):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            raise PermissionError(f"{output}: cannot save the model, {place} is not writable")


def _free_name(output: Path) -> Path:
    """Beside `output`, and of no file that an earlier run left."""
    for number in itertools.count(1):
        path = output.with_stem(f"{output.stem}.interrupted{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(path):
            break
    return path


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """While the model is saved, Ctrl-C, which some press twice, does nothing."""
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
