"""What benchmarks/ reports of stored rows: verdicts, tables, a plot, README's table."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pylstm._bench.problems import Problem

ROOT = Path(__file__).resolve().parents[1]
TINY = Problem("forward_backward", 2, 5, 7, 7)


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
        (row_of(1, {"a": 2.0}, against=["a", "missing"]), ""),
        (row_of(1, {"a": 1.1}, against=["a", "missing"]), "short"),
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
        for table in suite.report.document(stored).split("\n\n"):
            lines = [text for text in table.splitlines() if text.startswith("|")]
            assert len({text.count("|") for text in lines}) <= 1, table


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


def test_readme_shows_a_stored_run(suite: SimpleNamespace) -> None:
    papers = (ROOT / "README.md").read_text(encoding="utf-8")
    speed = papers.split("## Speed", 1)[1]
    name = re.search(r"benchmarks/results/[\w-]+\.json", speed)
    assert name
    stored = json.loads((ROOT / name[0]).read_text(encoding="utf-8"))
    assert suite.readme.table(stored) in speed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5e-7, "0.500 µs"),
        (9.996e-6, "10.0 µs"),
        (9.5e-5, "95.0 µs"),
        (9.996e-5, "100 µs"),
        (9.996e-4, "1.00 ms"),
        (0.06, "60.0 ms"),
        (0.2, "200 ms"),
        (2.5, "2500 ms"),
    ],
)
def test_times_have_three_digits(suite: SimpleNamespace, seconds: float, text: str) -> None:
    assert suite.readme.duration(seconds) == text


def test_a_problem_that_was_not_timed_everywhere_has_a_line(suite: SimpleNamespace) -> None:
    row = row_of(1, {}, group="headline", kind="forward", vocabulary=0, units=8, batch=1, steps=3)
    other = {**row, "problem": "r", "batch": 2, "threads": 2, "peers": {"torch": {"ratio": 1.5}}}
    lines = suite.readme.table({"rows": [row, other, row_of(1, {}, group="odd")]}).splitlines()
    assert lines[2:] == [
        "| LSTM forward of one row, 8 units, 3 steps | 1000 ms, 80 % | – | – | – |",
        "| LSTM forward, 8 units, batch 2, 3 steps | – | PyTorch | – | 1.50 |",
    ]


def test_rows_below_their_floor_are_told(suite: SimpleNamespace) -> None:
    below = {**row_of(2, {}), "times_floor": 0.957}
    assert suite.report.too_fast([row_of(1, {}), below]) == ["- p, 2 threads: 0.96×"]
