"""Where the batches of a pass come from: arrays, or an iterable of batches.

A pass is a sequence of segments; the engine runs a segment of many batches in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from pylstm import _checks, _core
from pylstm._warnings import warn

if TYPE_CHECKING:
    from numpy.typing import NDArray


@runtime_checkable
class Indexed(Protocol):
    """A sequence of batches: a list, or an object as Keras' PyDataset with a length."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class Rows:
    """Checked arrays of one call, and the engine's view of them.

    The weight is (rows,) or (rows, steps), None if all weigh 1. The place is where they came from,
    for messages: "x: batch 3"; empty for a call's own arrays.
    """

    __slots__ = ("data", "place", "weight", "x", "y")

    def __init__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        data: _core.Data,
        weight: NDArray[Any] | None,
        place: str = "",
    ) -> None:
        self.x, self.y, self.data, self.weight, self.place = x, y, data, weight, place


class Segment:
    """Batches first … last-1 of the rows in `order`, cut into `batch_size`."""

    __slots__ = ("batch_size", "first", "last", "order", "rows")

    def __init__(
        self, rows: Rows, order: NDArray[np.int64], batch_size: int, first: int, last: int
    ) -> None:
        self.rows, self.order, self.batch_size = rows, order, batch_size
        self.first, self.last = first, last

    def members(self, batch: int) -> NDArray[np.int64]:
        """Row numbers of one batch."""
        return self.order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def rows_in(self, first: int, last: int) -> int:
        """Rows in batches first … last-1."""
        return min(last * self.batch_size, len(self.order)) - first * self.batch_size


