"""The child's end: one library in a process of its own. Started by `benchmarks.remote`.

python -m benchmarks.worker ADAPTER CORE...
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

from benchmarks import wire
from benchmarks.adapters import Unsupported

TRIAL = 0.1  # seconds of each of the runs that choose a variant


def _without_engine() -> None:
    """Let `pylstm._bench.problems` be imported where pylstm is not installed."""
    if importlib.util.find_spec("pylstm") is None:
        package = types.ModuleType("pylstm")
        package.__path__ = [str(Path(__file__).resolve().parent.parent / "src" / "pylstm")]
        sys.modules["pylstm"] = package


class _Library:
    """An adapter and the problem that it has prepared."""

    def __init__(self, adapter: str) -> None:
        self._module = importlib.import_module(f"benchmarks.adapters.{adapter}_")
        self._run: Any = None

    def versions(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"versions": self._module.versions()}, {}

    def prepare(self, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Answer, first-call time and the fastest variant of a problem."""
        from pylstm._bench.problems import Problem

        tuples: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
        }
        self._run = None  # frees the last problem's memory
        start = time.perf_counter()
        variants, answer = self._module.prepare(Problem(**tuples))
        built = time.perf_counter() - start
        first, speed = {}, {}
        for name, run in variants.items():
            first[name] = built + self._time(run, 1)
            speed[name] = self._speed(run) if len(variants) > 1 else 0.0
        best = min(speed, key=speed.__getitem__)
        self._run = variants[best]
        trials = speed if len(speed) > 1 else {}
        head = {"variant": best, "first": first[best], "trials": trials}
        return head, answer()

    def seconds(self, repeats: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"seconds": self._time(self._run, repeats)}, {}

    def moment(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the machine could do right after our turn; only where pylstm is installed."""
        from pylstm import _core
        from pylstm._bench import machine

        threads = _core.get_num_threads()
        rates = machine.peak_now(threads), machine.issue_rate_now(threads)
        return dict(zip(("peak", "issue_rate"), rates, strict=True)), {}

    def _speed(self, run: Any) -> float:
        """Seconds of one repeat, the best of a few: enough to choose by."""
        once = self._time(run, 1)
        if once > TRIAL:
            return min(once, self._time(run, 1))
        repeats = int(TRIAL / max(once, 1e-6))
        return min(self._time(run, repeats) / repeats for _ in range(3))

    @staticmethod
    def _time(run: Any, repeats: int) -> float:
        start = time.perf_counter()
        run(repeats)
        return time.perf_counter() - start


def main() -> None:
    adapter, *cores = sys.argv[1:]
    # What a library prints must not get between the messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores})
    _without_engine()
    library = None
    while True:
        try:
            head, _ = wire.receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            library = library or _Library(adapter)
            reply, arrays = getattr(library, head["command"])(*head["arguments"])
        except Unsupported as error:
            reply, arrays = {"unsupported": str(error)}, {}
        except Exception as error:
            reply, arrays = {"error": f"{type(error).__name__}: {error}"}, {}
        wire.send(out, reply, arrays)


if __name__ == "__main__":
    main()
