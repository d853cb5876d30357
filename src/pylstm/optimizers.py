"""Optimizers: the arguments of the engine's update rules, with Keras' names and defaults."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from pylstm import _checks, _json, _overrides
from pylstm._configured import Configured
from pylstm._core import Network
from pylstm._keras_names import no_attribute
from pylstm._weight_decay import Decaying

if TYPE_CHECKING:
    from typing import TypedDict

    from typing_extensions import Unpack

    class _Others(TypedDict, total=False):
        use_ema: bool
        ema_momentum: float
        ema_overwrite_frequency: int | None
        loss_scale_factor: float | None
        gradient_accumulation_steps: int | None
        name: str | None
else:  # Python 3.10 has no Unpack; `typing.get_type_hints` finds these
    Unpack, _Others = dict, Any

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "deserialize", "get", "serialize"]

_COMMON = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm")
# float32's least normal number: less is 0 to the engine, as an epsilon or a limit of 0 would be.
_LEAST = 2.0**-126
_INNER = ("_learning_rate", "_networks", "_last")


class Optimizer(Decaying, Configured):
    """Base of all optimizers.

    A step clips the gradient g, subtracts learning_rate * weight_decay * w from each weight w, then
    moves it by its rule. The model counts the steps; one that is not finite is not made. Once a
    model is built with it, only the learning rate can be set: AttributeError for the rest.

    Args:
        learning_rate: Step size, at least 0; may be set at any time, also while training.
        weight_decay: At least 0; None (the default): no decay.
        clipnorm: Largest norm of each variable's gradient; None (the default): any.
        clipvalue: Largest size of each element of the gradient; None (the default): any.
        global_clipnorm: Largest norm of all gradients; the three are at least 2**-126 (1.2e-38).
        use_ema, loss_scale_factor, gradient_accumulation_steps: Not supported; must be False, None
            and None, the defaults.
        ema_momentum, ema_overwrite_frequency: Accepted; without `use_ema` they mean nothing.
        name: Accepted; it names nothing here.

    Raises:
        TypeError: an argument of the wrong type or of an unknown name, or a learning-rate schedule.
        ValueError: a number out of range, more than one of the three clips, or a Keras setting
            that is not supported.
    """

    engine_name = ""
    _arguments: tuple[str, ...] = ()
    _last: Network | None = None  # kept; others live as long as their models

    def __setattr__(self, name: str, value: Any) -> None:
        known = ["learning_rate", *_COMMON, *self._arguments, "name"]
        if name not in known and name not in _INNER and not hasattr(type(self), name):
            raise _checks.no_attribute(type(self).__name__, name, known)
        if self._last is not None and name in (*_COMMON, *self._arguments):
            kind = type(self).__name__
            raise AttributeError(
                f"{kind}: {name} cannot be set once a model is built with it; make a new "
                f"{kind}({name}={value!r}) and call compile again"
            )
        if name in self.__dict__ and name in (*_COMMON, *self._arguments):
            rule = _CLASSES[self.engine_name]  # a subclass may have a constructor of its own
            value = getattr(rule(**{**rule.get_config(self), name: value}), name)
        super().__setattr__(name, value)

    def __init__(
        self,
        learning_rate: float,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: object,
    ) -> None:
        if unknown:
            known = _checks.arguments_of(type(self))
            raise _checks.unexpected(type(self).__name__, unknown, known)
        _checks.unsupported("use_ema", use_ema, (False,))
        _checks.unsupported("loss_scale_factor", loss_scale_factor, (None,))
        _checks.unsupported("gradient_accumulation_steps", gradient_accumulation_steps, (None,))
        self._networks: list[weakref.ref[Network]] = []
        self.learning_rate = learning_rate
        self.weight_decay = _optional("weight_decay", weight_decay, 0.0)
        self.clipnorm = _clip("clipnorm", clipnorm)
        self.clipvalue = _clip("clipvalue", clipvalue)
        self.global_clipnorm = _clip("global_clipnorm", global_clipnorm)
        self.name = name or type(self).__name__.lower()
        clips = ("clipnorm", "clipvalue", "global_clipnorm")
        if sum(getattr(self, clip) is not None for clip in clips) > 1:
            raise ValueError("only one of clipnorm, clipvalue and global_clipnorm can be set")

    @property
    def learning_rate(self) -> float:
        """Step size of the next step."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if callable(value) or hasattr(value, "get_config"):
            raise TypeError(
                f"learning_rate: expected a number, got {type(value).__name__}; for a schedule use "
                f"callbacks.LearningRateScheduler"
            )
        self._learning_rate = _checks.number("learning_rate", value, 0.0)
        for network in self._bound():
            network.set_learning_rate(self._learning_rate)

    @property
    def iterations(self) -> int:
        """Steps done on the model that the optimizer was compiled into last."""
        return 0 if self._last is None else self._last.iterations

    def bind(self, network: Network) -> None:
        """Let changes of the learning rate reach `network`."""
        self._networks = [weakref.ref(n) for n in self._bound() if n is not network]
        self._networks.append(weakref.ref(network))
        self._last = network

    def _bound(self) -> list[Network]:
        return [network for known in self._networks if (network := known()) is not None]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the learning rate as it is now."""
        names = ("learning_rate", *_COMMON, *self._arguments)
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"

    def engine_text(self, paths: list[str]) -> str:
        """The optimizer as the engine reads it, for variables of these paths."""
        fixed = {"name": self.engine_name, "undecayed": self.undecayed(paths)}
        return _json.dumps({**fixed, **serialize(self)["config"]})

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_networks", "_last")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._networks = []


class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak 1964); `nesterov` looks one step ahead (Sutskever et
    al. 2013).

    m = momentum * m - learning_rate * g, 0 at first; w += m, or with `nesterov`
    w += momentum * m - learning_rate * g.

    Args:
        learning_rate: At least 0; 0.01 by default.
        momentum: From 0 to 1; 0 by default.
        nesterov: False by default.
        weight_decay, clipnorm, clipvalue, global_clipnorm, **kwargs: As in `Optimizer`.

    Raises:
        TypeError, ValueError: as `Optimizer`.

    >>> SGD(0.1, momentum=0.9).momentum
    0.9
    """

    engine_name = "sgd"
    _arguments = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **kwargs: Unpack[_Others],
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, **kwargs
        )
        self.momentum = _checks.number("momentum", momentum, 0.0, 1.0)
        self.nesterov = _checks.boolean("nesterov", nesterov)


