"""The command line: demo, train, generate, info, and the program."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TEXT, TINY, generate, one_line_error

import pylstm
from pylstm import Sequential, _ngram, callbacks, layers
from pylstm.cli import _corpus, _job, _language_model, main

# ---- demo and train


def test_demo_reports_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TEXT.encode() * 2
    monkeypatch.setattr(_corpus, "demo_text", lambda: text)
    model = tmp_path / "demo.safetensors"
    assert main(["demo", *TINY, "-o", str(model)]) == 0
    output = capsys.readouterr().out
    train, held_out = _corpus.hold_out(text)
    for name, order in _job.BASELINES:
        bits = _ngram.bits_per_byte(train, held_out, order)
        assert re.search(rf"{name} +{bits:.3f}\b", output)
    assert re.search(r"pylstm +\d\.\d{3} +\d\.\d{3} (below|above) the 5-gram", output)
    assert re.search(r"[\d,]+ tokens per second", output)
    assert f"{model}, {model.stat().st_size:,} bytes" in output
    assert "\r" not in output
    assert "\x1b" not in output


def test_same_seed_trains_the_same_model(text_file: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        output = tmp_path / f"{name}.safetensors"
        assert main(["train", str(text_file), *TINY, "--seed", seed, "-o", str(output)]) == 0
        weights.append(pylstm.load_model(output).get_weights())
    for a, b, c in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def held_out_bits(output: str) -> float:
    found = re.search(r"pylstm +(\d+\.\d{3}) ", output)
    assert found
    return float(found[1])


def test_more_epochs_lower_the_bits(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bits = []
    for epochs in ("1", "40"):
        options = ["--epochs", epochs, "-o", str(tmp_path / "model.safetensors")]
        assert main(["train", str(text_file), *TINY, *options]) == 0
        bits.append(held_out_bits(capsys.readouterr().out))
    assert bits[1] < bits[0] - 0.5


def test_validation_file_is_the_held_out_text(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(b"a text of another kind")
    options = ["--validation", str(other), "-o", str(tmp_path / "model.safetensors")]
    assert main(["train", str(text_file), *TINY, *options]) == 0
    output = capsys.readouterr().out
    assert f"{len(TEXT.encode()):,} bytes to learn, 22 held out" in output
    for name, order in _job.BASELINES:  # predicted from its own first byte
        bits = _ngram.bits_per_byte(TEXT.encode(), b" text of another kind", order, b"a")
        assert re.search(rf"{name} +{bits:.3f}\b", output)
    model = _language_model.load(options[-1], _language_model.Settings())
    bits = _language_model.bits_per_byte(model, ord("a"), b" text of another kind")
    assert held_out_bits(output) == pytest.approx(bits, abs=6e-4)


def test_layers_are_stacked(text_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *TINY, "--layers", "2", "-o", str(output)]) == 0
    kinds = [type(layer).__name__ for layer in pylstm.load_model(output).layers]
    assert kinds == ["Embedding", "LSTM", "LSTM", "Dense"]


def test_training_goes_on_from_a_model(
    text_file: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "more.safetensors"
    options = [*TINY[2:], "--from", str(trained), "-o", str(output)]
    bits = []
    for rate in ("1e-30", "0.01"):  # the first leaves the weights as they are
        assert main(["train", str(text_file), *options, "--learning-rate", rate]) == 0
        bits.append(held_out_bits(capsys.readouterr().out))
        if rate == "1e-30":
            pairs = [pylstm.load_model(path).get_weights() for path in (trained, output)]
            for a, b in zip(*pairs, strict=True):
                np.testing.assert_array_equal(a, b)
    assert bits[1] < bits[0]
    again = pylstm.load_model(output)
    assert again.layers[1].units == 8
    assert not again.layers[1].stateful
    for option in ("--units", "--layers"):
        error = one_line_error(capsys, ["train", str(text_file), *options, option, "3"])
        assert f"{option}: not with --from" in error
    error = one_line_error(capsys, ["train", str(text_file), "--from", str(text_file)])
    assert str(text_file) in error
    error = one_line_error(
        capsys, ["train", str(text_file), "--from", str(output), "-o", str(output)]
    )
    assert "expected another file" in error


@pytest.mark.parametrize(
    ("masked", "backward", "last", "message"),
    [
        (False, True, "softmax", "reads time backwards"),
        (False, False, None, "softmax"),
        (True, False, "softmax", "mask_zero"),
    ],
)
def test_training_goes_on_only_from_a_model_that_predicts_bytes(
    text_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    masked: bool,
    backward: bool,
    last: str | None,
    message: str,
) -> None:
    first = layers.Embedding(256, 3, mask_zero=masked)
    lstm = layers.LSTM(2, return_sequences=True, go_backwards=backward)
    model = Sequential([first, lstm, layers.Dense(256, last)])
    model.build((None, None))
    path = str(tmp_path / "model.safetensors")
    model.save(path)
    error = one_line_error(capsys, ["train", str(text_file), "--from", path])
    assert path in error
    assert message in error


def test_saved_model_carries_no_state(trained: Path) -> None:
    model = pylstm.load_model(trained)
    x = np.frombuffer(TEXT.encode()[:20], np.uint8)[None]
    first = model.predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)


def test_ctrl_c_saves_what_was_learned(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin = _language_model._EpochStart.on_epoch_begin

    def interrupt(self: callbacks.Callback, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    monkeypatch.setattr(_language_model._EpochStart, "on_epoch_begin", interrupt)
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 130
    printed = capsys.readouterr().out
    assert "until Ctrl-C" in printed
    assert str(output) in printed
    monkeypatch.undo()
    tokens = _corpus.windows(_corpus.hold_out(TEXT.encode())[0], 4, 10)[0].size
    assert f"{tokens:,} tokens" in printed
    assert generate(capsys, output, "--max-new-tokens", "3")


def test_ctrl_c_in_the_first_epoch_leaves_the_file_that_was_there(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What has been learned stands beside it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_language_model._EpochStart, "wants_batches", lambda self, kind: True)
    monkeypatch.setattr(_language_model._EpochStart, "on_train_batch_end", interrupt)
    output, beside = tmp_path / "model.safetensors", tmp_path / "model.interrupted.safetensors"
    output.write_bytes(b"the model of yesterday")
    assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 130
    assert str(beside) in capsys.readouterr().out
    assert output.read_bytes() == b"the model of yesterday"
    assert generate(capsys, beside, "--max-new-tokens", "3")
    output.unlink()
    assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 130
    assert generate(capsys, output, "--max-new-tokens", "3")


def test_ctrl_c_before_the_first_step_leaves_the_file_that_was_there(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_language_model._EpochStart, "on_epoch_begin", interrupt)
    output = tmp_path / "model.safetensors"
    for before in (None, b"the model of yesterday"):
        if before is not None:
            output.write_bytes(before)
        assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 130
        assert "before the first step" in capsys.readouterr().out
        assert (output.read_bytes() if output.exists() else None) == before


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_sigint_stops_a_running_train_and_saves(tmp_path: Path) -> None:
    source, output = tmp_path / "text.txt", tmp_path / "model.safetensors"
    source.write_bytes(TEXT.encode() * 50)
    command = [sys.executable, "-m", "pylstm", "train", str(source), "--units", "8"]
    process = subprocess.Popen(
        [*command, "--epochs", "1000000", "-o", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Epoch 2/"):  # epoch 1 is over
            break
    process.send_signal(2)
    printed, error = process.communicate()
    watchdog.cancel()
    assert process.returncode == 130, error
    assert "until Ctrl-C" in printed
    assert "Traceback" not in error
    assert pylstm.load_model(output).count_params() > 0


# ---- generate


def test_same_seed_writes_the_same_text(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--prompt", "the ", "--max-new-tokens", "80", "--temperature", "1.5"]
    first, again, other = (
        generate(capsys, trained, *options, "--seed", seed) for seed in ("5", "5", "6")
    )
    assert first == again != other
    assert first.startswith("the ")


def test_top_1_is_greedy_whatever_the_seed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    greedy = generate(capsys, trained, "--max-new-tokens", "40", "--temperature", "0")
    for seed in ("1", "2"):
        options = ["--temperature", "2", "--top-k", "1", "--seed", seed]
        assert generate(capsys, trained, "--max-new-tokens", "40", *options) == greedy
        options = ["--temperature", "2", "--top-p", "1e-9", "--seed", seed]
        assert generate(capsys, trained, "--max-new-tokens", "40", *options) == greedy


def test_prompt_alone_comes_back(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "Köln — 東京 🦊"
    options = ["--prompt", prompt, "--max-new-tokens", "0"]
    assert generate(capsys, trained, *options) == prompt + "\n"


def test_bytes_that_are_no_text_are_replaced(
    monkeypatch: pytest.MonkeyPatch, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_language_model, "generate", lambda *a, **k: b"\xff ok \xc3")
    assert generate(capsys, trained, "--prompt", "a") == "a\N{REPLACEMENT CHARACTER} ok " + (
        "\N{REPLACEMENT CHARACTER}\n"
    )


# ---- info


def test_info_tells_what_the_file_holds(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["info", str(trained)]) == 0
    output = capsys.readouterr().out
    assert hashlib.sha256(trained.read_bytes()).hexdigest() in output
    assert f"{trained.stat().st_size:,} bytes" in output
    assert f"{pylstm.load_model(trained).count_params():,}" in output
    assert pylstm.__version__ in output
    for text in (
        "compiled   no",
        "lstm/recurrent_kernel",
        "(8, 32)",
        "float32",
    ):
        assert text in output
    assert main(["info", str(trained), "--config"]) == 0
    more = capsys.readouterr().out.removeprefix(output)
    config = json.loads(more.partition("config")[2])
    assert config == pylstm.load_model(trained).get_config()


# ---- the program


def run_program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pylstm", *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_module_runs_as_a_program(tmp_path: Path) -> None:
    result = run_program("--version")
    assert result.stdout.split() == [b"pylstm", pylstm.__version__.encode()]
    result = run_program("info", str(tmp_path / "missing"))
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"pylstm: ")
    assert result.stderr.count(b"\n") == 1


def test_output_that_cannot_show_a_character_is_no_error(trained: Path) -> None:
    arguments = ["generate", str(trained), "--prompt", "Köln", "--max-new-tokens", "0"]
    result = run_program(*arguments, PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [b"K?ln"]


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe's reading end")
def test_closed_pipe_ends_quietly(trained: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "pylstm", "generate", str(trained), "--max-new-tokens", "9"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )
    os.close(write)
    assert result.stderr == b""
