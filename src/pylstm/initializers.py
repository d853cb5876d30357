"""Initial values of weights, drawn by the engine, so that no NumPy version changes a run.

Names and defaults are Keras'. An initializer with a `seed` gives the same values at every call;
without one it uses the seed of its layer or model. A `seed` is an integer from 0 to 2**63 - 1, or
None, the default. fan_in is the first size of the shape, fan_out the last: of a kernel (inputs,
outputs) its inputs and outputs, of an LSTM's kernel (features, 4 * units) features and 4 * units.
Constructors raise TypeError for an argument of the wrong type, ValueError for one out of range.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _core
from pylstm._configured import Configured
from pylstm._keras_names import no_attribute
from pylstm._runtime import draw_seed

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "Zeros",
    "deserialize",
    "get",
    "serialize",
]


class Initializer(Configured, ABC):
    """Base of all initializers: `initializer(shape)` gives an array; a subclass defines `draw`.

    >>> Constant(2.0)((3,)).tolist()
    [2.0, 2.0, 2.0]
    """

    seed: int | None = None

    def __call__(self, shape: tuple[int, ...], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """An array of `shape`; new values at every call unless the initializer has a seed.

        Args:
            shape: A tuple of sizes, each at least 0; two of them for `Orthogonal`.
            dtype: Of the array; values are drawn as float64.

        Raises:
            TypeError: no tuple, or a size that is not an integer.
            ValueError: a size is negative, or their number is not the initializer's.
        """
        if not isinstance(shape, list | tuple):
            raise TypeError(f"shape: expected a tuple of sizes, got {shape!r}")
        sizes = tuple(_checks.natural("shape", size) for size in shape)
        return self.draw(sizes, draw_seed(), 0).astype(dtype)

    @abstractmethod
    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """Values for one variable, of `shape`; the same for the same `seed` and `stream`, which an
        initializer with a seed of its own leaves aside."""

    def _random(
        self, kind: str, shape: tuple[int, ...], a: float, b: float, seed: int, stream: int
    ) -> NDArray[np.float64]:
        if self.seed is not None:
            seed, stream = self.seed, 0
        return _core.initialize(kind, shape, a, b, seed, stream)


class Constant(Initializer):
    """Every element is `value`, a finite number, 0 by default; any shape."""

    def __init__(self, value: float = 0.0) -> None:
        if np.ndim(value) > 0:
            raise TypeError(
                f"value: expected a number, got an array of shape {np.shape(value)}; give a layer "
                f"arrays by set_weights, an Embedding its table by weights=[table]"
            )
        self.value = _checks.number("value", value)

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """`value` everywhere."""
        return np.full(shape, self.value)

    def get_config(self) -> dict[str, Any]:
        """The value."""
        return {"value": self.value}


class Zeros(Initializer):
    """Every element is 0; any shape."""

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """0 everywhere."""
        return np.zeros(shape)


class Ones(Initializer):
    """Every element is 1; any shape."""

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """1 everywhere."""
        return np.ones(shape)


class RandomUniform(Initializer):
    """Uniform in [minval, maxval); any shape.

    Args:
        minval: A finite number, -0.05 by default.
        maxval: At least minval, 0.05 by default.
        seed: As the module says.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        self.minval = _checks.number("minval", minval)
        self.maxval = _checks.number("maxval", maxval, low=self.minval)
        if not math.isfinite(self.maxval - self.minval):
            raise ValueError(f"maxval: {maxval!r} is too far from minval, {minval!r}")
        self.seed = _checks.optional_seed("seed", seed)

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """Uniform values."""
        return self._random("uniform", shape, self.minval, self.maxval, seed, stream)

    def get_config(self) -> dict[str, Any]:
        """Range and seed."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


class RandomNormal(Initializer):
    """Normal with `mean` and `stddev`; any shape.

    Args:
        mean: A finite number, 0 by default.
        stddev: At least 0, 0.05 by default.
        seed: As the module says.
    """

    _kind = "normal"

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = _checks.number("mean", mean)
        self.stddev = _checks.number("stddev", stddev, low=0.0)
        self.seed = _checks.optional_seed("seed", seed)

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """Normal values."""
        return self._random(self._kind, shape, self.mean, self.stddev, seed, stream)

    def get_config(self) -> dict[str, Any]:
        """Mean, standard deviation and seed."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class TruncatedNormal(RandomNormal):
    """Normal, drawn again beyond two standard deviations: the result has 0.88 * stddev. Arguments
    as `RandomNormal`'s."""

    _kind = "truncated_normal"


