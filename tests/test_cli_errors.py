"""What the command line refuses: one line that names the file or option, with exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import TINY, one_line_error

import pylstm
from pylstm import Sequential, layers
from pylstm.cli import main


def test_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.txt")
    for arguments in (["train", missing], ["generate", missing], ["info", missing]):
        assert missing in one_line_error(capsys, arguments)


def test_missing_validation_file_is_told_before_training(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.txt")
    assert missing in one_line_error(capsys, ["train", str(text_file), "--validation", missing])
    assert capsys.readouterr().out == ""


def test_empty_file_is_one_line(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    error = one_line_error(capsys, ["train", str(text_file), str(empty)])
    assert f"{empty}: expected a text file with at least one byte" in error


def test_text_too_short_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short, one = tmp_path / "short.txt", tmp_path / "one.txt"
    short.write_bytes(b"123456789")
    one.write_bytes(b"1")
    assert f"{short}: expected a text of at least 10 bytes" in one_line_error(
        capsys, ["train", str(short)]
    )
    arguments = ["train", str(one), "--validation", str(short), "-o", str(tmp_path / "model")]
    assert "at least 2 bytes" in one_line_error(capsys, arguments)
    assert not (tmp_path / "model").exists()


def test_folder_in_place_of_a_file_is_one_line(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(tmp_path) in one_line_error(capsys, ["train", str(tmp_path)])
    assert "got a folder" in one_line_error(capsys, ["train", str(text_file), "-o", str(tmp_path)])
    assert "--output: expected a string that is not empty" in one_line_error(
        capsys, ["train", str(text_file), "-o", ""]
    )
    nowhere = str(tmp_path / "nowhere" / "model")
    assert "no folder" in one_line_error(capsys, ["train", str(text_file), "-o", nowhere])


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_names_of_other_formats_are_refused_before_training(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["train", str(text_file), "-o", str(tmp_path / name)]) == 2
    printed = capsys.readouterr()
    assert "--output: pylstm writes .safetensors files" in printed.err
    assert printed.out == ""


def test_text_is_never_written_over(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = text_file.read_bytes()
    output = str(text_file.parent / "." / text_file.name)
    assert "another file" in one_line_error(capsys, ["train", str(text_file), "-o", output])
    assert text_file.read_bytes() == before


def test_foreign_file_is_no_model(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("generate", "info"):
        assert str(text_file) in one_line_error(capsys, [command, str(text_file)])


def test_altered_model_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(trained.read_bytes())
    content[len(content) // 2] ^= 1
    altered = tmp_path / "altered.safetensors"
    altered.write_bytes(content)
    for command in ("generate", "info"):
        one_line_error(capsys, [command, str(altered)])


def test_generate_wants_a_model_of_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Sequential([pylstm.layers.LSTM(2), pylstm.layers.Dense(1)])
    model.build((None, None, 3))
    path = tmp_path / "other.safetensors"
    model.save(path)
    assert "expected a model from bytes to bytes" in one_line_error(capsys, ["generate", str(path)])


def test_empty_prompt_is_one_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--prompt" in one_line_error(capsys, ["generate", str(trained), "--prompt", ""])


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--units", "0", "a whole number of at least 1"),
        ("--epochs", "1.5", "a whole number of at least 1"),
        ("--seed", "-1", "a whole number of at least 0"),
        ("--seed", "9223372036854775808", "at most 9223372036854775807"),
        ("--units", "536870912", "at most 536870911"),
        ("--units", "++3", "a whole number of at least 1"),
        ("--learning-rate", "0", "a finite number above 0"),
        ("--learning-rate", "nan", "a finite number above 0"),
        ("--learning-rate", "inf", "a finite number above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(
    option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["demo", f"{option}={value}"])
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert option in error
    assert expected in error
    assert repr(value) in error


def test_an_unknown_option_shows_the_usage_of_its_command(
    text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(text_file), "--lr", "0.1"])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("usage: pylstm train")
    assert "--learning-rate" in printed
    assert "unrecognized arguments: --lr 0.1" in printed


def test_weights_that_are_no_numbers_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = layers.Dense(256, activation="softmax")
    model = Sequential(
        [layers.Embedding(256, 4), layers.LSTM(4, return_sequences=True, stateful=True), dense]
    )
    model.build((1, None))
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    model.save(tmp_path / "model.safetensors")
    generate = ["generate", str(tmp_path / "model.safetensors"), "--prompt", "It"]
    assert "its weights hold NaN" in one_line_error(capsys, generate)


def test_layers_beyond_reason_are_refused(
    text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", str(text_file), "--layers", "100000"])
    assert "--layers: expected at most 1000, got '100000'" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*steps were not applied")
def test_a_model_that_diverged_is_one_line(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(text_file), *TINY, "--learning-rate", "1e308"]
    error = one_line_error(capsys, [*arguments, "-o", str(tmp_path / "model")])
    assert "not finite" in error
    assert "a smaller --learning-rate may help" in error


def test_a_closed_output_is_no_error(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", None)  # as Python has it then
    assert main(["info", str(trained)]) == 0