class RMSprop(Optimizer):
    """Gradients divided by a running root mean square (Tieleman & Hinton 2012); `centered` takes
    the variance (Graves 2013).

    v = rho * v + (1 - rho) * g²; step = learning_rate * g / sqrt(v + epsilon); with `centered`
    u = rho * u + (1 - rho) * g, and max(v - u², 0) in the place of v. Then w -= step, or with
    momentum m = momentum * m + step; w -= m. Every v, u and m is 0 at first.

    Args:
        learning_rate: At least 0; 0.001 by default.
        rho: From 0 to below 1; 0.9 by default.
        momentum: From 0 to 1; 0 by default.
        epsilon: At least 2**-126 (1.2e-38); 1e-7 by default.
        centered: False by default.
        weight_decay, clipnorm, clipvalue, global_clipnorm, **kwargs: As in `Optimizer`.

    Raises:
        TypeError, ValueError: as `Optimizer`.

    >>> RMSprop(centered=True).rho
    0.9
    """

    engine_name = "rmsprop"
    _arguments = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **kwargs: Unpack[_Others],
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, **kwargs
        )
        self.rho = _checks.below_one("rho", rho)
        self.momentum = _checks.number("momentum", momentum, 0.0, 1.0)
        self.epsilon = _checks.number("epsilon", epsilon, _LEAST)
        self.centered = _checks.boolean("centered", centered)


