"""`pylstm bench`: how fast pylstm is on this machine, and how near to what the machine can do."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import pylstm
from pylstm import _core
from pylstm._bench import floor, machine, ours, problems, timing
from pylstm.cli import _arguments
from pylstm.cli._output import say, write

RUNS = 5
_MOST_THREADS = 4096  # of pylstm.set_num_threads
HEADER = f"\n{'problem':<42}{'time, ms':>10}{'GFLOP/s':>9}{'% of peak':>11}{'× floor':>9}\n"


def add_parser(commands: _arguments.Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "bench",
        help="time training and inference, and compare with this machine's limits",
        description="Measure the machine's multiply-add peak and read bandwidth, time a grid of "
        "problems, and print each with its share of the peak at that moment, and its distance "
        "from the least time that the machine allows.",
    )
    parser.add_argument(
        "--group",
        nargs="+",
        choices=[*problems.GROUPS, "all"],
        default=["headline"],
        help="problems to time (default: headline)",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="problems whose name has TEXT")
    parser.add_argument(
        "--threads",
        type=_arguments.whole_number(1, _MOST_THREADS),
        default=None,
        metavar="N",
        help="threads to use (default: those that any call uses)",
    )
    parser.add_argument(
        "--seconds",
        type=_arguments.number(0.0, above=True),
        default=0.2,
        metavar="S",
        help=f"length of one of the {RUNS} measurements of a problem (default: %(default)s)",
    )
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code.

    Raises:
        ValueError: no problem has that name.
    """
    groups = [] if "all" in arguments.group else arguments.group
    chosen = problems.select(groups, arguments.only)
    isa, threads = pylstm.active_isa(), pylstm.get_num_threads()
    try:
        pylstm.set_num_threads(arguments.threads or threads)
        _report(chosen, arguments.seconds)
    finally:
        pylstm.use_isa(isa)
        pylstm.set_num_threads(threads)
    return 0


def _report(chosen: list[problems.Problem], seconds: float) -> None:
    for key, value in machine.record().items():
        say(key.removeprefix("pylstm ").removeprefix("thread_"), value)
    own = pylstm.active_isa()
    isas = [isa for isa in dict.fromkeys([own, *(p.isa or own for p in chosen)]) if _has(isa)]
    limits = {isa: machine.measure(isa, pylstm.get_num_threads()) for isa in isas}
    for measured in limits.values():
        _limits(measured)
    write(HEADER)
    for problem in chosen:
        if _has(problem.isa or own):
            pylstm.use_isa(problem.isa or own)
            _row(problem, limits[problem.isa or own], seconds)


def _has(isa: str) -> bool:
    return isa in _core.available_isas()


def _limits(limits: machine.Limits) -> None:
    reads = zip(machine.LEVELS, limits.bandwidth, strict=True)
    say("limits", f"{limits.isa}, threads: {limits.threads}, peak {limits.peak / 1e9:.0f} GFLOP/s")
    say("", "read " + ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in reads) + " GB/s")


def _row(problem: problems.Problem, limits: machine.Limits, target: float) -> None:
    variants, _ = ours.prepare(problem)
    (work,) = variants.values()
    seconds = timing.stopwatch(work)
    repeats = timing.repeats_for(seconds, target)
    turns = [(seconds(repeats) / repeats, machine.peak_now(limits.threads)) for _ in range(RUNS)]
    time = statistics.median(time for time, _ in turns)
    percent = statistics.median(100 * problem.flops / time / peak for time, peak in turns)
    times_floor = statistics.median(
        time / floor.seconds(problem, replace(limits, peak=peak)) for time, peak in turns
    )
    write(
        f"{problem.name:<42}{1e3 * time:>10.3f}{problem.flops / time / 1e9:>9.1f}"
        f"{percent:>11.0f}{times_floor:>9.2f}\n"
    )