class Orthogonal(Initializer):
    """A matrix whose rows (or columns, the fewer) are orthogonal and of length `gain`, any such
    matrix being as likely (Saxe et al. 2014).

    Args:
        gain: A finite number, 1 by default.
        seed: As the module says.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = _checks.number("gain", gain)
        self.seed = _checks.optional_seed("seed", seed)

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """An orthogonal matrix; ValueError unless the shape has two axes."""
        if len(shape) != 2:
            raise ValueError(f"shape: Orthogonal needs two axes, got {shape}")
        return self._random("orthogonal", shape, self.gain, 0.0, seed, stream)

    def get_config(self) -> dict[str, Any]:
        """Gain and seed."""
        return {"gain": self.gain, "seed": self.seed}


class _Scaled(Initializer):
    """Variance `scale` / fan; the subclasses give the numbers."""

    _scale = 1.0
    _fan = "fan_avg"
    _uniform = True

    def __init__(self, seed: int | None = None) -> None:
        self.seed = _checks.optional_seed("seed", seed)

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        fan_in, fan_out = (shape[0], shape[-1]) if shape else (1, 1)
        fan = float(fan_in) if self._fan == "fan_in" else (fan_in + fan_out) / 2
        variance = self._scale / max(1.0, fan)
        if self._uniform:
            limit = math.sqrt(3 * variance)
            return self._random("uniform", shape, -limit, limit, seed, stream)
        # A normal cut at two standard deviations has this standard deviation.
        stddev = math.sqrt(variance) / 0.87962566103423978
        return self._random("truncated_normal", shape, 0.0, stddev, seed, stream)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Scaled):
    """Uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010); any shape, `seed` and fans
    as the module says."""


class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010); as
    `GlorotUniform`."""

    _uniform = False


class HeUniform(_Scaled):
    """Uniform in ±sqrt(6 / fan_in) (He et al. 2015); as `GlorotUniform`."""

    _scale, _fan = 2.0, "fan_in"


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan_in (He et al. 2015); as `GlorotUniform`."""

    _scale, _fan, _uniform = 2.0, "fan_in", False


class LecunUniform(_Scaled):
    """Uniform in ±sqrt(3 / fan_in) (LeCun et al. 1998); as `GlorotUniform`."""

    _fan = "fan_in"


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in (LeCun et al. 1998); as `GlorotUniform`."""

    _fan, _uniform = "fan_in", False


class ForgetBias(Initializer):
    """An LSTM's bias, (4 * units,): `inner`, with ones in the forget gate's block, the second
    (Gers et al. 2000; Jozefowicz et al. 2015). What `LSTM(unit_forget_bias=True)` makes."""

    def __init__(self, inner: Initializer) -> None:
        self.inner = inner

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """The values of `inner`, with ones in the second quarter."""
        values = np.array(self.inner.draw(shape, seed, stream), np.float64)  # may be the user's own
        units = shape[0] // 4
        values[units : 2 * units] = 1.0
        return values


class _Absent(Initializer):
    """An initializer of the user that a file names: its weights are there, it is not."""

    def __init__(self, custom: str, config: dict[str, Any]) -> None:
        self.custom, self._config = custom, config

    def draw(self, shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
        """Raise RuntimeError: there is nothing to draw with."""
        raise RuntimeError(
            f"the initializer {self.custom!r} is not pylstm's, and a file only names it; make the "
            f"layer anew with yours"
        )

    def get_config(self) -> dict[str, Any]:
        """What the file has for it."""
        return self._config


class _Own(dict[str, Any]):
    """What `serialize` gives for an initializer of the user: copies of a layer still have it."""

    def __init__(self, initializer: Initializer) -> None:
        name = type(initializer).__name__
        if isinstance(initializer, _Absent):
            name = initializer.custom
        super().__init__(class_name="Initializer", custom=name, config=initializer.get_config())
        self.initializer = initializer

    def __reduce__(self) -> tuple[Any, ...]:
        return _Own, (self.initializer,)


_CLASSES: dict[str, type[Initializer]] = {
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "random_uniform": RandomUniform,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "orthogonal": Orthogonal,
    "constant": Constant,
    "zeros": Zeros,
    "ones": Ones,
}
_ALIASES: dict[str, type[Initializer]] = {
    "uniform": RandomUniform,
    "normal": RandomNormal,
    "zero": Zeros,
    "one": Ones,
}
_BY_NAME = {**_CLASSES, **_ALIASES, **{c.__name__: c for c in _CLASSES.values()}}


def get(identifier: object, argument: str = "initializer") -> Initializer:
    """The initializer that a name, a serialized dict or an Initializer means.

    Raises:
        ValueError: unknown name; the nearest one is suggested.
        TypeError: anything else.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, str):
        return deserialize({"class_name": identifier, "config": {}}, argument)
    if isinstance(identifier, dict):
        return deserialize(identifier, argument)
    raise TypeError(f"{argument}: expected a name or an Initializer, got {identifier!r}")


def serialize(initializer: Initializer) -> dict[str, Any]:
    """`initializer` as {"class_name": …, "config": {…}}; one of the user as the name of its class,
    beside "custom"."""
    if type(initializer) not in _CLASSES.values():
        return _Own(initializer)
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}


def deserialize(config: dict[str, Any], argument: str = "initializer") -> Initializer:
    """The initializer of a serialized dict; only classes of this module can be named. One of the
    user is the one that was serialized, or, from a file, one that cannot draw."""
    if isinstance(config, _Own):
        return config.initializer
    name, arguments = _checks.class_and_arguments(argument, config)
    if name == Initializer.__name__ and isinstance(config.get("custom"), str):
        return _Absent(config["custom"], arguments)
    if name not in _BY_NAME:
        raise _checks.unknown(argument, name, _CLASSES)
    try:
        return _BY_NAME[name](**arguments)
    except TypeError as error:
        raise TypeError(f"{argument}: {error}") from None


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, (c.__name__ for c in _CLASSES.values()))
