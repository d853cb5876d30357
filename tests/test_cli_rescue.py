"""What `pylstm train` learned is saved whatever becomes of its report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, one_line_error

import pylstm
from pylstm.cli import _corpus, _job, _language_model, main

ONE_EPOCH = [*TINY, "--epochs", "1"]


class Output:
    """Standard output of which each write after the first `good` ones fails."""

    encoding = "utf-8"

    def __init__(self, good: int, error: OSError) -> None:
        self._left, self._error = good, error

    def write(self, text: str) -> int:
        self._left -= text.endswith("\n")
        if self._left < 0:
            raise self._error
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("good", [3, 4, 5])  # the report ends at the bar's line, or after it
def test_a_reader_that_goes_away_costs_no_model(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    good: int,
    interrupted: bool,
) -> None:
    if interrupted:  # as Ctrl-C in `pylstm train ... | tee log`, which ends tee too

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(_language_model._AfterEpoch, "on_epoch_end", interrupt)
    monkeypatch.setattr(sys, "stdout", Output(good, BrokenPipeError(32, "Broken pipe")))
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *ONE_EPOCH, "-o", str(output)]) == 1
    expected = f"ended early, as standard output cannot be written; saved {output}"
    assert capsys.readouterr().err == f"pylstm: {expected}\n"
    assert pylstm.load_model(output, compile=False).built


def test_an_output_that_is_full_is_one_line(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Output(2, OSError(28, "No space left on device")))
        assert main(["info", str(trained)]) == 2
    assert capsys.readouterr().err == "pylstm: standard output: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_device_does_not_fail_again_when_python_ends(trained: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pylstm", "info", str(trained)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "pylstm: standard output: No space left on device\n"


def test_ctrl_c_while_the_model_is_saved_waits(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, handlers = pylstm.Sequential.save, []

    def keep(self: pylstm.Sequential, path: Any, **options: Any) -> None:
        handlers.append(signal.getsignal(signal.SIGINT))
        save(self, path, **options)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(pylstm.Sequential, "save", keep)
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *ONE_EPOCH, "-o", str(output)]) == 0
    assert handlers == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) == before


def test_what_an_earlier_interrupted_run_left_stays(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_language_model._AfterEpoch, "on_epoch_end", interrupt)
    output = tmp_path / "model.safetensors"
    for _ in range(3):
        assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 130
    names = ["model.interrupted-2.safetensors", "model.interrupted.safetensors", output.name]
    assert sorted(path.name for path in tmp_path.glob("model*")) == names


@pytest.mark.filterwarnings("default:.*not applied:RuntimeWarning")
def test_a_run_without_one_finite_step_saves_nothing(
    text_file: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = pylstm.load_model(trained, compile=False)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    start, output = tmp_path / "nan.safetensors", tmp_path / "model.safetensors"
    model.save(start)
    arguments = ["train", str(text_file), "--epochs", "2", "--from", str(start), "-o", str(output)]
    assert main(arguments) == 2
    assert f"{start}: not one step was finite, and nothing is saved" in capsys.readouterr().err
    assert not output.exists()


# ---- told before the training


@pytest.mark.skipif(os.name != "posix", reason="pipes and links of POSIX")
def test_what_is_no_file_is_refused_as_output(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for output in ("/dev/null", str(pipe), str(loop)):
        error = one_line_error(capsys, ["train", str(text_file), *TINY, "-o", output])
        assert f"{output}: expected the path of a file to write" in error


def test_what_may_not_be_written_is_refused_as_output(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "model.safetensors"
    output.write_bytes(b"the model of yesterday")
    for place in (output, tmp_path):
        # of the user who may do everything, nothing is refused by its mode
        monkeypatch.setattr(os, "access", lambda name, mode, place=place: str(name) != str(place))
        error = one_line_error(capsys, ["train", str(text_file), *TINY, "-o", str(output)])
        assert f"{output}: cannot save the model, {place} is not writable" in error
    assert output.read_bytes() == b"the model of yesterday"


def test_a_text_under_another_name_is_not_written_over(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where names that differ in case are one file."""
    other = tmp_path / "other.txt"
    os.link(text_file, other)
    error = one_line_error(capsys, ["train", str(text_file), *TINY, "-o", str(other)])
    assert "--output: expected another file" in error


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_loop_of_links_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert str(loop) in one_line_error(capsys, ["train", str(loop)])


# ---- small things


def test_an_opening_is_never_empty() -> None:
    assert _corpus.opening("é".encode()[1:], 16) == b"\xa9"


def test_what_a_terminal_would_obey_is_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    _job.say("a label of more letters", "a\x1b[2Jb\u202ec é")
    assert capsys.readouterr().out == "a label of more letters a\\x1b[2Jb\\u202ec é\n"


def test_a_number_of_many_digits_is_too_large(
    text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", str(text_file), "--units", "9" * 30])
    assert f"expected at most 536870911, got '{'9' * 30}'" in capsys.readouterr().err
