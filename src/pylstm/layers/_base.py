"""Layer: the configuration of one layer, and the way to its weights.

A layer holds no maths. Inside a model its weights live in the model's network; a layer that is
called on arrays by itself gets a network of its own (`_call.py`).
"""

from __future__ import annotations

import math
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pylstm import _checks, initializers
from pylstm._checks import Shape
from pylstm._keras_names import snake_case
from pylstm._runtime import draw_seed
from pylstm.layers._call import Caller, call_alone
from pylstm.layers._names import layer_name
from pylstm.layers._shapes import built_shape, declared_shape, steps_mask
from pylstm.layers._variables import (
    Spec,
    Undrawn,
    Variable,
    check_weights,
    first_stream,
    in_dtype,
    match_weights,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pylstm._core import Network
    from pylstm.layers._owner import Owner

AnyLayer = TypeVar("AnyLayer", bound="Layer")


class Layer(ABC):
    """Base of all layers.

    Args:
        name: Unique in a model; made from the class ("lstm", "lstm_1") if not given.
        trainable: Whether training changes the weights; may be set at any time.
        dtype: "float32" or "float64", or NumPy's types of these names; the model's if not given.
        activity_regularizer: Not supported; must be None.
        input_shape: Shape of one row, as an `Input` before this layer would give it.
        batch_input_shape: The same with the batch size (or None) in front.
        input_dim: The same as `input_shape=(input_dim,)`; not of an Embedding.

    Raises:
        TypeError: an argument of the wrong type, or one that the layer does not have.
        ValueError: an argument out of range, or a Keras setting that is not supported.
    """

    seed: int | None = None
    stateful: bool = False
    directions = 0  # each carries h and c
    token_ids: bool = False
    """Whether the input is token ids, not features."""
    _ranks: tuple[int, ...] = ()
    """Numbers of axes that an input may have; all if empty."""
    _arguments: tuple[str, ...] = ()
    """Names of the constructor's arguments that make up the configuration."""
    _fixed: tuple[str, ...] = ("name", "dtype")
    """Names of what else cannot be set once the layer is built."""
    _inside: tuple[str, ...] = ()
    """Names of what can never be set, as it is that of layers inside."""

    def __setattr__(self, name: str, value: Any) -> None:
        fixed = name in self._fixed or name in self._arguments
        if fixed and self.__dict__.get("_input_shape") and self.built:
            kind = type(self).__name__
            raise AttributeError(
                f"{kind}: {name} cannot be set once the layer is built; make a model with a "
                f"{kind}(…, {name}={value!r}) and give it the weights of this one: "
                f"new.set_weights(old.get_weights())"
            )
        if fixed and self.__dict__.get("_owner") is not None and self.owner is not None:
            raise AttributeError(
                f"{type(self).__name__}: {name} cannot be set once the layer is part of "
                f"{self.owner!r}; set it before"
            )
        if name in self.__dict__ and (fixed or name == "trainable"):
            value = self._checked(name, value)
            self.__dict__["auto_named"] &= name != "name"
        super().__setattr__(name, value)

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: None = None,
        input_shape: Shape | None = None,
        batch_input_shape: Shape | None = None,
        input_dim: int | None = None,
        **unknown: Any,
    ) -> None:
        kind = type(self).__name__
        if unknown:
            raise _checks.unexpected(kind, unknown, _checks.arguments_of(type(self)))
        _checks.unsupported("activity_regularizer", activity_regularizer, (None,))
        self.auto_named = name is None
        self.name = snake_case(kind) if name is None else layer_name(name)
        self.trainable = _checks.boolean("trainable", trainable)
        self.dtype = None if dtype is None else _checks.dtype("dtype", dtype)
        self.declared_shape = declared_shape(input_shape, batch_input_shape, dim=input_dim)
        self._owner: weakref.ref[Owner] | None = None
        self._input_shape: Shape | None = None
        self._held: list[NDArray[Any]] | None = None
        self._home: tuple[Network, int, int] | None = None
        self._caller = Caller()

    def _checked(self, name: str, value: Any) -> Any:
        """`value` as the constructor would take it for this argument."""
        if name in self._inside:
            if value is not getattr(self, name):
                raise AttributeError(f"{type(self).__name__}: {name} is that of the layers inside")
            return value
        return getattr(type(self)._known().from_config({**self._known_config(), name: value}), name)

    # ---- what a subclass says

    def specs(self, input_shape: Shape) -> list[Spec]:
        """The layer's variables for this input, in Keras' order."""
        return []

    @abstractmethod
    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output, rows first, None where the size is open.

        Raises:
            ValueError: the layer cannot take this input.
        """

    def check_array(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError if an array x of this shape has too many axes or too few."""
        if self._ranks and len(shape) not in self._ranks:
            names = {2: "(rows, features)", 3: "(rows, steps, features)"}
            expected = " or ".join(names[rank] for rank in self._ranks)
            advice = "; for one feature a step write x[..., None]"
            advice = advice if self._ranks == (3,) and len(shape) == 2 else ""
            raise ValueError(f"x: expected {expected}, got {shape}{advice}")

    @property
    def makes_mask(self) -> bool:
        """Whether steps of the input may be padding that the layers after this one leave out."""
        return False

    def compute_mask(self, x: Any, mask: Any = None) -> NDArray[np.bool_] | None:
        """(rows, steps) mask of the output for `x`, which has the mask `mask`; None: all real."""
        return None if mask is None else steps_mask(mask, np.shape(x))

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, ready for JSON."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.dtype is not None:
            config["dtype"] = self.dtype
        for argument in self._arguments:
            value = getattr(self, argument)
            if isinstance(value, initializers.Initializer):
                value = initializers.serialize(value)
            config[argument] = value
        return config

    @classmethod
    def _known(cls) -> Any:
        """The class that the engine and files know; a subclass of the user's is one of its base."""
        return next(base for base in cls.__mro__ if base.__module__.startswith("pylstm."))

    def _known_config(self) -> dict[str, Any]:
        config: dict[str, Any] = self._known().get_config(self)
        return config

    def call_config(self) -> dict[str, Any]:
        """The configuration for the network of a direct call."""
        return self._known_config()

    @classmethod
    def from_config(cls: type[AnyLayer], config: dict[str, Any]) -> AnyLayer:
        """A new layer, without weights, from what `get_config` gave."""
        allowed = {"name", "trainable", "dtype", *cls._arguments}
        strange = [key for key in config if key not in allowed]
        if strange:
            raise _checks.unexpected(cls.__name__, strange, allowed)
        return cls(**config)

    def trainable_flags(self) -> list[bool]:
        """Whether training changes each variable, in the order of `specs`; the layer is built."""
        return [self.trainable] * len(self.specs(self.input_shape))

    # ---- building

    @property
    def built(self) -> bool:
        """Whether the layer has weights, or its model will draw them."""
        if self._input_shape is None:
            return False
        owner = self.owner
        return self.held is not None or (owner is not None and owner.built)

    @property
    def _computes_in(self) -> str:
        """The dtype of weights and arithmetic."""
        owner = self.owner
        return self.dtype or (None if owner is None else owner.dtype) or "float32"

    @property
    def input_shape(self) -> Shape:
        """Shape of the input, rows first."""
        if self._input_shape is None:
            raise AttributeError(f"layer {self.name!r} has not been built: its input is not known")
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, rows first."""
        return self.compute_output_shape(self.input_shape)

    def build(self, input_shape: Shape) -> None:
        """Draw initial weights for inputs of this shape (rows first).

        Raises:
            RuntimeError: the layer is part of a model, which is what has to be built.
            ValueError: it is built, for another number of features.
            MemoryError: the weights need more than there is.
        """
        if self.owner is not None:
            raise RuntimeError(f"layer {self.name!r} is part of {self.owner!r}: build that")
        shape = built_shape(input_shape)
        if not self.built:
            check_weights([self.weights_for(shape)], np.dtype(self._computes_in).itemsize)
            self._take_shape(shape)
            self._held = self._draw_weights(draw_seed(), 0)
        elif not self.token_ids and shape[-1] != self.input_shape[-1]:
            raise ValueError(
                f"input_shape: layer {self.name!r} is built for {self.input_shape[-1]} features, "
                f"got {_checks.shape_text(shape)}"
            )

    def weights_for(self, input_shape: Shape) -> Undrawn:
        """How many weights there are for inputs of this shape."""
        sizes = [math.prod(spec.shape) for spec in self.specs(input_shape)]
        return Undrawn(self.name, sum(sizes), max(sizes, default=0))

    def _draw_weights(self, seed: int, place: int) -> list[NDArray[Any]]:
        """Initial weights; `seed` and the place in a model count for a layer without a seed."""
        seed, stream = (seed, first_stream(place)) if self.seed is None else (self.seed, 0)
        return [
            spec.initializer.draw(spec.shape, seed, stream + i).astype(self._computes_in)
            for i, spec in enumerate(self.specs(self.input_shape))
        ]

    def _call_it(self, name: str, dtype: str | None) -> None:
        """Take the name and the dtype that a model gives, whether the layer is built or not."""
        self.__dict__.update(name=name, dtype=dtype)

    def _attach(self, owner: Owner, input_shape: Shape | None) -> None:
        """Make the layer part of a model; weights that it has are taken along."""
        if not self.built:  # nor does a shape from a model that is gone count
            self._take_shape(None)
        self._owner = weakref.ref(owner)
        if input_shape is not None:
            self._take_shape(input_shape)

    def _detach(self, weights: list[NDArray[Any]] | None) -> None:
        """Take the layer out of its model, with these weights."""
        self._owner = None
        self._hold(weights)

    def _leave(self, name: str, dtype: str | None, built: bool) -> None:
        """Be in no model, as before one that failed to be made; no network has the weights yet."""
        self._owner = None
        self._call_it(name, dtype)
        if not built:
            self._forget()

    def _hold(self, weights: list[NDArray[Any]] | None) -> None:
        """Keep these weights until a network takes them."""
        self._held, self._home = weights, None

    def _settle(self, network: Network, first: int, last: int) -> None:
        """From now on the weights are variables first … last-1 of `network`."""
        self._held, self._home = None, (network, first, last)

    def _forget(self) -> None:
        """Be as if never built."""
        self._held, self._home = None, None
        self._take_shape(None)

    def _take_shape(self, input_shape: Shape | None) -> None:
        """From now on this is the shape of the input."""
        self._input_shape = input_shape

    @property
    def held(self) -> list[NDArray[Any]] | None:
        """Weights that wait for a network; those of a model that is gone do."""
        home = self._home
        if self._held is None and home is not None and self.owner is None:
            network, first, last = home
            self._hold(network.get_weights()[first:last])
        return self._held

    @property
    def owner(self) -> Owner | None:
        """The model that the layer is part of."""
        return None if self._owner is None else self._owner()

    # ---- weights

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of the weights, in Keras' order; an empty list before the layer is built."""
        held, owner = self.held, self.owner
        if held is not None:
            return [w.copy() for w in held]
        return [] if owner is None or not self.built else owner._layer_weights(self)

    def set_weights(self, weights: list[Any]) -> None:
        """Replace all weights, or none.

        Raises:
            RuntimeError: the layer is not built, or its model is being trained.
            ValueError: not as many arrays, or not of the shapes, that `get_weights` gives; a number
                too large for the dtype.
        """
        if self._input_shape is None:
            raise RuntimeError(f"layer {self.name!r} has no weights yet: build its model first")
        specs = self.specs(self.input_shape)
        paths = [f"{self.name}/{spec.name}" for spec in specs]
        checked = match_weights(weights, paths, [spec.shape for spec in specs])
        if self.held is None and self.owner is not None:
            self.owner._set_layer_weights(self, checked)
        else:
            self._held = in_dtype(checked, paths, self._computes_in)

    @property
    def weights(self) -> list[Variable]:
        """The variables with their paths, such as "lstm/kernel"."""
        if not self.built:
            return []
        specs = self.specs(self.input_shape)
        return [
            Variable(f"{self.name}/{spec.name}", value, trainable)
            for spec, value, trainable in zip(
                specs, self.get_weights(), self.trainable_flags(), strict=True
            )
        ]

    def count_params(self) -> int:
        """Number of weights.

        Raises:
            ValueError: the layer is not built.
        """
        if self._input_shape is None:
            raise ValueError(f"layer {self.name!r} has no weights yet: build its model first")
        return self.weights_for(self.input_shape).total

    # ---- calling

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The layer applied to an array; the arguments are those of the class."""

    def reset_state(self) -> None:  # noqa: B027  (a subclass need not have one)
        """Forget what is carried from call to call; most layers carry nothing."""

    def _call(
        self, x: Any, states: list[Any] | None, mask: Any, training: bool
    ) -> list[NDArray[Any]]:
        """[output, final states …] for `x`; builds the layer if need be."""
        return call_alone(self, self._caller, x, states, mask, training)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r}, built={self.built}>"

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.declared_shape, self._input_shape, self.get_weights(), self.auto_named)
        return _restore, (type(self), self.get_config(), state)


def _restore(kind: type[Layer], config: dict[str, Any], state: tuple[Any, ...]) -> Layer:
    """The layer that pickle, copy and deepcopy give: the same weights, in no model."""
    layer = kind.from_config(config)
    layer.declared_shape, shape, weights, layer.auto_named = state
    layer._take_shape(shape)
    if shape is not None and (weights or not layer.specs(shape)):
        layer._held = weights
    return layer
