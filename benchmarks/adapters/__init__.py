"""One small module a library, each run in a process and an environment of its own.

Every module has `versions()` and `prepare(problem)`, which returns `(variants, answer)`:

- `variants`: the ways to do the work by name, `run(repeats)` each; the fastest is timed.
- `answer()`: arrays by name that all libraries must agree on, at the problem's weights and first
  batch, whatever was run before: "output", or "loss" (mean squared error against y, or sparse
  cross-entropy) and the gradients by `problem.weight_names`, in Keras' layout.

A library that has no such work raises `Unsupported`.
"""

from collections.abc import Callable
from typing import Any

Run = Callable[[int], None]
Answer = Callable[[], dict[str, Any]]
Prepared = tuple[dict[str, Run], Answer]


class Unsupported(Exception):
    """The library has no such work; the table shows a dash."""
