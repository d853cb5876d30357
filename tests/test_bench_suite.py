"""benchmarks/: messages, answers, a row from end to end, the report."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
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


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of benchmarks/, which is not a part of the package."""
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("benchmarks/ is not beside the tests")
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import adapters, builds, grid, peers, remote, report, soak, wire

    return SimpleNamespace(
        adapters=adapters,
        builds=builds,
        grid=grid,
        peers=peers,
        remote=remote,
        report=report,
        soak=soak,
        wire=wire,
    )


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


def test_a_build_beside_itself_has_the_same_bits(suite: SimpleNamespace) -> None:
    workers = [
        suite.remote.Worker("pylstm", 1, python=path) for path in (None, Path(sys.executable))
    ]
    try:
        row = suite.builds.line(TINY, 1, workers, 2, 0.001)
    finally:
        for worker in workers:
            worker.close()
    assert row.startswith(f"| {TINY.name} | 1 |")
    assert row.endswith("| the same |")


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


def row_of(threads: int, peers: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A stored row with these ratios."""
    entries = {
        name: {"ratio": r, "interval": [r, r], "pairs": 20, "seconds": 1.0, "first": 1.0}
        for name, r in peers.items()
    }
    problem = asdict(replace(TINY, asked=(1.2, 1.5)))
    own = {"seconds": 1.0, "gflops": 1.0, "percent_of_peak": 80.0, "times_floor": 1.3}
    return {**problem, "problem": "p", **own, "threads": threads, "peers": entries, **changes}


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (row_of(1, {"a": 1.3, "b": 2.0}), "reached"),
        (row_of(2, {"a": 1.3, "b": 2.0}), "short"),
        (row_of(1, {"a": 1.1, "b": 2.0}), "short"),
        (row_of(1, {"a": 1.1, "b": 2.0}, against=["b"]), "reached"),
        (row_of(1, {"a": 1.3}, asked_percent=86.0), "short"),
        (row_of(1, {"a": 2.0}, against=["missing"]), ""),
        (row_of(1, {"a": 0.5}, against=["missing"]), ""),
        (row_of(1, {"a": 2.0}, against=["missing"], asked_percent=79.0), ""),
        (row_of(1, {"a": 2.0}, against=["missing"], asked_percent=86.0), "short"),
        (row_of(1, {"a": 1.3}, asked_percent=79.0), "reached"),
        (row_of(1, {}, asked=[0.0, 0.0], asked_percent=79.0), "reached"),
        (row_of(1, {"a": 1.3}, asked=[0.0, 0.0]), ""),
        (row_of(1, {}), ""),
    ],
)
def test_the_verdict(suite: SimpleNamespace, row: dict[str, Any], verdict: str) -> None:
    assert suite.report.verdict(row) == verdict
    assert bool(suite.report.shortfalls([row])) == (verdict == "short")


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


def test_a_shortfall_tells_what_quiet_turns_gave(suite: SimpleNamespace) -> None:
    quiet = {"quiet_turns": 7, "turns": 40, "quiet_percent_of_peak": 84.6, "quiet_times_floor": 1.1}
    row = row_of(1, {}, asked=[0.0, 0.0], asked_percent=86.0, **quiet)
    short = "- p, 1 threads: 80 of 86 % of the peak (at the floor 104); 1.30× its floor"
    told = f"{short} (7 quiet turns of 40: 85 % of the peak, 1.10×)"
    assert suite.report.shortfalls([row]) == [told]
    (shared,) = suite.report.shortfalls([{**row, "percent_of_issue_rate": 55.0}])
    assert "1.30× its floor, 55 % of the issue rate (7 quiet turns" in shared
    assert suite.report.shortfalls([{**row, "quiet_turns": 0}]) == [short]


def test_a_shortfall_shows_that_it_is_one(suite: SimpleNamespace) -> None:
    row = row_of(1, {"a": 1.1996}, asked_percent=82.0, percent_of_peak=81.97, times_floor=1.1)
    of_ratio = "1.1996 of 1.2× a (at the floor 1.32)"
    of_peak = "81.97 of 82 % of the peak (at the floor 90)"
    told = f"- p, 1 threads: {of_ratio}, {of_peak}; 1.10× its floor"
    assert suite.report.shortfalls([row]) == [told]


def test_every_faster_peer_is_listed_the_worst_first(suite: SimpleNamespace) -> None:
    rows = [row_of(1, {"a": 0.9, "b": 1.1}), row_of(2, {"c": 0.7})]
    assert [text.split(": ")[1][:6] for text in suite.report.losses(rows)] == ["c 0.70", "a 0.90"]


def test_a_peer_that_the_figure_does_not_name_is_shown_all_the_same(suite: SimpleNamespace) -> None:
    row = row_of(1, {"a": 1.3, "b": 2.0}, against=["missing"])
    assert "| a | 1000.00 ms | 1.30 (1.30-1.30) | 1.2× (missing) |  |" in suite.report.line(row)


def test_tables_of_a_run_in_which_rows_have_different_peers(suite: SimpleNamespace) -> None:
    """As stored when only some groups or some peers were measured."""
    failed = row_of(1, {"b": 2.0}, problem="q")
    failed["peers"]["c"] = {"error": "broken"}
    failed["peers"]["d"] = {"unsupported": "no such work"}
    rows = [row_of(1, {}), row_of(2, {"a": 1.3}), failed]
    for chosen in ([], rows[:1], rows):
        stored = {"date": "d", "machine": {}, "versions": {}, "limits": [], "rows": chosen}
        tables = [suite.report.document(stored), suite.report.short(stored)]
        for table in "\n\n".join(tables).split("\n\n"):
            lines = [text for text in table.splitlines() if text.startswith("|")]
            assert len({text.count("|") for text in lines}) <= 1, table
    assert tables[1].splitlines()[2:] == [
        "| p | 1 | 1000.00 ms | 80 | – | – | – | 1.2× |",
        "| p | 2 | 1000.00 ms | 80 | a | 1000.00 ms | 1.30 | 1.5× |",
        "| q | 1 | 1000.00 ms | 80 | b | 1000.00 ms | 2.00 | 1.2× |",
    ]


def test_a_plot_of_a_run_in_which_rows_have_different_peers(suite: SimpleNamespace) -> None:
    pytest.importorskip("matplotlib")
    failed = row_of(1, {"b": 2.0}, problem="q", asked=[0.0, 0.0])
    failed["peers"] |= {"c": {"error": "broken"}, "d": {"unsupported": "no such work"}}
    padded = row_of(2, {"unmasked": 0.8}, padded=True)
    rows = [row_of(1, {}), failed, row_of(2, {"a": 1.3, "b": 0.9}), padded]
    figure = suite.report.plot({"rows": rows})

    def points(panel: Any) -> dict[str, list[tuple[float, float]]]:
        named = [line for line in panel.lines if not line.get_label().startswith("_")]
        return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in named}

    one, two = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["1 threads", "2 threads"]
    assert [label.get_text() for label in one.get_yticklabels()] == ["p", "q"]
    assert points(one) == {"b": [(2.0, 1)]}
    assert points(two) == {"a": [(1.3, 0)], "b": [(0.9, 0)], "asked": [(1.5, 0)]}
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"a", "b", "asked"}
    lines = [line for panel in figure.axes for line in panel.lines]
    colours = {line.get_color() for line in lines if line.get_label() == "b"}
    assert len(colours) == 1
    figure.savefig(io.BytesIO())


def test_a_report_without_timed_peers_is_whole_and_says_that_it_has_no_plot(
    suite: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    row = row_of(1, {})
    row["peers"] = {"c": {"error": "broken"}}
    stored = {"date": "d", "machine": {}, "versions": {}, "limits": [], "rows": [row]}
    results, picture = tmp_path / "results.json", tmp_path / "results.png"
    results.write_text(json.dumps(stored))
    monkeypatch.setattr(sys, "argv", ["report", str(results)])
    suite.report.main()
    document = capsys.readouterr().out
    assert document == suite.report.document(stored)
    assert "- p, 1 threads, c: broken" in document
    monkeypatch.setattr(sys, "argv", ["report", str(results), "--plot", str(picture)])
    with pytest.raises(SystemExit) as ended:
        suite.report.main()
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (1, document)
    assert "nothing to plot: no peer was timed" in printed.err
    assert not picture.exists()


def test_a_report_without_a_plot_does_not_need_matplotlib(suite: SimpleNamespace) -> None:
    code = "import sys; from benchmarks import report, __main__; print('matplotlib' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("False\n", "")


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
