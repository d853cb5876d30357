"""The parent's end of a worker: start it, ask it, wait until it is quiet."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from benchmarks import peers, wire
from benchmarks.adapters import Unsupported

if TYPE_CHECKING:  # so that peers can be set up before pylstm is built
    from pylstm._bench.problems import Problem

SETTLE = 0.5  # seconds to wait for threads that spin; whoever spins longer is timed with its noise


class WorkerError(RuntimeError):
    """The library failed; its process is gone or cannot be trusted."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A problem, ready to be timed."""

    answer: dict[str, NDArray[Any]]
    variant: str  # the fastest of the adapter's ways to run it
    first: float  # seconds to build it and to run it once
    trials: dict[str, float]  # seconds a repeat of each way, where there are several


class Moment(NamedTuple):
    """What the cores gave for a few milliseconds."""

    peak: float  # FLOP/s of multiply-adds
    issue_rate: float  # instructions/s, of those that wait for nothing


class Worker:
    """A library in a process, an environment and on cores of its own.

    Args:
        name: of the adapter.
        threads: that it may use; it is bound to as many cores.
        isa: that pylstm is to use; empty: its own choice.
        python: an interpreter with the library, instead of the adapter's own.
    """

    def __init__(self, name: str, threads: int, isa: str = "", python: Path | None = None) -> None:
        self.name = name
        command = [str(python or peers.python(name)), "-m", "benchmarks.worker", name]
        self._process = subprocess.Popen(
            [*command, *_cores(threads)],
            cwd=peers.ROOT,
            env=_environment(name, threads, isa, with_path=python is None),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def versions(self) -> dict[str, str]:
        versions: dict[str, str] = self._ask("versions")[0]["versions"]
        return versions

    def prepare(self, problem: Problem) -> Prepared:
        """Unsupported if the library has no such work; WorkerError if it failed."""
        head, answer = self._ask("prepare", dataclasses.asdict(problem))
        return Prepared(answer, head["variant"], head["first"], head["trials"])

    def seconds(self, repeats: int) -> float:
        return float(self._ask("seconds", repeats)[0]["seconds"])

    def moment(self) -> Moment:
        """What the machine can do now, told by a worker that runs pylstm."""
        return Moment(**self._ask("moment")[0])

    def settle(self) -> None:
        """Wait until none of its threads runs: many spin for a while after their last work."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        if not tasks.exists():
            time.sleep(0.02)
            return
        end = time.perf_counter() + SETTLE
        while any(_runs(task) for task in tasks.iterdir()) and time.perf_counter() < end:
            time.sleep(0.001)

    def close(self) -> None:
        """End the process, which stops when it is told nothing more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _ask(self, command: str, *arguments: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        try:
            wire.send(to, {"command": command, "arguments": arguments}, {})
            head, arrays = wire.receive(back)
        except (EOFError, OSError) as error:
            raise WorkerError(self.name, str(error)) from error
        if "unsupported" in head:
            raise Unsupported(head["unsupported"])
        if "error" in head:
            raise WorkerError(self.name, head["error"])
        return head, arrays


def _cores(threads: int) -> list[str]:
    """The last cores of those we may use: the first serve most interrupts."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return [str(core) for core in sorted(os.sched_getaffinity(0))[-threads:]]


# What a shell may have set for other work, and would slow a library here: it finds the best itself.
FORCED = (
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS", "TF_XLA_FLAGS", "ATEN_CPU_CAPABILITY"),
    *("OMP_PROC_BIND", "OMP_PLACES", "OMP_WAIT_POLICY", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"),
)


def _environment(name: str, threads: int, isa: str, with_path: bool) -> dict[str, str]:
    """Thread counts, set before the library loads. No setting slows a library in its own turn.

    with_path: ours finds its packages where this process does.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYLSTM_NUM_THREADS")
    result = {**os.environ, **dict.fromkeys(names, str(threads))}
    for forced in FORCED:
        result.pop(forced, None)
    result["OPENBLAS_THREAD_TIMEOUT"] = "20"  # idle threads sleep after 2**20 cycles, not 2**26
    result["KMP_BLOCKTIME"] = "10"  # milliseconds, not 200
    result["TF_CPP_MIN_LOG_LEVEL"] = "2"
    result["JAX_PLATFORMS"] = "cpu"
    if name == "jax" and threads == 1:  # with more, XLA takes the cores that it is bound to
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        result["XLA_FLAGS"] = flags
    if isa:
        result["PYLSTM_ISA"] = isa
    if name in peers.OURS and with_path:
        result["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    else:
        result.pop("PYTHONPATH", None)
    return result


def _runs(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    except OSError:  # the thread has ended
        return False
