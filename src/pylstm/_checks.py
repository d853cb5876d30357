"""Checks of arguments and arrays. Messages name the argument, what was expected and what came.

The engine checks again; these checks come first, so that nothing has been touched when they raise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm._keras_names import ONLY_KERAS, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shape = tuple[int | None, ...]
"""A shape as Keras writes it: rows first; None where the size is open."""

_PADDING_ADVICE = (
    "pad the rows to one length first, with utils.pad_sequences(…, dtype='float32') and Masking, "
    "or of token ids Embedding(mask_zero=True); or give batches of one length each, by a generator"
)
_CHECKED_AT_ONCE = 1 << 16  # numbers, but a row at least
_OLD_NAMES = {"lr": "learning_rate"}  # short names that earlier versions of Keras had


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Around checks of data: their messages begin with the place where the data came from."""
    try:
        yield
    except (ValueError, TypeError, IndexError, MemoryError) as error:
        if place:
            error.args = (f"{place}: {error}",)
        raise


# ---- single values


LARGEST = (1 << 31) - 1  # of sizes and counts, here and in the engine
LARGEST_SEED = (1 << 63) - 1


def integer(argument: str, value: object, low: int, expected: str, high: float = LARGEST) -> int:
    """`value` as an int from `low` to `high`; `expected` completes the message."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{argument}: expected {expected}, got {value!r}")
    if value < low:
        raise ValueError(f"{argument}: expected {expected}, got {value!r}")
    if value > high:
        raise ValueError(f"{argument}: expected at most {high}, got {value!r}")
    return int(value)


def positive_int(argument: str, value: object, high: float = LARGEST) -> int:
    """`value` as an int >= 1."""
    return integer(argument, value, 1, "an integer of at least 1", high)


def natural(argument: str, value: object) -> int:
    """`value` as an int >= 0."""
    return integer(argument, value, 0, "an integer of at least 0")


def seed(argument: str, value: object) -> int:
    """`value` as a seed: 0 <= seed < 2**63."""
    return integer(argument, value, 0, "an integer of at least 0", LARGEST_SEED)


def optional_seed(argument: str, value: object) -> int | None:
    """None, or `value` as a seed."""
    return None if value is None else seed(argument, value)


def number(argument: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float in [low, high]."""
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{argument}: expected a number, got {value!r}")
    result = math.inf if isinstance(value, int) and abs(value) >= 2**1024 else float(value)
    if not math.isfinite(result):
        raise ValueError(f"{argument}: expected a finite number, got {value!r}")
    if not low <= result <= high:
        between = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{argument}: expected a number {between}, got {value!r}")
    return result


def below_one(argument: str, value: object) -> float:
    """`value` as a float, 0 <= value < 1."""
    result = number(argument, value, 0.0, 1.0)
    if result == 1.0:
        raise ValueError(f"{argument}: expected a number from 0 to below 1, got {value!r}")
    return result


def boolean(argument: str, value: object) -> bool:
    """`value` as a bool; 0 and 1 are accepted."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{argument}: expected True or False, got {value!r}")


def described(value: object) -> str:
    """What came, in a few words: data may be large."""
    if isinstance(value, dict):
        keys, more = list(map(repr, value))[:4], ", …" if len(value) > 4 else ""
        return f"a dict with the keys {', '.join(keys)}{more}" if keys else "an empty dict"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a value of type {type(value).__name__}"


def text(argument: str, value: object) -> str:
    """`value` as a str that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected a string, got {value!r}")
    if not value:
        raise ValueError(f"{argument}: expected a string that is not empty, got {value!r}")
    return value


def choice(argument: str, value: object, known: Sequence[str]) -> str:
    """`value` if it is one of `known`."""
    if isinstance(value, str) and value in known:
        return value
    raise unknown(argument, value, known)


