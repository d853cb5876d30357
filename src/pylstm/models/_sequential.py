"""Sequential: the model of pylstm. What is here is printing, saving, copying and generating."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pylstm import _checks
from pylstm._runtime import draw_seed
from pylstm.layers import InputLayer, deserialize
from pylstm.layers._recurrent import Recurrent
from pylstm.layers._shapes import declared_shape
from pylstm.models._alone import at_one_moment
from pylstm.models._file import read_weights, save_model
from pylstm.models._training import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONFIG_KEYS = {"name", "trainable", "dtype", "layers", "build_input_shape"}


class Sequential(Trainer):
    """A stack of layers, trained and used like Keras' Sequential.

    The model is built, its weights drawn, when the shape of its input is known: at once if it
    begins with an `Input`, an `Embedding` or a layer with `input_shape`; else with the first data.

    Args:
        layers: Layers from the input to the output; more can be added.
        trainable: Whether training changes the weights; may be set at any time.
        name: Name in summaries and files.
        dtype: "float32" or "float64", or NumPy's types of these names: weights and arithmetic.

    Raises:
        TypeError, ValueError: from `add`.

    >>> from pylstm import layers
    >>> model = Sequential([layers.Input((None, 3)), layers.LSTM(8), layers.Dense(1)])
    >>> model.output_shape, model.count_params()
    ((None, 1), 393)
    """

    variables = Trainer.weights  # Keras has both names
    trainable_variables = Trainer.trainable_weights
    non_trainable_variables = Trainer.non_trainable_weights

    # ---- state

    def reset_state(self) -> None:
        """Zero the states that stateful layers carry, those of fit and those of predict.

        Raises:
            RuntimeError: another thread is training the model.
        """
        self._enter()
        if self._core is not None:
            self._core.reset_state()
        for layer in self._layers:
            if isinstance(layer, Recurrent):
                layer.states = None

    reset_states = reset_state

    # ---- using

    def __call__(self, x: Any, training: bool = False) -> NDArray[Any]:
        """The outputs for one batch; `training` turns dropout on.

        With `training`, the layers are called one after another, and stateful ones carry on their
        `states`, which are not those of fit or predict.

        Raises:
            ValueError, TypeError, IndexError: bad data.
            RuntimeError: another thread is training the model.
        """
        if not training:
            return self.predict_on_batch(x)
        self._enter()
        y, mask = _checks.array("x", x), None
        with self._checking():
            self._build_for(y)
        for layer in self._layers:
            y, mask = layer(y, mask=mask, training=True), layer.compute_mask(y, mask)
        return y

    def generate(
        self,
        prompt: Any,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> NDArray[np.int64]:
        """Continue a sequence of token ids, for a model from ids to the next id at every step.

        Args:
            prompt: Ids (steps,) or (rows, steps), at least one step; bytes stand for their values.
            max_new_tokens: How many to add.
            temperature: 0 takes the likeliest token; 1 draws from the model's distribution.
            top_k: Draw from this many likeliest tokens; 0 means all.
            top_p: Draw from the likeliest tokens that together have this probability.
            seed: Repeats a draw.

        Returns:
            The new ids: (max_new_tokens,), or (rows, max_new_tokens).

        Raises:
            ValueError, IndexError, TypeError: a bad prompt or setting, or a model that does not
                map ids to distributions over ids: it ends in a Dense with a softmax over every
                step, not in logits.
            RuntimeError: another thread is training the model.
        """
        self._enter()
        if isinstance(prompt, bytes | bytearray):
            prompt = np.frombuffer(bytes(prompt), np.uint8)
        if isinstance(prompt, str):
            raise TypeError(
                "prompt: expected token ids, got str; for a model of bytes give text.encode()"
            )
        ids = _checks.array("prompt", prompt)
        if ids.ndim not in (1, 2) or 0 in ids.shape:
            raise ValueError(
                f"prompt: expected ids of shape (steps,) or (rows, steps), at least one step, "
                f"got {ids.shape}"
            )
        if ids.dtype.kind == "f":
            _checks.finite("prompt", ids)
            if not np.array_equal(ids, np.floor(ids)):
                first = ids[ids != np.floor(ids)][0]
                raise ValueError(f"prompt: expected integers, got {first}, which is not whole")
            ids = ids.astype(np.int64)
        if ids.dtype.kind == "b":
            raise TypeError("prompt: expected integers, got dtype bool")
        rows = np.atleast_2d(ids)
        self._check_room(rows, len(rows), "predict")
        return self._network().generate(
            ids,
            _checks.natural("max_new_tokens", max_new_tokens),
            _checks.number("temperature", temperature, 0.0),
            _checks.natural("top_k", top_k),
            _checks.number("top_p", top_p, 0.0, 1.0),
            draw_seed() if seed is None else _checks.seed("seed", seed),
        )

    # ---- printing

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers with their shapes and numbers of weights.

        Args:
            line_length: Width; that of the terminal, at most 88, if not given.
            positions: Right edge of each column: shares of the width, or characters if the last
                is above 1.
            print_fn: Called with the text in place of `print`.
            expand_nested: Accepted; no layer holds others.
            show_trainable: Add a column that tells which layers are trained.
            layer_range: Names of the first and the last layer to show.

        Raises:
            TypeError, ValueError: a width, edges or names that are not such.
        """
        from pylstm.models._summary import layers_between, printable, table

        shown = self.layers if layer_range is None else layers_between(self, layer_range)
        text = table(self, self._optimizer_params(), line_length, positions, show_trainable, shown)
        if print_fn is None:
            print(printable(text))
        else:
            print_fn(text)

    def _optimizer_params(self) -> int:
        state = self._state_of_optimizer()
        if state is None or state[0] == 0:
            return 0
        return sum(slot.size for slot in state[1]) + 2  # and Keras' iteration and learning rate

    def __repr__(self) -> str:
        return f"<Sequential name={self.name!r}, built={self.built}>"

    # ---- saving

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        include_optimizer: bool = True,
    ) -> None:
        """Write the model to a .safetensors file that `pylstm.load_model` reads.

        An existing file is replaced only when the new one is complete. Of losses and metrics
        written in Python it has the names, of classes what `get_config` gives;
        `load_model(custom_objects=…)` is given the functions and classes. The states that stateful
        layers carry are in it: `reset_state` makes a loaded model begin anew.

        Args:
            filepath: Where.
            overwrite: Whether an existing file may be replaced.
            include_optimizer: Whether to write what is needed to train on.

        Raises:
            ValueError: the model is not built, or the name is one of Keras' formats.
            FileExistsError: the file exists and `overwrite` is False.
            OSError: the file cannot be written.
        """
        save_model(self, filepath, overwrite, include_optimizer)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """`save` without what is needed to train on; arguments and errors are those of `save`."""
        self.save(filepath, overwrite, include_optimizer=False)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Take the weights, by their paths, from a file that `save` wrote.

        Raises:
            ModelFileError: the file is damaged or foreign.
            ValueError: it has other weights than the model, or more.
        """
        self._enter()
        paths, _ = self._paths()
        self.set_weights(read_weights(filepath, paths))

    # ---- copying

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A new model, with new weights, from what `get_config` gave.

        Raises:
            TypeError, ValueError: not such a dict.
        """
        if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
            raise TypeError(
                f"config: expected a dict as get_config gives it, with a list of layers; got "
                f"{_checks.described(config)}"
            )
        strange = [key for key in config if key not in _CONFIG_KEYS]
        if strange:
            raise _checks.unexpected("Sequential", strange, _CONFIG_KEYS)
        model = cls(
            trainable=config.get("trainable", True),
            name=config.get("name"),
            dtype=config.get("dtype", "float32"),
        )
        shape = declared_shape(None, config.get("build_input_shape"))
        if shape is not None:
            model.add(InputLayer(batch_shape=shape))
        for entry in config["layers"]:
            model.add(deserialize(entry))
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        state = at_one_moment(self, lambda _: self._kept()) if self.built else self._kept()
        if self._compiled is not None:
            compiled = copy.copy(self._compiled)
            compiled.optimizer = copy.copy(compiled.optimizer)
            compiled.metrics = [copy.copy(metric) for metric in compiled.metrics]
            state["compiled"] = compiled
        return _restore, (type(self), self.get_config(), state)

    def _kept(self) -> dict[str, Any]:
        """What `_put_back` takes, but for what `compile` was given."""
        return {
            "seed": self._seed,
            "epochs": self._epochs_done,
            "weights": [layer.get_weights() if layer.built else None for layer in self._layers],
            "shapes": [layer.input_shape if layer.built else None for layer in self._layers],
            "carried": self._carried_states(),
            "optimizer": self._state_of_optimizer(),
        }

    def _put_back(self, state: dict[str, Any]) -> None:
        """Take over what `__reduce__` or a file kept of a model of the same configuration."""
        self._seed, self._epochs_done = state["seed"], state["epochs"]
        for layer, weights in zip(self._layers, state["weights"], strict=True):
            layer._hold(weights)
        for layer, shape in zip(self._layers, state.get("shapes", ()), strict=False):
            layer._take_shape(shape)  # of a model that is not built, that of a layer that is
        self._optimizer_state = state["optimizer"]
        self._compiled = state.get("compiled")
        if self.built:
            network = self._network()
            for mode, states in state["carried"].items():
                network.set_state(mode, states)


def _speak_of(cls: type) -> None:
    """Let Python's own messages, of an argument that is not there, name the class users know."""
    for base in cls.__mro__[1:-1]:
        for name, method in vars(base).items():
            if callable(method) and not name.startswith("_"):
                inside = getattr(method, "__wrapped__", method)
                inside.__qualname__ = method.__qualname__ = f"{cls.__name__}.{name}"
                method.__module__ = cls.__module__  # where pickle looks for that name


_speak_of(Sequential)


def _restore(cls: type[Sequential], config: dict[str, Any], state: dict[str, Any]) -> Sequential:
    """The model that pickle, copy and deepcopy give."""
    model = cls.from_config(config)
    model._put_back(state)
    return model