class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba 2015, as written before their section 2.1).

    m += (1 - beta_1) * (g - m); v += (1 - beta_2) * (g² - v); in step t, from 1,
    w -= learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon).
    Every m and v is 0 at first.

    Args:
        learning_rate: At least 0; 0.001 by default.
        beta_1: From 0 to below 1; 0.9 by default.
        beta_2: From 0 to below 1; 0.999 by default.
        epsilon: At least 2**-126 (1.2e-38); 1e-7 by default, as in Keras.
        amsgrad: Not supported; must be False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, **kwargs: As in `Optimizer`.

    Raises:
        TypeError, ValueError: as `Optimizer`.

    >>> Adam(clipnorm=1.0).get_config()["learning_rate"]
    0.001
    """

    engine_name = "adam"
    _arguments = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **kwargs: Unpack[_Others],
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, **kwargs
        )
        _checks.unsupported("amsgrad", amsgrad, (False,))
        self.beta_1 = _checks.below_one("beta_1", beta_1)
        self.beta_2 = _checks.below_one("beta_2", beta_2)
        self.epsilon = _checks.number("epsilon", epsilon, _LEAST)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): each step begins with
    w -= learning_rate * weight_decay * w and goes on as in `Adam`.

    Args:
        weight_decay: At least 0, not None; 0.004 by default.
        learning_rate, beta_1, beta_2, epsilon, amsgrad: As in `Adam`.
        clipnorm, clipvalue, global_clipnorm, **kwargs: As in `Optimizer`.

    Raises:
        TypeError, ValueError: as `Optimizer`; ValueError if `weight_decay` is None, as in Keras.

    >>> AdamW().weight_decay
    0.004
    """

    engine_name = "adamw"

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **kwargs: Unpack[_Others],
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            **kwargs,
        )
        if weight_decay is None:
            raise ValueError("weight_decay: expected a number of at least 0, got None")


_CLASSES: dict[str, type[Optimizer]] = {c.engine_name: c for c in (SGD, RMSprop, Adam, AdamW)}


def get(identifier: object) -> Optimizer:
    """The optimizer that a name, a serialized dict or an Optimizer means.

    Raises:
        ValueError: unknown name; the nearest one is suggested.
        TypeError: anything else.

    >>> get("adam").beta_1
    0.9
    """
    if isinstance(identifier, Optimizer):
        if not isinstance(identifier, tuple(_CLASSES.values())):
            raise TypeError(f"optimizer: expected one of pylstm's, got {type(identifier).__name__}")
        _overrides.refuse("optimizer", identifier, _CLASSES.values())
        return identifier
    if isinstance(identifier, str):
        return deserialize({"class_name": identifier, "config": {}})
    if isinstance(identifier, dict):
        return deserialize(identifier)
    raise TypeError(f"optimizer: expected a name or an Optimizer, got {identifier!r}")


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """`optimizer` as {"class_name": …, "config": {…}}; of a subclass, the rule that it inherits."""
    kind = _CLASSES[optimizer.engine_name]
    return {"class_name": kind.__name__, "config": kind.get_config(optimizer)}


def deserialize(config: dict[str, Any]) -> Optimizer:
    """The optimizer of a serialized dict; only classes of this module can be named."""
    name, arguments = _checks.class_and_arguments("optimizer", config)
    if name.lower() not in _CLASSES:
        raise _checks.unknown("optimizer", name, _CLASSES)
    return _CLASSES[name.lower()].from_config(arguments)


def _optional(argument: str, value: object, low: float) -> float | None:
    return None if value is None else _checks.number(argument, value, low)


def _clip(argument: str, value: object) -> float | None:
    limit = _optional(argument, value, 0.0)
    if limit is not None and limit < _LEAST:
        raise ValueError(f"{argument}: expected a number of at least 2**-126, got {value!r}")
    return limit


if not TYPE_CHECKING:  # a type checker takes a module that has this to have every name

    def __getattr__(name: str) -> Any:
        raise no_attribute(__name__, name, (c.__name__ for c in _CLASSES.values()))
