"""One row after another: prepare, compare answers, time the pairs."""

from __future__ import annotations

import argparse
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers as libraries
from benchmarks.adapters import Unsupported
from benchmarks.remote import Prepared, Worker, WorkerError
from benchmarks.timing import Duel
from pylstm import _core
from pylstm._bench import floor, machine
from pylstm._bench.problems import Problem
from pylstm._bench.timing import repeats_for

TOLERANCE = 1e-4  # relative to the largest value of the peer's answer
# Of the best rates: turns with so much of both had the cores nearly for themselves. A clock that
# follows others' load takes up to 15 %, a busy hyperthread about half of the issue rate.
QUIET = 0.8


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    pairs: int  # of every peer
    seconds: float  # of one side of one pair, at least one repeat


def check_plan(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the program unless --threads, --pairs and --seconds can be measured here."""
    cores = _core.available_cores()
    if not all(1 <= threads <= cores for threads in args.threads):
        parser.error(f"--threads: expected whole numbers from 1 to {cores}, got {args.threads}")
    if args.pairs < 1 or not 0 < args.seconds < math.inf:
        got = f"{args.pairs} and {args.seconds}"
        parser.error(f"--pairs, --seconds: expected positive numbers, got {got}")


class Bench:
    """Ours and the peers with one number of threads; workers live as long as this does."""

    def __init__(self, peers: list[str], threads: int, isa: str, plan: Plan) -> None:
        self._names, self._threads, self._isa, self._plan = peers, threads, isa, plan
        self._workers: dict[tuple[str, str], Worker] = {}
        self._limits: dict[str, machine.Limits] = {}
        self._issue_rate = 0.0  # the best one so far
        self.versions: dict[str, str] = {}

    def row(self, problem: Problem) -> dict[str, Any]:
        """Measure one problem; what a peer cannot do or does wrong stands in its place."""
        isa = problem.isa or self._isa
        limits, steal = self._limits_of(isa), machine.steal()
        ours = self._worker("pylstm", isa)
        prepared = ours.prepare(problem)
        names = ["unmasked"] if problem.padded else [] if problem.isa else self._names
        found = {name: self._ready(name, isa, problem, prepared) for name in names}
        duels = self._fight([n for n in names if "variant" in found[n]], isa, ours, found)
        turns = [
            (a, *moment)
            for duel in duels.values()
            for (a, _), moment in zip(duel.times, duel.moments or [], strict=True)
        ] or self._alone(ours)
        times, peaks, rates = np.array(turns).T
        self._issue_rate = max(self._issue_rate, limits.issue_rate, rates.max())
        issued = rates / self._issue_rate
        chosen = (issued >= QUIET) & (peaks >= QUIET * max(limits.peak, peaks.max()))
        seconds = float(np.median(times))
        floors = [floor.seconds(problem, dataclasses.replace(limits, peak=p)) for p in peaks]
        shares, distances = 100 * problem.flops / times / peaks, times / floors
        return {
            "problem": problem.name,
            **dataclasses.asdict(problem),
            "isa": isa,
            "threads": self._threads,
            "seconds": seconds,
            "first": prepared.first,
            "gflops": problem.flops / seconds / 1e9,
            "peak": float(np.median(peaks)),
            "percent_of_peak": float(np.median(shares)),
            "percent_of_best_peak": 100 * problem.flops / seconds / limits.peak,
            "percent_of_issue_rate": float(np.median(100 * issued)),
            "times_floor": float(np.median(distances)),
            "times_floor_at_best_peak": seconds / floor.seconds(problem, limits),
            **quiet(shares, distances, chosen),
            "steal_ticks": machine.steal() - steal,
            "peers": found,
        }

    def limits(self) -> dict[str, dict[str, Any]]:
        """The roofline by instruction set, as it was measured in this run."""
        return {isa: dataclasses.asdict(limits) for isa, limits in self._limits.items()}

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def _limits_of(self, isa: str) -> machine.Limits:
        if isa not in self._limits:
            self._limits[isa] = machine.measure(isa, self._threads)
        return self._limits[isa]

    @staticmethod
    def _key(name: str, isa: str) -> tuple[str, str]:
        """Of `_workers`: the instruction set is only for what runs our kernels."""
        return name, isa if name in libraries.OURS else ""

    def _worker(self, name: str, isa: str) -> Worker:
        key = self._key(name, isa)
        if key not in self._workers:
            self._workers[key] = Worker(name, self._threads, key[1])
            self.versions.update(self._workers[key].versions())
        return self._workers[key]

    def _ready(self, name: str, isa: str, problem: Problem, ours: Prepared) -> dict[str, Any]:
        try:
            theirs = self._worker(name, isa).prepare(problem)
            checked = compare(ours.answer, theirs.answer)
        except Unsupported as reason:
            return {"unsupported": str(reason)}
        except (ArithmeticError, WorkerError) as error:
            return self._failed(name, isa, error)
        return {
            "variant": theirs.variant,
            "first": theirs.first,
            "trials": theirs.trials,
            "largest_difference": checked,
        }

    def _fight(
        self, names: list[str], isa: str, ours: Worker, found: dict[str, Any]
    ) -> dict[str, Duel]:
        """Time the pairs of these peers; results, or what failed, go into `found`."""
        duels: dict[str, Duel] = {}
        for name in names:
            try:
                duel = Duel(ours, self._worker(name, isa), self._plan.seconds, moments=[])
                duel.fight(self._plan.pairs)
            except WorkerError as error:
                if error.name == ours.name:
                    raise
                found[name] = self._failed(name, isa, error)
                continue
            duels[name] = duel
            found[name].update(duel.result())
        return duels

    def _failed(self, name: str, isa: str, error: Exception) -> dict[str, Any]:
        """What stands in the peer's place; its next problem gets a new process."""
        if worker := self._workers.pop(self._key(name, isa), None):
            worker.close()
        return {"error": str(error)}

    def _alone(self, ours: Worker) -> list[tuple[float, ...]]:
        repeats = repeats_for(ours.seconds, self._plan.seconds)
        return [(ours.seconds(repeats) / repeats, *ours.moment()) for _ in range(self._plan.pairs)]


def quiet(
    shares: NDArray[Any], distances: NDArray[Any], chosen: NDArray[np.bool_]
) -> dict[str, Any]:
    """Medians of the chosen turns, those that had the cores nearly for themselves."""
    return {
        "turns": len(chosen),
        "quiet_turns": int(chosen.sum()),
        "quiet_percent_of_peak": float(np.median(shares[chosen])) if chosen.any() else None,
        "quiet_times_floor": float(np.median(distances[chosen])) if chosen.any() else None,
    }


def compare(ours: dict[str, NDArray[Any]], peer: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Largest difference of each array, relative to the peer's largest value.

    Raises:
        ArithmeticError: the names are not the same, or a difference is above `TOLERANCE`.
    """
    if ours.keys() != peer.keys():
        raise ArithmeticError(f"answers have other names: {sorted(ours.keys() ^ peer.keys())}")
    result = {}
    for name, value in ours.items():
        if value.shape != peer[name].shape:
            raise ArithmeticError(f"{name}: shape {value.shape}, the peer's is {peer[name].shape}")
        result[name] = float(np.max(np.abs(value - peer[name])) / np.max(np.abs(peer[name])))
        if not result[name] <= TOLERANCE:
            raise ArithmeticError(f"{name}: answers differ by {result[name]:.1e}; not timed")
    return result
