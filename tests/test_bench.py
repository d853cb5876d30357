"""`pylstm bench` and what it is made of: the grid, the floor, our side of a problem."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pylstm
from pylstm import _core, reference
from pylstm._bench import floor, machine, ours, problems
from pylstm._bench.machine import LEVELS, Limits
from pylstm.cli import main

LIMITS = Limits("avx512", 1, 256e9, (500e9, 200e9, 100e9, 40e9))
SMALL = {
    "forward": problems.Problem("forward", 2, 5, 7, 7),
    "forward_backward": problems.Problem("forward_backward", 2, 5, 7, 7),
    "train_step": problems.Problem("train_step", 3, 4, 5, 6, 11),
    "predict": problems.Problem("predict", 3, 4, 5, 6, 11, layers=2),
    "character": problems.Problem("character", 3, 4, 11, 6, 11),
    "classify": problems.Problem("classify", 3, 4, 5, 6, 11, classes=2),
}


def test_names_in_the_grid_are_unique() -> None:
    names = [problem.name for problem in problems.GRID]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("problem", problems.GRID, ids=lambda p: p.name)
def test_the_floor_is_above_its_products_at_the_peak(problem: problems.Problem) -> None:
    """Those of an embedding's rows are done once for each different token."""
    done = problem.flops
    if problem.kind in problems.TOKEN_KINDS:
        missed = (1 - 1 / problem.vocabulary) ** problem.real_steps  # chance of a token
        repeated = problem.real_steps - problem.vocabulary * (1 - missed)
        products = 3 if problem.is_training else 1
        done -= products * 8 * repeated * problem.inputs * problem.units
    assert 0 < done <= problem.flops
    assert floor.seconds(problem, LIMITS) > done / LIMITS.peak


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_the_floor_falls_with_a_better_machine(kind: str) -> None:
    slow = floor.seconds(SMALL[kind], LIMITS)
    better = replace(LIMITS, peak=2 * LIMITS.peak, bandwidth=tuple(2 * b for b in LIMITS.bandwidth))
    assert floor.seconds(SMALL[kind], better) < slow
    assert len(LIMITS.bandwidth) == len(LEVELS)


def test_what_stays_in_the_third_level_is_read_faster() -> None:
    """Here what Adam reads and writes; the softmax waits for its products."""
    problem = problems.Problem("train_step", 32, 50, 128, 128, 5000)
    slow, fast = (replace(LIMITS, third_level=n) for n in (0, 32 << 20))
    assert floor.seconds(problem, fast) < floor.seconds(problem, slow)
    parts = [floor._Floor(problem, limits)._adam() for limits in (slow, fast)]
    assert parts[0] / parts[1] == pytest.approx(LIMITS.bandwidth[-2] / LIMITS.bandwidth[-1])


def test_what_a_machine_does_not_tell_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert machine.record()["cpu"]
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "CACHES", tmp_path)
    assert "cpu family" not in machine.record()
    assert machine._third_level() == 0
    assert machine.measure(_core.active_isa(), 1, 1e-3).third_level == machine.THIRD_LEVEL
    for index, (level, size) in enumerate([("1", "48K"), ("1", "32K"), ("2", "1M"), ("3", "32M")]):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "level").write_text(level + "\n")
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert machine._third_level() == 32 << 20
    (tmp_path / "cpuinfo").write_text("processor\t: 0\ncpu family\t: 26\nmodel name\t: A B\n")
    assert machine.record()["cpu"] == "A B"
    assert machine.record()["cpu family"] == "26"


def test_the_floor_of_one_sequence_is_the_sweep_over_its_weights() -> None:
    """H=512: 4 MiB of weights a step but the first, of which each cache level holds its share."""
    problem = problems.Problem("forward", 1, 1000, 512, 512)
    second = 0.78 * (1 << 20)
    parts = (40 << 10, second - (40 << 10), (4 << 20) - second)
    sweep = sum(p / b for p, b in zip(parts, LIMITS.bandwidth, strict=False))
    cells = 512 * floor.CELL_CYCLES[LIMITS.lanes][0] / LIMITS.clock
    whole = 999 * sweep + 1000 * (cells + 8 * 512 * 512 / LIMITS.peak)
    assert floor.seconds(problem, LIMITS) == pytest.approx(whole, rel=1e-3)


def test_half_of_a_padded_batch_is_padding() -> None:
    padded = problems.Problem("predict", 8, 20, 4, 4, 9, padded=True)
    x, _ = padded.data()
    assert np.mean(x == 0) == 0.5
    assert all(np.all(np.diff((row != 0).astype(int)) <= 0) for row in x[0])  # behind the text
    assert padded.flops == replace(padded, padded=False).flops / 2


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_our_side_runs_any_number_of_repeats(kind: str) -> None:
    problem = SMALL[kind]
    variants, answer = ours.prepare(problem)
    before = answer()
    for run in variants.values():
        run(1)
        run(problems.BATCHES + 2)
    after = answer()  # of the first weights, whatever was trained in between
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_our_answer_is_the_specification() -> None:
    problem = SMALL["train_step"]
    x, y = problem.data()
    loss, gradients, _ = reference.language_model_gradients(problem.weights(), x[0], y[0])
    _, answer = ours.prepare(problem)
    got = answer()
    assert got.pop("loss") == pytest.approx(loss, rel=1e-5)
    for (name, ours_), theirs in zip(got.items(), gradients, strict=True):
        # sums of at most 12 rows of products: a few float32 roundings of the largest value
        atol = 20 * np.finfo(np.float32).eps * np.abs(theirs).max()
        np.testing.assert_allclose(ours_, theirs, rtol=0, atol=atol, err_msg=name)


def test_padding_is_left_out_only_when_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind its text a masked model holds its last output; the other one goes on."""
    problem = replace(SMALL["predict"], batch=4, padded=True)
    built: list[pylstm.Sequential] = []
    build = ours._model

    def kept(*arguments: Any) -> pylstm.Sequential:
        built.append(build(*arguments))
        return built[-1]

    monkeypatch.setattr(ours, "_model", kept)
    answers = [ours.prepare(problem, masked)[1]()["output"] for masked in (True, False)]
    assert np.array_equal(*answers)  # at the real steps
    x = problem.data()[0][0]
    held, computed = (model.predict_on_batch(x) for model in built)
    some_padded = False
    for row, length in enumerate(np.count_nonzero(x, axis=1)):
        for step in range(length, problem.steps if length else 0):
            some_padded = True
            assert np.array_equal(held[row, step], held[row, length - 1])
            assert not np.array_equal(computed[row, step], computed[row, step - 1])
    assert some_padded


def test_command_prints_a_row_for_each_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = pylstm.get_num_threads()
    monkeypatch.setattr(problems, "GRID", [replace(SMALL["forward"], group="headline")])
    assert main(["bench", "--seconds", "1e-4", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"limits +\S+, threads: 1, peak \d+ GFLOP/s", out)
    assert re.search(r"forward H7 B2 T5 +\d+\.\d{3} +[\d.]+ +\d+ +[\d.]+\n", out)
    assert pylstm.get_num_threads() == threads


def test_command_refuses_a_name_that_no_problem_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "no such problem"]) == 2
    error = capsys.readouterr().err
    assert "no such problem" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("threads", ["0", "-1", "two"])
def test_command_refuses_a_bad_thread_count(
    threads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--threads", threads])
    assert stopped.value.code == 2
    assert "--threads" in capsys.readouterr().err
