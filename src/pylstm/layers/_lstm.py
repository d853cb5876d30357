"""LSTM, the layer; LSTMCell and RNN, the two-part way to write the same layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylstm import _checks, _overrides, initializers
from pylstm._checks import Shape
from pylstm._configured import Configured
from pylstm.layers._recurrent import Recurrent
from pylstm.layers._variables import Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELL_ARGUMENTS = (
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "unit_forget_bias",
    "dropout",
    "recurrent_dropout",
    "seed",
)
_OF_LAYER = ("name", "trainable", "dtype")


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), with Keras' arguments and weights.

    At each step, with gates in the order i, f, c, o::

        z = x @ kernel + h @ recurrent_kernel + bias
        c = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_c)
        h = sigmoid(z_o) * tanh(c)

    Input (rows, steps, features). Output (rows, units): the last h; with `return_sequences`
    (rows, steps, units). Weights: kernel (features, 4 * units), recurrent_kernel
    (units, 4 * units), bias (4 * units,).

    Args:
        units: Size of h and c.
        activation: Must be "tanh".
        recurrent_activation: Must be "sigmoid".
        use_bias: Whether there is a bias.
        kernel_initializer: Initial kernel.
        recurrent_initializer: Initial recurrent kernel; "orthogonal" is over all four gates.
        bias_initializer: Initial bias.
        unit_forget_bias: Start the forget gate's bias at 1.
        kernel_regularizer: Not supported; must be None. So for the regularizers and constraints
            that follow it.
        dropout: Share of the inputs dropped while training, the same ones at every step.
        recurrent_dropout: Share of h dropped while training, the same units at every step.
        seed: Seed of initial weights and dropout; the model's if not given.
        return_sequences: Give every h, not only the last.
        return_state: Also give the final h and c; only when the layer is called on arrays.
        go_backwards: Walk from the last step to the first; outputs come in that order.
        stateful: Start each batch from the state at the end of the batch before. A row whose
            steps are all masked keeps its state; its output is 0.
        unroll, use_cudnn, implementation: Accepted; they mean nothing here.
        zero_output_for_mask: With `return_sequences`, give 0 at masked steps, not the output
            before them.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape` as in `Layer`.

    Raises:
        ValueError: a number out of range, or a Keras setting that is not supported.
        TypeError: an argument of the wrong type.

    >>> LSTM(16, return_sequences=True).compute_output_shape((None, 10, 3))
    (None, 10, 16)
    """

    _ranks = (3,)
    _arguments = (
        *_CELL_ARGUMENTS,
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "zero_output_for_mask",
    )

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: None = None,
        recurrent_regularizer: None = None,
        bias_regularizer: None = None,
        activity_regularizer: None = None,
        kernel_constraint: None = None,
        recurrent_constraint: None = None,
        bias_constraint: None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        implementation: int = 2,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        for argument, value in (
            ("kernel_regularizer", kernel_regularizer),
            ("recurrent_regularizer", recurrent_regularizer),
            ("bias_regularizer", bias_regularizer),
            ("kernel_constraint", kernel_constraint),
            ("recurrent_constraint", recurrent_constraint),
            ("bias_constraint", bias_constraint),
        ):
            _checks.unsupported(argument, value, (None,))
        _checks.unsupported("activation", activation, ("tanh",))
        _checks.unsupported("recurrent_activation", recurrent_activation, ("sigmoid",))
        self.units = _checks.positive_int("units", units, _checks.LARGEST // 4)
        self.activation = activation
        self.recurrent_activation = recurrent_activation
        self.use_bias = _checks.boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.recurrent_initializer = initializers.get(
            recurrent_initializer, "recurrent_initializer"
        )
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.unit_forget_bias = _checks.boolean("unit_forget_bias", unit_forget_bias)
        self.dropout = _checks.number("dropout", dropout, 0.0, 1.0)
        self.recurrent_dropout = _checks.number("recurrent_dropout", recurrent_dropout, 0.0, 1.0)
        self.seed = _checks.optional_seed("seed", seed)
        self.return_sequences = _checks.boolean("return_sequences", return_sequences)
        self.return_state = _checks.boolean("return_state", return_state)
        self.go_backwards = _checks.boolean("go_backwards", go_backwards)
        self.stateful = _checks.boolean("stateful", stateful)
        self.zero_output_for_mask = _checks.boolean("zero_output_for_mask", zero_output_for_mask)

    @property
    def reads_backward(self) -> bool:
        """Whether the walk begins at the last step."""
        return self.go_backwards

    def specs(self, input_shape: Shape) -> list[Spec]:
        width = 4 * self.units
        found = [
            Spec("kernel", (self._features(input_shape), width), self.kernel_initializer),
            Spec("recurrent_kernel", (self.units, width), self.recurrent_initializer),
        ]
        if self.use_bias:
            bias = self.bias_initializer
            if self.unit_forget_bias:
                bias = initializers.ForgetBias(bias)
            found.append(Spec("bias", (width,), bias))
        return found

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._features(input_shape)
        if self.return_sequences:
            return (*input_shape[:2], self.units)
        return (input_shape[0], self.units)

    def _features(self, input_shape: Shape) -> int:
        if len(input_shape) != 3 or input_shape[2] is None:
            raise ValueError(
                f"layer {self.name!r}: expected an input of shape (rows, steps, features), "
                f"got {_checks.shape_text(input_shape)}"
            )
        return input_shape[2]

    def __call__(
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The layer applied to an array.

        Args:
            x: (rows, steps, features).
            initial_state: [h, c], each (rows, units); zeros if not given.
            mask: (rows, steps), False at steps to leave out.
            training: Turn dropout on.

        Returns:
            The output, or [output, h, c] with `return_state`.

        Raises:
            ValueError: an array of the wrong shape.
        """
        found = self._call_from(x, initial_state, mask, training)
        return found if self.return_state else found[0]

    def _states(self, states: Any, rows: int) -> list[NDArray[Any]]:
        if not isinstance(states, list | tuple) or len(states) != 2:
            raise ValueError(
                f"initial_state: expected [h, c], two arrays; got {_checks.described(states)}"
            )
        found = [_checks.array("initial_state", state) for state in states]
        for name, state in zip("hc", found, strict=True):
            _checks.same_shape(f"initial_state ({name})", state.shape, (rows, self.units))
        return found


class LSTMCell(Configured):
    """One step of an LSTM: give it to `RNN`, or call it.

    The arguments are those of `LSTM` up to `seed`, and `implementation`. `RNN(LSTMCell(8), …)`
    makes the very layer that `LSTM(8, …)` makes; the cell then uses that layer's weights. Of the
    arguments of `Layer` it has `name`, `trainable` and `dtype`, which go to that layer.

    Raises:
        TypeError: an argument of the wrong type, or one that is that of a whole layer.
        ValueError: a number out of range, or a Keras setting that is not supported.

    >>> import numpy as np
    >>> h, [h, c] = LSTMCell(4)(np.ones((2, 3)), [np.zeros((2, 4)), np.zeros((2, 4))])
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: None = None,
        recurrent_regularizer: None = None,
        bias_regularizer: None = None,
        kernel_constraint: None = None,
        recurrent_constraint: None = None,
        bias_constraint: None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        implementation: int = 2,
        **kwargs: Any,
    ) -> None:
        strange = [name for name in kwargs if name not in _OF_LAYER]
        if strange:
            raise _checks.unexpected("LSTMCell", strange, (*_CELL_ARGUMENTS, *_OF_LAYER))
        self.layer = LSTM(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.units = self.layer.units
        self.state_size = [self.units, self.units]
        self.output_size = self.units
        self.wrapped = False

    def __call__(
        self, inputs: Any, states: Any, training: bool = False
    ) -> tuple[NDArray[Any], list[NDArray[Any]]]:
        """One step: inputs (rows, features), states [h, c] → (h, [h, c]), each (rows, units)."""
        x = _checks.array("inputs", inputs)
        if x.ndim != 2:
            raise ValueError(f"inputs: expected shape (rows, features), got {x.shape}")
        checked = self.layer._states(states, len(x))
        _, h, c = self.layer._call(x[:, None, :], checked, None, training)
        return h, [h, c]

    def get_initial_state(self, batch_size: int) -> list[NDArray[Any]]:
        """Zeros [h, c] for this many rows."""
        import numpy as np

        shape = (_checks.positive_int("batch_size", batch_size), self.units)
        dtype = self.layer._computes_in
        return [np.zeros(shape, dtype), np.zeros(shape, dtype)]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, ready for JSON."""
        config = self.layer.get_config()
        if self.layer.auto_named:
            del config["name"]
        return {key: config[key] for key in (*_OF_LAYER, *_CELL_ARGUMENTS) if key in config}

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of kernel, recurrent_kernel and bias."""
        return self.layer.get_weights()

    def set_weights(self, weights: list[Any]) -> None:
        """Replace kernel, recurrent_kernel and bias."""
        self.layer.set_weights(weights)


def RNN(
    cell: LSTMCell,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    stateful: bool = False,
    unroll: bool = False,
    zero_output_for_mask: bool = False,
    **kwargs: Any,
) -> LSTM:
    """The LSTM layer of an `LSTMCell`; the arguments are those of `LSTM`, `**kwargs` of `Layer`.

    `name`, `trainable` and `dtype` are the cell's where they are not given.

    Raises:
        TypeError: `cell` is not an LSTMCell. A cell written in Python cannot run in the engine.
        ValueError: the cell already belongs to another layer.

    >>> RNN(LSTMCell(8), return_sequences=True).units
    8
    """
    if not isinstance(cell, LSTMCell):
        raise TypeError(
            f"cell: expected a pylstm.layers.LSTMCell, got {type(cell).__name__}; cells written in "
            f"Python and lists of cells are not supported (stack layers instead)"
        )
    _overrides.refuse("cell", cell, [LSTMCell])
    if cell.wrapped:
        raise ValueError("cell: it already belongs to another layer; make a new LSTMCell")
    config = cell.get_config()
    kwargs = {**{key: config.pop(key) for key in _OF_LAYER if key in config}, **kwargs}
    layer = LSTM(
        **config,
        return_sequences=return_sequences,
        return_state=return_state,
        go_backwards=go_backwards,
        stateful=stateful,
        zero_output_for_mask=zero_output_for_mask,
        **kwargs,
    )
    if cell.layer.built:
        layer.build(cell.layer.input_shape)
        layer.set_weights(cell.layer.get_weights())
    cell.layer, cell.wrapped = layer, True
    return layer
