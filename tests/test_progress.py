"""What fit, evaluate and predict print."""

import io
import os
import re
import struct
import sys
import types

import numpy as np
import pytest

import pylstm
from pylstm import Sequential, _progress, layers, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 6, 3)).astype("f4")
Y = RNG.normal(size=(22, 2)).astype("f4")


def regression():
    pylstm.set_seed(3)
    model = Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    model.compile(optimizers.SGD(0.1), "mse")
    return model


def language():
    model = Sequential(
        [layers.Embedding(9, 5), layers.LSTM(6, return_sequences=True), layers.Dense(9)]
    )
    loss = pylstm.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


IDS = RNG.integers(0, 9, (22, 6))


class Terminal:
    """A standard output that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def test_plain_lines_where_there_is_no_terminal(capsys):
    model = language()
    model.fit(IDS, IDS, batch_size=5, epochs=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[:2] for line in lines] == [
        ["Epoch 1/2", "4/4"],
        ["Epoch 2/2", "4/4"],
    ]
    for part in ("/step", "tokens/s", "accuracy: ", "loss: ", "val_loss: "):
        assert all(part in line for line in lines)
    model.evaluate(IDS, IDS)
    assert capsys.readouterr().out.startswith("1/1 - ")
    model.predict(IDS)
    model.fit(IDS, IDS, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    regression().fit(X, Y, batch_size=5, epochs=2, validation_split=0.3)
    for part in (
        "Epoch 1/2: 100%|",
        "Epoch 2/2: 100%|",
        "3/3",
        "samples/s",
        "loss: ",
        "val_loss: ",
    ):
        assert part in terminal.text
    assert terminal.text.count("\n") == 2
    terminal.text = ""
    regression().predict(X)
    assert terminal.text == ""  # too short for a bar
    regression().predict(X, verbose=1)
    assert "100%" in terminal.text
    terminal.text = ""
    regression().predict(iter([X, X]))
    assert terminal.text == ""
    monkeypatch.setattr("pylstm.models._predict.BUDGET_MS", -1)
    regression().predict(iter([X, X]))
    assert "2 [" in terminal.text
    monkeypatch.undo()
    monkeypatch.setattr("sys.stdout", terminal)
    terminal.text = ""
    regression().predict(iter([X, X]), verbose=1, steps=2)
    assert "100%" in terminal.text
    assert "2/2 [" in terminal.text
    with pytest.raises(ValueError, match="verbose: expected"):
        regression().predict(iter([X]), verbose=7)


def test_the_bar_shows_the_rate_and_the_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr(_progress, "_REFRESH_SECONDS", 0.0)
    language().fit(IDS, IDS, batch_size=1)
    bars = [frame for frame in terminal.text.split("\r") if "%|" in frame]
    shown = re.compile(r"\[\d\d:\d\d<\d\d:\d\d, .*loss: [\d.]+, [\d,]+ tokens/s")
    assert any(shown.search(frame) for frame in bars)


class ZMQInteractiveShell:
    """Jupyter's, by its name."""


class Shell(ZMQInteractiveShell):
    """That of a hosted notebook."""


@pytest.mark.parametrize(
    ("shell", "notebook"),
    [(ZMQInteractiveShell(), True), (Shell(), True), (object(), False), (None, False)],
)
def test_a_notebook_gets_a_bar(monkeypatch, shell, notebook):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert _progress.interactive() is notebook
    assert isinstance(_progress.make("auto"), _progress.Bar) is notebook
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace())  # half imported
    assert not _progress.interactive()


def test_an_interrupted_bar_leaves_the_line(monkeypatch):
    class Stop(pylstm.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    with pytest.raises(KeyboardInterrupt):
        regression().fit(X, Y, callbacks=[Stop()])
    assert terminal.text.endswith("\n")


def test_unknown_lengths_have_no_percentage(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    regression().fit(pair for pair in [(X, Y)] * 3)
    assert "%" not in terminal.text
    assert "loss: " in terminal.text


def test_numbers_are_written_as_in_keras():
    numbers = [0.0, 1.0, 0.00123456, 0.000123456, -12.3456]
    expected = ["0.0000", "1.0000", "0.0012", "1.2346e-04", "-12.3456"]
    assert [_progress.number(value) for value in numbers] == expected
    times = [_progress.step_time(s) for s in (2.4, 0.0123, 0.0000456)]
    assert times == ["2s", "12ms", "46us"]


class Pty(Terminal):
    """One that is as wide as a pseudo-terminal."""

    def __init__(self, columns):
        super().__init__()
        pty, fcntl, termios = (pytest.importorskip(m) for m in ("pty", "fcntl", "termios"))
        self.main, self.end = pty.openpty()
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def fileno(self):
        return self.end


@pytest.mark.parametrize("columns", [80, 40, 0])
def test_the_values_of_an_epoch_can_be_read_in_any_width(monkeypatch, columns):
    terminal = Pty(columns)
    monkeypatch.setattr("sys.stdout", terminal)
    regression().fit(X, Y, batch_size=5, epochs=2, validation_split=0.3)
    lines = terminal.text.splitlines()
    for epoch in ("Epoch 1/2", "Epoch 2/2"):
        (line,) = (line for line in lines if line.startswith(f"{epoch} - 3/3 - "))
        assert " - loss: " in line
        assert " - val_loss: " in line
    bars = [frame for line in lines for frame in line.split("\r") if "%|" in frame]
    assert bool(bars) == (columns > 0)
    assert all(len(frame.replace("\x1b[A", "")) <= columns for frame in bars)
    assert columns < 80 or any(re.search(r"loss: \d\.\d{4}", frame) for frame in bars)
    os.close(terminal.main)
    os.close(terminal.end)
