"""The layers of a model, their shapes, names and weights, and the network made from them."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks, _core, _json, _overrides
from pylstm._checks import Shape
from pylstm._fork_locks import fork_lock
from pylstm._runtime import draw_seed, meet_threadpoolctl
from pylstm.layers import InputLayer, Layer, serialize
from pylstm.layers._names import layer_name
from pylstm.layers._shapes import built_shape, engine_shape, open_shape
from pylstm.layers._variables import Variable, check_weights, in_dtype, match_weights
from pylstm.models._alone import BUSY, alone
from pylstm.models._rules import (
    check_features,
    check_new,
    found_layer,
    free_name,
    narrowed,
    output_shape,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Structure:
    """A stack of layers. The engine's network is made when it is first needed."""

    def __setattr__(self, name: str, value: Any) -> None:
        # A model whose __dict__ was asked for is slower in reading every attribute.
        if name == "dtype" and hasattr(self, name):
            raise AttributeError(
                f"dtype cannot be set: make a Sequential(…, dtype={value!r}) and give it the "
                f"weights of this model: new.set_weights(old.get_weights())"
            )
        if name == "name":
            value = layer_name(value)
        elif name == "trainable":
            value = _checks.boolean(name, value)
            for layer in getattr(self, "_layers", ()):
                layer.trainable = value
        super().__setattr__(name, value)

    def __init__(
        self,
        layers: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = "float32",
    ) -> None:
        if isinstance(layers, Layer | InputLayer):
            raise TypeError("layers: pass one list: Sequential([first, second, ...])")
        _overrides.refuse("model", self, [Structure])
        self.name = "sequential" if name is None else name
        self.trainable = trainable
        self.dtype = _checks.dtype("dtype", dtype)
        self._numpy_dtype = np.dtype(self.dtype)
        self._layers: list[Layer] = []
        self._declared: Shape | None = None
        self._input_shape: Shape | None = None
        self._core: _core.Network | None = None
        self._lock = fork_lock()
        # While checks of data that built it go on: their thread, and the layers that they built.
        self._builder: tuple[int, list[Layer]] | None = None
        self._seed = draw_seed()
        meet_threadpoolctl()
        if layers is not None and not isinstance(layers, list | tuple):
            raise TypeError(f"layers: expected a list of layers, got {type(layers).__name__}")
        given = [(e, e.name, e.dtype, e.built) for e in layers or () if isinstance(e, Layer)]
        try:
            for layer in layers or ():
                self.add(layer)
        except BaseException:  # the layers are free for another model
            for layer, name_before, dtype_before, built in given:
                if layer.owner is self:
                    layer._leave(name_before, dtype_before, built)
            raise

    # ---- layers

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order; changing the list does not change the model."""
        return list(self._layers)

    @alone
    def add(self, layer: Any) -> None:
        """Put a layer on top. Weights of layers that are there stay; an optimizer begins anew.

        Raises:
            TypeError: not a layer.
            ValueError: it cannot take the output of the layer below; its name is taken; it belongs
                to a model already; it gives more than one output.
            RuntimeError: the model is being trained.
        """
        if isinstance(layer, InputLayer):
            self._declare(layer)
            return
        check_new(layer, self._layers, self.dtype)
        first, shape = not self._layers, self._input_shape
        if shape is None and first:
            shape = self._declared or layer.declared_shape
        below = self.output_shape if self._input_shape is not None and not first else shape
        given = layer.name, layer.dtype
        layer._call_it(free_name(layer, self._layers), self.dtype)
        if below is not None:
            try:
                output_shape(layer, below, self._layers)
                check_features(layer, below)
            except ValueError:
                layer._call_it(*given)
                raise
        self._keep_weights()
        layer._attach(self, below)
        self._layers.append(layer)
        self._input_shape = shape

    @alone
    def pop(self, rebuild: bool = True) -> Layer:
        """Take the top layer off and return it; it keeps its weights. An optimizer begins anew.

        Raises:
            ValueError: there is no layer.
            RuntimeError: the model is being trained.
        """
        if not self._layers:
            raise ValueError("pop: the model has no layers")
        self._keep_weights()
        layer = self._layers.pop()
        layer._detach(layer.held)
        if not self._layers:
            self._input_shape = self._declared
        return layer

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name or index.

        Raises:
            ValueError: neither or both given, or there is no such layer.
        """
        return found_layer(self._layers, name, index)

    def _declare(self, declaration: InputLayer) -> None:
        if self._layers or self._declared is not None:
            raise ValueError("Input: it must be the first thing in the model")
        self._declared = self._input_shape = declaration.batch_shape

    # ---- shapes

    @property
    def built(self) -> bool:
        """Whether the shape of the input is known, and with it that of every weight."""
        return self._input_shape is not None and bool(self._layers)

    @property
    def input_shape(self) -> Shape:
        """Shape of the input, rows first, None where the size is open."""
        return self._known_shape()

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, rows first, None where the size is open."""
        shape = self._known_shape()
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @alone
    def build(self, input_shape: Any = None) -> None:
        """Fix the shape of the input (rows first), as the first data otherwise does.

        Raises:
            ValueError: no layers; a layer cannot take its input; built for another shape already.
            RuntimeError: the model is being trained.
        """
        if input_shape is None:
            self._known_shape()
            return
        shape = built_shape(input_shape)
        if not self._layers:
            raise ValueError("build: the model has no layers")
        self._build(shape if self._input_shape is None else narrowed(self._input_shape, shape))

    def _build(self, shape: Shape) -> None:
        """Fix the shapes of all layers, or of none."""
        below = [shape]
        for i, layer in enumerate(self._layers):
            check_features(layer, below[-1])
            below.append(output_shape(layer, below[-1], self._layers[:i]))
        for layer, layer_shape in zip(self._layers, below, strict=False):
            layer._attach(self, layer_shape)
        self._input_shape = shape

    def _build_for(self, x: NDArray[Any]) -> None:
        """Check the shape of `x`; build for its rows if that is still to do."""
        if not self.built or self._builder is not None:
            with self._lock:
                if not self.built:
                    self._build_first(x)
                elif self._builder is not None and self._builder[0] != get_ident():
                    self._builder = None  # this thread relies on it from now on
        _checks.inputs(x, self._known_shape())

    def _build_first(self, x: NDArray[Any]) -> None:
        if not self._layers:
            raise ValueError("the model has no layers")
        self._layers[0].check_array(x.shape)
        if x.ndim < 2:
            raise ValueError(f"x: expected rows first, and a row's axes, got shape {x.shape}")
        shape = open_shape(x.shape, token_ids=False)
        _checks.inputs(x, shape)
        fresh = [layer for layer in self._layers if not layer.built]
        self._builder = get_ident(), fresh
        self._build(shape)

    def _known_shape(self) -> Shape:
        if self._input_shape is None:
            raise ValueError(
                "the model is not built: the shape of its input is not known yet; begin with "
                "Input(shape), call build(input_shape) or fit the model"
            )
        return self._input_shape

    def count_params(self) -> int:
        """Number of weights.

        Raises:
            ValueError: the model is not built.
        """
        self._known_shape()
        return sum(layer.count_params() for layer in self._layers)

    # ---- weights

    @property
    def weights(self) -> list[Variable]:
        """All variables with their paths, in order."""
        self._known_shape()
        with self._lock:
            return self._variables()

    def _variables(self) -> list[Variable]:
        found = (v for layer in self._layers for v in layer.weights)
        return [Variable(v.path, v.value, v.trainable and self.trainable) for v in found]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return [v for v in self.weights if v.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The variables that training leaves alone."""
        return [v for v in self.weights if not v.trainable]

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of all weights, layer by layer, in Keras' order.

        Raises:
            ValueError: the model is not built.
            RuntimeError: another thread is training the model.
        """
        self._enter()
        return self._network().get_weights()

    def set_weights(self, weights: list[Any]) -> None:
        """Replace all weights, or none.

        Raises:
            ValueError: not as many arrays, or not of the shapes, that `get_weights` gives; a number
                too large for the dtype.
            RuntimeError: another thread is training the model.
        """
        self._enter()
        with self._lock:
            paths, shapes = self._paths()
            checked = match_weights(weights, paths, shapes)
            self._network().set_weights(in_dtype(checked, paths, self.dtype))

    def _paths(self) -> tuple[list[str], list[tuple[int, ...]]]:
        """Path and shape of each variable."""
        self._known_shape()
        found = [
            (f"{layer.name}/{spec.name}", spec.shape)
            for layer in self._layers
            for spec in layer.specs(layer.input_shape)
        ]
        return [path for path, _ in found], [shape for _, shape in found]

    def _span(self, layer: Layer) -> tuple[int, int]:
        """First and last + 1 of a layer's variables among all."""
        place = self._layers.index(layer)
        counts = [len(other.specs(other.input_shape)) for other in self._layers[: place + 1]]
        return sum(counts[:-1]), sum(counts)

    def _layer_weights(self, layer: Layer) -> list[NDArray[Any]]:
        self._enter()
        with self._lock:
            first, last = self._span(layer)
            return self._network().get_weights()[first:last]

    def _set_layer_weights(self, layer: Layer, weights: list[NDArray[Any]]) -> None:
        self._enter()
        with self._lock:
            first, last = self._span(layer)
            converted = in_dtype(weights, self._paths()[0][first:last], self.dtype)
            network = self._network()
            everything = network.get_weights()
            everything[first:last] = converted
            network.set_weights(everything)

    def _reset_state_of(self, layer: Layer) -> None:
        self._enter()
        if self._core is not None:
            owners = [other for other in self._layers for _ in range(2 * other.directions)]
            for mode in ("fit", "predict"):
                carried = zip(self._core.get_state(mode), owners, strict=True)
                states = [state[:0] if owner is layer else state for state, owner in carried]
                self._core.set_state(mode, states)  # no rows: zeros, for as many as come

    # ---- the network

    def _enter(self) -> None:
        """Before the model is used: refuse other threads than the one that trains it."""
        if self._core is not None and self._core.trains_elsewhere:
            raise RuntimeError(BUSY)

    def _enter_idle(self) -> None:
        """Before the model is changed: refuse all threads during training."""
        if self._core is not None and self._core.trains:
            raise RuntimeError(BUSY)

    def _network(self) -> _core.Network:
        """The network, made now if it is not there."""
        if self._core is not None:
            return self._core
        with self._lock:
            if self._core is None:
                self._core = self._make_network()
        return self._core

    def _make_network(self) -> _core.Network:
        shape = self._known_shape()
        new = [e.weights_for(e.input_shape) for e in self._layers if e.held is None]
        check_weights(new, np.dtype(self.dtype).itemsize)
        row = engine_shape(shape, bool(self._layers) and self._layers[0].token_ids)
        network = _core.Network(_json.dumps(self.get_config()), row, self.dtype)
        shapes = [tuple(v[1]) for v in network.variables()]
        if shapes != self._paths()[1]:
            raise RuntimeError(f"engine and layers disagree about the weights' shapes: {shapes}")
        weights: list[NDArray[Any]] = []
        spans = []
        for i, layer in enumerate(self._layers):
            own = layer.held
            if own is None:
                own = layer._draw_weights(self._seed, i)
            spans.append((len(weights), len(weights) + len(own)))
            weights += own
        network.set_weights([np.ascontiguousarray(w, self.dtype) for w in weights])
        network.set_seed(self._seed)
        self._network_made(network)
        for layer, (first, last) in zip(self._layers, spans, strict=True):
            layer._settle(network, first, last)
        return network

    def _network_made(self, network: _core.Network) -> None:
        """Called with every new network; a trainer compiles it."""

    def _keep_weights(self) -> None:
        """Before the layers change: give the weights back to the layers, forget the network."""
        if self._core is None:
            return
        weights = self._core.get_weights()
        for layer in self._layers:
            first, last = self._span(layer)
            layer._hold(weights[first:last])
        self._core = None

    def _trainable_flags(self) -> list[bool]:
        return [
            self.trainable and flag for layer in self._layers for flag in layer.trainable_flags()
        ]

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        """The model's architecture, ready for JSON; the engine reads the same."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype,
            "layers": [serialize(layer) for layer in self._layers],
            "build_input_shape": None if self._input_shape is None else list(self._input_shape),
        }
