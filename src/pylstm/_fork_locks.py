"""Locks that a fork waits for, so that a child finds them free, and whole what they guard."""

from __future__ import annotations

import functools
import itertools
import os
import weakref
from _thread import (  # threading takes milliseconds to import
    RLock,
    get_ident,
    interrupt_main,
    start_new_thread,
)
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

_numbers: Iterator[int] = itertools.count()
_locks: dict[int, weakref.ref[Any]] = {}  # by age


def fork_lock() -> AbstractContextManager[Any]:
    """A reentrant lock that a fork waits for.

    Who holds one takes at most an older one besides, and never waits for the thread that forks.
    """
    with _making:
        return _registered()


def _registered() -> AbstractContextManager[Any]:
    number, lock = next(_numbers), RLock()
    forget = functools.partial(_locks.pop, number)
    _locks[number] = weakref.ref(lock, forget)  # pop(number, the dead reference)
    return lock


_making = _registered()  # the oldest: who forks holds it last, and then no other one is made


class _Fork:
    """The locks that one fork holds."""

    def __init__(self) -> None:
        self._locks: list[Any] = []
        self._taken: list[bool] = []  # True for each of the first of them
        self._interrupted = False

    def take_all(self) -> None:
        """Take all locks, the youngest first; anew if one was made before the oldest was taken."""
        while True:
            numbers = sorted(_locks, reverse=True)
            found = [reference() for reference in map(_locks.get, numbers) if reference]
            self._locks = [lock for lock in found if lock is not None]
            while len(self._taken) < len(self._locks):
                self._take()
            if max(_locks) <= numbers[0]:
                return
            self.free_all()

    def _take(self) -> None:
        # One call: between a lock and its note Python must not look at signals. The fork would
        # ignore what a hook raises.
        try:
            self._taken.extend(map(RLock.acquire, self._locks[len(self._taken) :]))
        except KeyboardInterrupt:
            self._interrupted = True

    def free_all(self) -> None:
        while self._taken:
            self._taken.pop()
            self._locks[len(self._taken)].release()

    def interrupt(self) -> None:
        """Let a Ctrl-C that came while it waited count."""
        if self._interrupted:
            start_new_thread(interrupt_main, ())  # here it would be raised in the hook, and ignored


_forks: dict[int, list[_Fork]] = {}  # by thread; a signal handler may fork while another fork waits


def _before() -> None:
    fork = _Fork()
    _forks.setdefault(get_ident(), []).append(fork)
    fork.take_all()


def _after() -> _Fork:
    forks = _forks[get_ident()]
    fork = forks.pop()
    if not forks:
        del _forks[get_ident()]
    fork.free_all()
    return fork


def _after_in_parent() -> None:
    _after().interrupt()


def _after_in_child() -> None:
    _after()
    for thread in [thread for thread in _forks if thread != get_ident()]:
        del _forks[thread]  # it is not in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
