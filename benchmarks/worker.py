"""A library in a process of its own: two OpenMP runtimes in one process disturb each other."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.problems import Problem


def _serve(adapter: str, pipe: Connection) -> None:
    module = importlib.import_module(f"benchmarks.adapters.{adapter}")
    run = answer = None
    while True:
        command, argument = pipe.recv()
        if command == "versions":
            pipe.send(module.versions())
        elif command == "prepare":
            run, answer = module.prepare(argument)
            pipe.send(answer())
        elif command == "time":
            assert run is not None
            start = time.perf_counter()
            run(argument)
            pipe.send(time.perf_counter() - start)
        else:
            return


class Worker:
    """The parent's end. Thread counts are set in the environment before the library loads."""

    def __init__(self, adapter: str, threads: int, isa: str = "") -> None:
        count = str(threads)
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYLSTM_NUM_THREADS")
        os.environ.update(dict.fromkeys(names, count))
        # OpenBLAS' idle threads spin on through the other library's turn: 2**20 cycles, then sleep.
        os.environ["OPENBLAS_THREAD_TIMEOUT"] = "20"
        if isa:
            os.environ["PYLSTM_ISA"] = isa
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(adapter, child), daemon=True)
        self._process.start()

    def ask(self, command: str, argument: Any = None) -> Any:
        self._pipe.send((command, argument))
        return self._pipe.recv()

    def prepare(self, problem: Problem) -> list[Any]:
        return list(self.ask("prepare", problem))

    def seconds(self, repeats: int) -> float:
        return float(self.ask("time", repeats))

    def close(self) -> None:
        self._pipe.send(("stop", None))
        self._process.join(10)
