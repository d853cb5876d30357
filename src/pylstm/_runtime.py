"""Threads, instruction sets and the source of seeds. Imports nothing heavy."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from pylstm import _core
from pylstm._fork_locks import fork_lock
from pylstm._warnings import warn

_MASK64 = (1 << 64) - 1


class _Seeds:
    """A sequence of seeds: repeatable after `reset(seed)`, from the operating system before."""

    def __init__(self) -> None:
        self._lock = fork_lock()
        self._base: int | None = None
        self._count = 0

    def reset(self, seed: int) -> None:
        with self._lock:
            self._base, self._count = seed, 0

    def draw(self) -> int:
        with self._lock:
            if self._base is None:
                return int.from_bytes(os.urandom(8), "little") >> 1
            self._count += 1
            return _mix(self._base + self._count * 0x9E3779B97F4A7C15) >> 1


def _mix(z: int) -> int:
    """Spread neighbouring integers over 64 bits (the finaliser of SplitMix64)."""
    z &= _MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
    return z ^ (z >> 31)


_seeds = _Seeds()


def draw_seed() -> int:
    """The next seed for something that was given none: 0 <= seed < 2**63."""
    return _seeds.draw()


def set_seed(seed: int) -> None:
    """Make everything that follows repeatable: initial weights, shuffling, dropout, sampling.

    Models draw their seeds from `seed` when they are made, layers that are in none when they are
    built or called. Without it, seeds come from the operating system. A layer's own `seed` goes
    first.

    Args:
        seed: An integer from 0 to 2**63 - 1.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is negative, or 2**63 or more.

    >>> import pylstm
    >>> pylstm.set_seed(7)
    """
    from pylstm import _checks

    _seeds.reset(_checks.seed("seed", seed))


@functools.cache  # a process hears of it once
def _warn_of_cores() -> None:
    warn(
        f"n: {_core.get_num_threads()} threads are more than the {_core.available_cores()} "
        f"processors that this process may use; they will wait for each other",
        RuntimeWarning,
    )


def set_num_threads(n: int) -> None:
    """Set how many threads one call may use; results do not depend on it. A forked child has one.

    The first number above that of the processors this process may use gives a RuntimeWarning.

    Args:
        n: An integer from 1 to 4096. Until it is set it is that of the variable PYLSTM_NUM_THREADS,
            or the number of processors this process may use, at most that of OMP_NUM_THREADS.

    Raises:
        TypeError: `n` is not an integer.
        ValueError: `n` is below 1 or above 4096.
    """
    from pylstm import _checks

    n = _checks.positive_int("n", n)
    _core.set_num_threads(n)
    if n > _core.available_cores():
        _warn_of_cores()


def get_num_threads() -> int:
    """How many threads one call may use."""
    return _core.get_num_threads()


def meet_threadpoolctl() -> None:
    """If the program uses threadpoolctl, make its limits count here; once.

    Only the team of the engine's own needs it: OpenMP's number is threadpoolctl's already.
    """
    if "threadpoolctl" in sys.modules and _core.build_info()["thread_backend"] == "pool":
        _register_controller()


@functools.cache
def _register_controller() -> None:
    module: Any = sys.modules["threadpoolctl"]
    if not hasattr(module, "register"):  # before version 3.2
        return

    def get_num_threads(self: object) -> int:
        return _core.get_num_threads()

    def set_num_threads(self: object, num_threads: int) -> None:
        _core.set_num_threads(max(1, num_threads))

    def get_version(self: object) -> str:
        return _core.build_info()["version"]

    module.register(
        type(
            "PylstmController",
            (module.LibController,),
            {
                "user_api": "pylstm",
                "internal_api": "pylstm",
                "filename_prefixes": ("_core.",),
                "check_symbols": ("pylstm_num_threads",),
                "get_num_threads": get_num_threads,
                "set_num_threads": set_num_threads,
                "get_version": get_version,
            },
        )
    )


def use_isa(name: str) -> None:
    """Use the instruction set `name` ("baseline", "avx2", "avx512", …) from now on. A fit that runs
    ends on the one that it began on.

    The environment variable PYLSTM_ISA does the same from the start.

    Raises:
        TypeError: `name` is no string.
        ValueError: the name is unknown, or this processor does not have it.
    """
    from pylstm import _checks

    _core.use_isa(_checks.text("name", name))


def active_isa() -> str:
    """The instruction set in use."""
    return _core.active_isa()


def available_isas() -> list[str]:
    """The instruction sets that this build and this processor have, best first."""
    return _core.available_isas()


def show_config() -> None:
    """Print version, compiler, instruction sets and threads: the facts a bug report needs."""
    import numpy as np

    build = _core.build_info()
    facts = {
        "pylstm": build.pop("version"),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        **build,
        "isa in use": _core.active_isa(),
        "isas here": " ".join(_core.available_isas()),
        "threads": str(_core.get_num_threads()),
    }
    for name, value in facts.items():
        print(f"{name:>16}: {value}")
