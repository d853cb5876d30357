"""pylstm through its public API."""

from __future__ import annotations

from benchmarks.adapters import Prepared
from pylstm import _core
from pylstm._bench import ours
from pylstm._bench.problems import Problem


def versions() -> dict[str, str]:
    return {f"pylstm {key}": value for key, value in _core.build_info().items()}


def prepare(problem: Problem) -> Prepared:
    return ours.prepare(problem)