class ArraySource:
    """Batches from arrays.

    Pass p takes `steps` batches from where pass p - 1 stopped. The order of the rows is new each
    time they have all been seen, and follows from `seed` and `turns` + number of times alone.
    """

    def __init__(
        self,
        rows: Rows,
        start: int,
        stop: int,
        batch_size: int,
        seed: int | None = None,
        steps: int | None = None,
        turns: int = 0,
    ) -> None:
        self._turns = turns
        self.rows, self._start, self._stop = rows, start, stop
        self._batch_size, self._seed = batch_size, seed
        self._batches = -((start - stop) // batch_size)
        self.steps: int | None = self._batches if steps is None else steps
        self.exhausted = False

    def first(self) -> Rows:
        """The rows of the first batch, and here of every batch."""
        return self.rows

    def segments(self, index: int) -> Iterator[Segment]:
        """The batches of pass `index`."""
        assert self.steps is not None
        position, end = index * self.steps, (index + 1) * self.steps
        while position < end:
            turn, first = divmod(position, self._batches)
            last = min(self._batches, first + end - position)
            yield Segment(self.rows, self._order(turn), self._batch_size, first, last)
            position += last - first

    def _order(self, turn: int) -> NDArray[np.int64]:
        count = self._stop - self._start
        if self._seed is None:
            return np.arange(self._start, self._stop, dtype=np.int64)
        order = _core.permutation(count, self._seed, _stream(self._turns + turn))
        return order + self._start if self._start else order


class BatchSource:
    """Batches from an iterable, a generator, or an object with `__getitem__` and `__len__` or, as
    Keras' PyDataset may have, `num_batches`; its `on_epoch_begin` and `on_epoch_end` are called.

    `argument` names it in messages. `prepare` checks one item, given its place; it is called for
    each batch as it comes. The first pass is `begin`; a sequence of batches is taken in an order
    that follows from `seed` and `turns` + pass. Of `steps` batches a pass takes so many, and the
    next one goes on after them; with `anew` it takes at most so many, from the first one on,
    unless `batches` is an iterator, which cannot begin again.
    """

    def __init__(
        self,
        argument: str,
        batches: Any,
        prepare: Callable[[Any, str], Rows],
        steps: int | None = None,
        seed: int | None = None,
        turns: int = 0,
        begin: int = 0,
        anew: bool = False,
    ) -> None:
        self._argument, self._batches, self._prepare = argument, batches, prepare
        self._seed, self._turns, self._begin = seed, turns, begin
        self._limit, self._anew = steps, anew and not isinstance(batches, Iterator)
        count = batch_count(batches)
        self.steps = count if steps is None else steps
        if self._anew and count is not None:
            self.steps = min(count, self.steps or count)
        self._iterator: Iterator[tuple[int, Any]] | None = None
        self._ahead: Rows | None = None
        self._example: Rows | None = None
        self.exhausted = False

    def first(self) -> Rows:
        """The first batch of all; it is not lost for the pass."""
        if self._example is None:
            tell(self._batches, "on_epoch_begin")
            self._iterator = self._fresh(self._begin)
            self._example = self._ahead = self._next()
        if self._example is None:
            raise ValueError(f"{self._argument}: the iterable gives no batch")
        return self._example

    def segments(self, index: int) -> Iterator[Segment]:
        """The batches of pass `index`; sets `exhausted` if the iterable ends before the pass."""
        if self._ahead is None:
            tell(self._batches, "on_epoch_begin")
        from_start = self._limit is None or self._anew
        if self._iterator is None or (from_start and self._ahead is None):
            self._iterator = self._fresh(index)
        done = 0
        while self._limit is None or done < self._limit:
            rows = self._take(index)
            if rows is None:
                break
            count = rows.data.rows
            yield Segment(rows, np.arange(count, dtype=np.int64), count, 0, 1)
            done += 1
        if done < (1 if self._anew else self._limit or 1):
            self.exhausted = True
            wanted = "no batch" if self._limit is None else f"{done} of {self._limit} batches"
            warn(
                f"{self._argument}: the iterable ran out: it had {wanted} for this pass, and has "
                f"none for another. A list of batches, or an object whose __iter__ begins anew, "
                f"does not run out",
                RuntimeWarning,
            )
        tell(self._batches, "on_epoch_end")

    def _take(self, index: int) -> Rows | None:
        """The next batch; starts again once if the iterable can be iterated again."""
        rows = self._next()
        # An iterator, such as a generator, cannot.
        again = self._limit is not None and not isinstance(self._batches, Iterator)
        if rows is None and again and not self._anew:
            self._iterator = self._fresh(index)
            rows = self._next()
        return rows

    def _next(self) -> Rows | None:
        if self._ahead is not None:
            rows, self._ahead = self._ahead, None
            return rows
        assert self._iterator is not None
        for number, item in self._iterator:
            return self._prepare(item, f"{self._argument}: batch {number}")
        return None

    def _fresh(self, index: int) -> Iterator[tuple[int, Any]]:
        """The batches of pass `index` with their numbers: of a sequence, their indices."""
        batches, count = self._batches, batch_count(self._batches)
        if count is None:
            return enumerate(batches)
        if self._seed is None:
            return ((i, batches[i]) for i in range(count))
        order = _core.permutation(count, self._seed, _stream(self._turns + index))
        return ((int(i), batches[int(i)]) for i in order)


Source = ArraySource | BatchSource


def batch_count(batches: Any) -> int | None:
    """Number of batches of a sequence; None of what is none, or has no end."""
    if isinstance(batches, Indexed):
        return len(batches)
    count = getattr(batches, "num_batches", None) if hasattr(batches, "__getitem__") else None
    return int(count) if isinstance(count, int | np.integer) else None


def tell(batches: Any, method: str) -> None:
    """Call what Keras calls of a PyDataset before and after each pass, if it is there."""
    function = getattr(batches, method, None)
    if function is not None:
        function()


def _stream(number: int) -> int:
    """A stream of random numbers: epochs before the first one also have theirs."""
    return number % (1 << 32)


def is_batches(x: Any, y: Any) -> bool:
    """Whether `x` gives batches; an array, or a list that can become one, does not."""
    if isinstance(x, list):  # of (x, y), not of rows: an x of one batch has two axes or more
        first = x[0][0] if x and isinstance(x[0], tuple) and x[0] else None
        return y is None and getattr(first, "ndim", 0) >= 2
    if x is None or isinstance(x, np.ndarray | tuple | str | bytes | dict | set | int | float):
        return False
    if hasattr(x, "__array__"):
        return False
    return isinstance(x, Iterable) or hasattr(x, "__getitem__")


def split_item(item: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of one item of an iterable, or of validation_data."""
    if isinstance(item, tuple | list) and len(item) in (2, 3):
        return item[0], item[1], item[2] if len(item) == 3 else None
    size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise ValueError(f"expected (x, y) or (x, y, sample_weight), got {type(item).__name__}{size}")


def weights_of_classes(
    class_weight: Any, y: NDArray[Any], sparse: bool, classes: int | None
) -> NDArray[np.float64]:
    """A weight for each row or step from that of its class; 1 for classes not in the dict. The
    class of a target that is one number is that number, rounded as in Keras.

    Raises:
        TypeError: not a dict from class to number.
        ValueError: a class that is negative, or not below `classes` if that is not None.
    """
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight: expected a dict, got {type(class_weight).__name__}")
    if sparse:
        labels = np.asarray(y)
    elif y.shape[-1] == 1:
        labels = np.rint(y[..., 0])
    else:
        # Row by row: a one-hot target may be far larger than its labels.
        labels = np.stack([np.argmax(row, axis=-1) for row in y])
    weights = np.ones(labels.shape)
    for label, weight in class_weight.items():
        _checks.integer("class_weight", label, 0, "classes as keys, integers of at least 0")
        if classes is not None and label >= classes:
            raise ValueError(
                f"class_weight: the model has the classes 0 to {classes - 1}, got {label}"
            )
        weights[labels == label] = _checks.number(f"class_weight[{label}]", weight)
    return weights
