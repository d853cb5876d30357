"""pylstm again, without the mask: what a padded batch is compared with."""

from __future__ import annotations

from benchmarks.adapters import Prepared, Unsupported
from benchmarks.adapters.pylstm_ import versions
from pylstm._bench import ours
from pylstm._bench.problems import Problem

__all__ = ["prepare", "versions"]


def prepare(problem: Problem) -> Prepared:
    if not problem.padded:
        raise Unsupported("compares padded batches only")
    return ours.prepare(problem, masked=False)