def unknown(argument: str, value: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not in `known`; it suggests the nearest."""
    from difflib import get_close_matches

    names, given = list(known), str(value).lower()
    near = [n for n in names if set(given.split("_")) < set(n.split("_"))]  # a word was left out
    near = near or get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    if given in ONLY_KERAS:
        return ValueError(
            f"{argument}: {value!r} is a name of Keras that pylstm lacks; it has {', '.join(names)}"
        )
    return ValueError(f"{argument}: unknown {value!r}{hint}; known are {', '.join(names)}")


def class_and_arguments(argument: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a dict that `serialize` made names, and its constructor's arguments."""
    name, arguments = config.get("class_name"), config.get("config", {})
    if not isinstance(name, str):
        raise TypeError(
            f"{argument}: of dicts only those that `serialize` makes are taken, with 'class_name' "
            f"and 'config', and none by outputs, as a model has one; got {described(config)}"
        )
    if not isinstance(arguments, dict):
        raise TypeError(f"{argument}: expected a dict of arguments, got {arguments!r}")
    return name, arguments


def unsupported(argument: str, value: object, allowed: Sequence[object]) -> None:
    """Raise unless `value` is one of the settings of a Keras argument that pylstm has."""
    if not any(value is a or (isinstance(value, type(a)) and value == a) for a in allowed):
        offered = " or ".join(repr(a) for a in allowed)
        raise ValueError(f"{argument}: {value!r} is not supported; pylstm has {offered}")


def unexpected(owner: str, arguments: Iterable[str], known: Iterable[str] = ()) -> TypeError:
    """The error for keyword arguments that `owner` does not take; it suggests the nearest."""
    names = list(known)
    parts = [repr(argument) + _suggestion(argument, names) for argument in arguments]
    return TypeError(f"{owner}: unexpected argument {', '.join(parts)}")


def no_attribute(owner: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for an attribute that `owner` does not have; it suggests the nearest."""
    return AttributeError(f"{owner} has no attribute {name!r}{_suggestion(name, list(known))}")


def _suggestion(name: str, known: Sequence[str]) -> str:
    old = _OLD_NAMES.get(name)
    return f" (did you mean {old!r}?)" if old in known else nearest(name, known)


def arguments_of(kind: type) -> list[str]:
    """Names of the arguments of the constructors of a class and its bases."""
    from inspect import Parameter, signature

    variadic = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    return [
        parameter.name
        for base in kind.__mro__
        if "__init__" in vars(base) and base is not object
        for parameter in signature(vars(base)["__init__"]).parameters.values()
        if parameter.kind not in variadic and parameter.name != "self"
    ]


def path(argument: str, value: str | os.PathLike[str]) -> str:
    """`value` as a string."""
    name = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(name, str):
        raise TypeError(f"{argument}: expected a string or a path, got {value!r}")
    return name


def folder_of(argument: str, name: str, purpose: str) -> None:
    """Raise a FileNotFoundError if there is no folder to write `name` in."""
    folder = os.path.dirname(name)
    if not os.path.isdir(folder or "."):
        raise FileNotFoundError(f"{argument}: there is no folder {folder!r} to {purpose} in")


def model_path(argument: str, value: str | os.PathLike[str]) -> str:
    """`value` as a string, if a model can be saved under that name."""
    name = path(argument, value)
    if name.lower().endswith((".keras", ".h5", ".hdf5")):
        raise ValueError(
            f"{argument}: pylstm writes .safetensors files, not Keras' format: {name!r}"
        )
    return name


def dtype(argument: str, value: object) -> str:
    """`value`, a name or NumPy's float32 or float64, as the name."""
    if isinstance(value, np.dtype) or value in (np.float32, np.float64):
        value = np.dtype(value).name
    return choice(argument, value, ("float32", "float64"))


# ---- arrays


def array(argument: str, value: Any) -> NDArray[Any]:
    """`value` as an array of real numbers; an ndarray is returned as it is, never copied.

    Raises:
        TypeError: objects, strings, complex numbers, dates, masked arrays, long doubles.
        ValueError: a list whose rows differ in length.
    """
    found: NDArray[Any] = value if type(value) is np.ndarray else _as_array(argument, value)
    dtype = found.dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(
            f"{argument}: expected real numbers (bool, integer, float16/32/64), got dtype "
            f"{dtype}{_advice_on_elements(found)}"
        )
    return found


def _advice_on_elements(values: NDArray[Any]) -> str:
    """What to do about elements that are no numbers, where that can be guessed."""
    words = "; map words and labels to integers first"
    if values.dtype.kind in "SUT" or not values.dtype.hasobject or values.size == 0:
        return words if values.dtype.kind in "SUT" else ""
    first = values.flat[0]
    advice = "; convert it, with astype(float)"
    if isinstance(first, str | bytes):
        advice = words
    elif np.ndim(first) > 0:
        advice = f"; {_PADDING_ADVICE}"
    return f" whose first element is of type {type(first).__name__}{advice}"


def returned(argument: str, value: Any) -> NDArray[Any]:
    """What a user's function returned as an array of real numbers; TypeError if it is none."""
    found = np.asarray(value)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{argument} must return numbers, got {type(value).__name__}")
    return found


def _as_array(argument: str, value: Any) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{argument}: got a masked array; fill it first: {argument}.filled(...)")
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, list | tuple) and not hasattr(value, "__array__"):
        raise TypeError(f"{argument}: expected an array, got {type(value).__name__}")
    try:
        return np.asarray(value)
    except ValueError:
        if isinstance(value, list | tuple):
            _rectangular(argument, value)
        raise


def _rectangular(argument: str, rows: Sequence[Any]) -> None:
    """Raise if nested lists are ragged, naming the first row that differs from row 0."""
    for i, row in enumerate(rows):
        try:
            shape, first = np.shape(row), np.shape(rows[0])
        except ValueError:
            raise ValueError(f"{argument}: row {i} is ragged itself; {_PADDING_ADVICE}") from None
        if shape != first:
            text = f"row {i} has shape {shape}, row 0 has {first}"
            raise ValueError(f"{argument}: {text}; {_PADDING_ADVICE}")


def shape_text(shape: Shape) -> str:
    """`shape` for a message: "(rows, steps, 3)"."""
    names = ["rows", "steps"] + ["None"] * (len(shape) - 2)
    sizes = [n if d is None else str(d) for n, d in zip(names, shape, strict=False)]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def same_shape(argument: str, got: tuple[int, ...], expected: Shape, advice: str = "") -> None:
    """Raise ValueError unless `got` fits `expected` (None fits every size)."""
    if len(got) == len(expected):
        for i, size in enumerate(expected):
            if size is not None and got[i] != size:
                break
        else:
            return
    raise ValueError(f"{argument}: expected shape {shape_text(expected)}, got {got}{advice}")


def inputs(x: NDArray[Any], input_shape: Shape) -> None:
    """Raise ValueError unless `x` has rows of `input_shape`, at least one row and one step."""
    shape, advice = x.shape, ""
    if len(shape) == len(input_shape) - 1 and shape:
        if input_shape[-1] in (None, shape[-1]):
            advice = "; for one row write x[None]"
        if input_shape[-1] == 1:
            advice += "; for one feature a step write x[..., None]"
    elif len(shape) == len(input_shape) + 1:
        tokens = "; an Embedding takes token ids, no features and no one-hot rows"
        batches = "; batches of their own come from a generator, one array each"
        advice = tokens if input_shape[-1] is None else batches
    same_shape("x", shape, input_shape, advice)
    if 0 in shape:
        raise ValueError(f"x: expected at least one row and one step, got shape {shape}")


def weights(weight: NDArray[Any], rows: int, steps: int | None) -> NDArray[Any]:
    """`weight` if it is finite and (rows,) or, where the output has steps, (rows, steps); a column
    (rows, 1) is (rows,)."""
    if weight.shape == (rows, 1) and steps != 1:
        weight = weight[:, 0]
    fits = weight.shape == (rows,) or (steps is not None and weight.shape == (rows, steps))
    if not fits:
        per_step = "" if steps is None else f" or ({rows}, {steps})"
        raise ValueError(f"sample_weight: expected shape ({rows},){per_step}, got {weight.shape}")
    finite("sample_weight", weight)
    return weight


def finite(argument: str, values: NDArray[Any], dtype: str = "float64") -> None:
    """Raise ValueError, naming the first bad one, unless `values` are finite numbers of `dtype`."""
    if values.dtype.kind != "f":
        return
    most = float(np.finfo(dtype).max)
    narrows = values.dtype.itemsize > np.dtype(dtype).itemsize
    # Some rows at a time: masks and absolute values of all may be large.
    rows = np.atleast_1d(values)
    block = max(1, _CHECKED_AT_ONCE * len(rows) // max(1, rows.size))
    for begin in range(0, len(rows), block):
        some = rows[begin : begin + block]
        good = np.isfinite(some)
        if narrows:
            good &= np.abs(some) <= most
        if good.all():
            continue
        first, *rest = first_bad(good)
        at = (begin + first, *rest)[: values.ndim]
        of_type = f" that {dtype} can hold" if np.isfinite(values[at]) else ""
        raise ValueError(f"{argument}: expected finite numbers{of_type}, got {values[at]} at {at}")


def between(
    argument: str,
    values: NDArray[Any],
    low: float,
    high: float,
    reason: str,
    besides: Callable[[], NDArray[np.bool_]] | None = None,
) -> None:
    """Raise ValueError, naming the first bad one, unless `values` are in [low, high]; where
    `besides()`, of their leading axes, is true, they may be anything."""
    if values.min() >= low and values.max() <= high:
        return
    good = (values >= low) & (values <= high)
    if besides is not None:
        where = besides()
        good |= where.reshape(where.shape + (1,) * (values.ndim - where.ndim))
        if good.all():
            return
    at = first_bad(good)
    raise ValueError(
        f"{argument}: {reason} needs numbers from {low:g} to {high:g}, got {values[at]} at {at}"
    )


def first_bad(good: NDArray[np.bool_]) -> tuple[int, ...]:
    """The index of the first False."""
    return tuple(int(i) for i in np.unravel_index(int(good.argmin()), good.shape))
