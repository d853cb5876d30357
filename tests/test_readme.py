"""The papers tell the truth: README's examples run, what they name exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import pylstm
from pylstm import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = (
    "callbacks",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "pylstm",
    "utils",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """The words after `program` on each line of README's consoles, comments left out."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    starts = f"$ {program} "
    return [shlex.split(s[len(starts) :], comments=True) for s in lines if s.startswith(starts)]


def develop() -> Any:
    spec = importlib.util.spec_from_file_location("develop", ROOT / "develop.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("code", blocks("python"))
def test_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(ROOT / "README.md"), "exec"), {"__name__": "__main__"})


def test_examples_are_short() -> None:
    lengths = [len(code.splitlines()) for code in blocks("python")]
    assert len(lengths) == 4
    assert max(lengths) <= 20


def test_develop_knows_the_two_commands() -> None:
    assert commands("python3 develop.py") == [["demo"], ["test"]]
    assert {"demo", "test"} <= set(develop().COMMANDS)


def test_command_line_knows_what_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    shown = commands("pylstm") + commands("python -m pylstm")
    assert [command for command, *_ in shown] == ["train", "generate", "train", "info"]
    for command, *arguments in shown:
        with pytest.raises(SystemExit, match="0"):
            cli.main([command, "--help"])
        described = capsys.readouterr().out
        for argument in arguments:
            assert not argument.startswith("-") or argument in described


def test_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are shown, but for a small model: the last of two equal options counts."""
    monkeypatch.chdir(tmp_path)
    for name in ("book.txt", "letters.txt"):
        Path(name).write_text("It was the best of times, it was the worst of times.\n" * 40)
    small = {"train": ["--epochs", "1"], "generate": ["--max-new-tokens", "9"]}
    for command, *arguments in commands("pylstm") + commands("python -m pylstm"):
        units = ["--units", "8"] if "--units" in arguments else []
        assert cli.main([command, *arguments, *small.get(command, []), *units]) == 0
    assert "book.safetensors" in capsys.readouterr().out


def missing() -> list[str]:
    """The names that README says are not there, of its table."""
    table = README.split("## Not there yet", 1)[1].split("\n\n", 2)[1]
    firsts = [row.split("|")[1] for row in table.splitlines()[2:]]
    return [name for first in firsts for name in re.findall(r"`(\w+)`", first)]


@pytest.mark.parametrize("name", missing())
def test_what_is_not_there_is_not_there(name: str) -> None:
    rooms = [pylstm, *(getattr(pylstm, room) for room in ROOMS if room != "pylstm")]
    assert [room.__name__ for room in rooms if hasattr(room, name)] == []


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(rf"`((?:{'|'.join(ROOMS)})\.[\w.]+)", README)))
)
def test_names_exist(name: str) -> None:
    found: Any = pylstm
    for part in name.removeprefix("pylstm.").split("."):
        found = getattr(found, part)


@pytest.mark.parametrize("paper", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_papers_name_exist(paper: str) -> None:
    text = (ROOT / paper).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    named = re.findall(r"`(\.?[\w/.-]+/[\w.-]*|[\w/-]+\.[ch]pp)`", text)
    places = (ROOT, ROOT / "src" / "cpp", ROOT / "src" / "cpp" / "network")
    for target in links + named:
        assert any((place / target).exists() for place in places), f"{paper}: {target}"


def test_architecture_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 120
