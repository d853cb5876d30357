"""What `pylstm train` does between two epochs: it saves the model and measures it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY

import pylstm
from pylstm import callbacks
from pylstm.cli import _corpus, _job, _language_model, main


def test_what_ends_a_later_epoch_leaves_the_model_of_the_one_before(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, weights = _language_model._EpochStart.on_epoch_begin, []

    def fail(self: callbacks.Callback, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 1:
            weights.extend(self.model.get_weights())
            raise RuntimeError("the power is gone")
        begin(self, epoch, logs)

    monkeypatch.setattr(_language_model._EpochStart, "on_epoch_begin", fail)
    output = tmp_path / "model.safetensors"
    with pytest.raises(RuntimeError, match="power"):
        main(["train", str(text_file), *TINY, "-o", str(output)])
    saved = pylstm.load_model(output, compile=False).get_weights()
    assert all(map(np.array_equal, saved, weights))


def test_what_fails_in_measuring_leaves_the_model_of_the_epoch(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("the power is gone")

    monkeypatch.setattr(_language_model, "bits_per_byte", fail)
    output = tmp_path / "model.safetensors"
    with pytest.raises(RuntimeError, match="power"):
        main(["train", str(text_file), *TINY, "-o", str(output)])
    assert pylstm.load_model(output, compile=False).built


def test_measuring_does_not_change_the_training(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for name in ("measured", "not"):
        output = tmp_path / name
        assert main(["train", str(text_file), *TINY, "-o", f"{output}.safetensors"]) == 0
        weights.append(pylstm.load_model(f"{output}.safetensors", compile=False).get_weights())
        monkeypatch.setattr(_language_model, "bits_per_byte", lambda *_: 1.0)
    assert all(map(np.array_equal, *weights))


def test_each_epoch_tells_what_its_model_makes_of_the_held_out_text(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved: list[pylstm.Sequential] = []
    save = pylstm.Sequential.save

    def keep(self: pylstm.Sequential, path: Any, **options: Any) -> None:
        save(self, path, **options)
        saved.append(_language_model.load(path, _language_model.Settings()))

    monkeypatch.setattr(pylstm.Sequential, "save", keep)
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *TINY, "--epochs", "3", "-o", str(output)]) == 0
    told = re.findall(r"^epoch (\d) +(\d\.\d{3}) bits", capsys.readouterr().out, re.MULTILINE)
    train, held_out = _corpus.hold_out(text_file.read_bytes())
    bits = [_language_model.bits_per_byte(model, train[-1], held_out) for model in saved[:2]]
    assert told == [(str(k + 1), f"{value:.3f}") for k, value in enumerate(bits)]


def test_a_save_that_fails_between_epochs_does_not_end_the_training(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save, fails = pylstm.Sequential.save, [OSError(28, "No space left on device")]

    def may_fail(self: pylstm.Sequential, *args: Any, **options: Any) -> None:
        if fails:
            raise fails.pop()
        save(self, *args, **options)

    monkeypatch.setattr(pylstm.Sequential, "save", may_fail)
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 0
    assert "No space left on device; training goes on" in capsys.readouterr().out
    assert pylstm.load_model(output).built


def test_another_text_is_measured_from_its_own_first_byte() -> None:
    """What comes before it in the text that was learned has nothing to do with it."""
    assert _job.Job("", b"learned", b"held out", b"", "").to_predict() == (ord("d"), b"held out")
    other = _job.Job("", b"learned", b"another", b"", "", goes_on=False)
    assert other.to_predict() == (ord("a"), b"nother")


def test_of_long_held_out_text_an_epoch_is_measured_on_a_part(
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(_language_model, "EPOCH_BYTES", 7)
    output = tmp_path / "model.safetensors"
    assert main(["train", str(text_file), *TINY, "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "bits per byte over 7 held out" in printed
    _, held_out = _corpus.hold_out(text_file.read_bytes())
    assert f"bits per byte over {len(held_out):,} bytes" in printed


def test_a_run_that_ends_replaces_what_was_there(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one epoch too, which no other one follows."""
    output = tmp_path / "model.safetensors"
    for seed in ("1", "2"):
        arguments = ["train", str(text_file), *TINY, "--epochs", "1", "--seed", seed]
        assert main([*arguments, "-o", str(output)]) == 0
        weights = pylstm.load_model(output, compile=False).get_weights()
        if seed == "1":
            before = weights
    assert "is there and will be replaced" in capsys.readouterr().out
    assert not all(map(np.array_equal, weights, before))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
