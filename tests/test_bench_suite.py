"""benchmarks/: messages, answers, a row from end to end, the report."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pylstm import _core
from pylstm._bench.machine import Limits
from pylstm._bench.problems import Problem

ROOT = Path(__file__).resolve().parents[1]
TINY = Problem("forward_backward", 2, 5, 7, 7)


def test_a_message_arrives_as_it_was_sent(suite: SimpleNamespace) -> None:
    stream = io.BytesIO()
    arrays = {"a": np.arange(6.0).reshape(2, 3), "scalar": np.float32(2.5)}
    suite.wire.send(stream, {"command": "prepare", "arguments": [1, "x"]}, arrays)
    stream.seek(0)
    head, got = suite.wire.receive(stream)
    assert head == {"command": "prepare", "arguments": [1, "x"]}
    assert got.keys() == arrays.keys()
    assert all(np.array_equal(got[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("kept", [0, 7, 20, -1])
def test_half_a_message_is_an_end(suite: SimpleNamespace, kept: int) -> None:
    stream = io.BytesIO()
    suite.wire.send(stream, {"command": "x"}, {"a": np.zeros(3)})
    with pytest.raises(EOFError):
        suite.wire.receive(io.BytesIO(stream.getvalue()[:kept]))


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        ({"loss": np.array([1.0, 2.001])}, "differ by 5.0e-04"),
        ({"loss": np.array([1.0, np.nan])}, "differ by nan"),
        ({"loss": np.array([1.0])}, "shape"),
        ({"other": np.array([1.0, 2.0])}, "names"),
    ],
)
def test_another_answer_is_refused(
    suite: SimpleNamespace, peer: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArithmeticError, match=message):
        suite.grid.compare({"loss": np.array([1.0, 2.0])}, peer)


def bench(suite: SimpleNamespace, peers: list[str], isa: str = "", turns: int = 4) -> Any:
    plan = suite.grid.Plan(turns, 1e-4)
    return suite.grid.Bench(peers, 1, isa or _core.active_isa(), plan)


def test_a_row_beside_numpy(suite: SimpleNamespace) -> None:
    running = bench(suite, ["numpy"])
    try:
        row = running.row(TINY)
        other = running.row(replace(TINY, kind="predict", vocabulary=9))
    finally:
        running.close()
    entry = row["peers"]["numpy"]
    assert set(entry["largest_difference"]) == {"loss", *TINY.weight_names}
    assert entry["pairs"] == row["turns"] == 4
    assert (row["quiet_turns"] == 0) == (row["quiet_percent_of_peak"] is None)
    assert entry["interval"][0] <= entry["ratio"] <= entry["interval"][1]
    assert "unsupported" in other["peers"]["numpy"]
    assert suite.report.failures([row, other]) == []
    stored = {
        "date": "today", "machine": {}, "versions": running.versions,
        "limits": list(running.limits().values()), "rows": [row, other],
    }  # fmt: skip
    document = suite.report.document(stored)
    assert f"| {TINY.name} | 1 |" in document


def test_a_build_beside_itself_has_the_same_bits(
    suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    class Noted(suite.remote.Worker):
        def __init__(self, name: str, threads: int, isa: str, python: Path) -> None:
            started.append("old" if python is pythons[0] else "new")
            super().__init__(name, threads, isa, python)

    pythons = [Path(sys.executable), Path(sys.executable)]
    monkeypatch.setattr(suite.builds, "Worker", Noted)
    plan = SimpleNamespace(starts=3, pairs=4, seconds=0.001)
    row = suite.builds.line(TINY, 1, pythons, plan)
    assert started == ["old", "new", "new", "old", "old", "new"]
    assert row.startswith(f"| {TINY.name} | 1 |")
    assert row.endswith("| the same |")


def test_an_interval_counts_what_starts_of_a_process_differ(suite: SimpleNamespace) -> None:
    ratios = np.repeat([0.9, 1.0, 1.0, 1.1], 10)
    assert suite.timing.interval(ratios) == [1.0, 1.0]
    low, high = suite.timing.interval(ratios, [0, 10, 20, 30])
    assert low < 1.0 < high


def test_padding_is_compared_with_ourselves(suite: SimpleNamespace) -> None:
    running = bench(suite, ["numpy"])
    try:
        row = running.row(Problem("train_step", 4, 6, 5, 7, 9, padded=True))
    finally:
        running.close()
    assert list(row["peers"]) == ["unmasked"]
    assert row["peers"]["unmasked"]["ratio"] > 0


@pytest.mark.parametrize("isa", _core.available_isas())
def test_both_sides_of_a_padded_row_have_its_instruction_set(
    suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, isa: str
) -> None:
    """Also after a failure, which must end the process that failed."""
    started: list[tuple[str, str]] = []
    closed: list[str] = []

    class Spy(suite.remote.Worker):
        def __init__(self, name: str, threads: int, isa: str = "") -> None:
            started.append((name, isa))
            super().__init__(name, threads, isa)

        def prepare(self, problem: Problem) -> Any:
            if started == [("pylstm", isa), ("unmasked", isa)] and self.name == "unmasked":
                problem = replace(problem, units=-1)
            return super().prepare(problem)

        def close(self) -> None:
            closed.append(self.name)
            super().close()

    monkeypatch.setattr(suite.grid, "Worker", Spy)
    running = bench(suite, [], isa)
    try:
        padded = Problem("predict", 4, 6, 5, 7, 9, padded=True)
        assert "error" in running.row(padded)["peers"]["unmasked"]
        assert closed == ["unmasked"]
        assert "ratio" in running.row(padded)["peers"]["unmasked"]
    finally:
        running.close()
    assert started == [("pylstm", isa), ("unmasked", isa), ("unmasked", isa)]


def test_a_library_that_fails_is_named_and_started_again(
    suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = bench(suite, ["numpy"])
    prepare = suite.remote.Worker.prepare

    def failing(worker: Any, problem: Problem) -> Any:
        return prepare(worker, replace(problem, units=-1) if worker.name == "numpy" else problem)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(suite.remote.Worker, "prepare", failing)
            row = running.row(TINY)
        assert row["peers"]["numpy"]["error"].startswith("numpy: ValueError")
        assert len(suite.report.failures([row])) == 1
        assert "ratio" in running.row(TINY)["peers"]["numpy"]
    finally:
        running.close()


def test_problems_can_be_imported_without_the_engine(suite: SimpleNamespace) -> None:
    """As in a peer's environment: the engine is never loaded, whether it is installed or not."""
    code = (
        f"import importlib.util, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from benchmarks import worker\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'pylstm' else find(name)\n"
        "worker._without_engine()\n"
        "from pylstm._bench.problems import GRID; import pylstm\n"
        "assert not hasattr(pylstm, 'Sequential') and 'pylstm._core' not in sys.modules\n"
        "print(len(GRID))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 0


def test_the_soak_tells_growth_from_none(
    suite: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite.soak, "resident", lambda: 1)
    assert suite.soak.watch(400)
    sizes = iter(range(100))
    monkeypatch.setattr(suite.soak, "held", lambda model: next(sizes))
    assert not suite.soak.watch(100)
    monkeypatch.setattr(suite.soak, "held", lambda model: 1)
    monkeypatch.setattr(suite.soak, "resident", lambda: next(sizes) << 20)
    assert not suite.soak.watch(100)


PEAKS = [100.0, 60.0, 81.0, 79.0, 100.0]
ISSUE_RATES = [19.0, 20.0, 16.5, 20.0, 15.5]


@pytest.mark.parametrize(
    ("peak", "issue_rate", "chosen"),
    [(99.0, 20.0, [0, 2]), (99.0, 1.0, [0, 2]), (200.0, 20.0, []), (99.0, 200.0, [])],
)
def test_quiet_turns_are_those_near_the_best_rates(
    suite: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    peak: float,
    issue_rate: float,
    chosen: list[int],
) -> None:
    """The best of all turns of the row and of the run's limits."""
    limits = Limits(_core.active_isa(), 1, peak, (1e9,) * 4, issue_rate=issue_rate)
    monkeypatch.setattr(suite.grid.machine, "measure", lambda isa, threads: limits)
    moments = map(suite.remote.Moment, PEAKS, ISSUE_RATES)
    monkeypatch.setattr(suite.remote.Worker, "moment", lambda worker: next(moments))
    running = bench(suite, [], turns=len(PEAKS))
    try:
        row = running.row(TINY)
    finally:
        running.close()
    assert (row["turns"], row["quiet_turns"]) == (len(PEAKS), len(chosen))
    assert (row["quiet_times_floor"] is None) == (not chosen)
    assert row["percent_of_issue_rate"] == pytest.approx(1900 / max(issue_rate, 20.0))


def test_quiet_medians_are_of_the_chosen_turns(suite: SimpleNamespace) -> None:
    shares, distances = np.array([80.0, 50.0, 84.0, 90.0]), np.array([1.2, 2.0, 1.1, 1.0])
    assert suite.grid.quiet(shares, distances, np.array([True, False, True, False])) == {
        "turns": 4,
        "quiet_turns": 2,
        "quiet_percent_of_peak": 82.0,
        "quiet_times_floor": pytest.approx(1.15),
    }
