"""The LSTM and one whole training step in plain NumPy: the specification of the engine.

Nothing here is called by the rest of the package. The tests hold the engine against these
functions and the benchmarks time them. They are written to be read: one equation a line, the
backward pass directly below its forward pass. Dropout is left out; everything else that an LSTM
layer does to numbers is here.

Shapes: ``B`` batch, ``T`` steps, ``I`` features, ``U`` units, ``V`` vocabulary. Weights have
Keras' layout: ``kernel (I, 4U)``, ``recurrent_kernel (U, 4U)``, ``bias (4U,)``, gate blocks in
the order input, forget, candidate (``g``), output. The dtype of a result follows its inputs, so
float64 arguments give a float64 computation throughout.

>>> import numpy as np
>>> x = np.ones((2, 3, 1))                       # two sequences of three steps
>>> kernel, recurrent, bias = np.full((1, 8), 0.5), np.full((2, 8), 0.25), np.zeros(8)
>>> y, (h, c), cache = lstm_forward(x, kernel, recurrent, bias)
>>> y.shape, np.round(h[0], 4).tolist()
((2, 3, 2), [0.4072, 0.4072])
>>> gradients = lstm_backward(np.ones_like(y), cache)
>>> gradients.kernel.shape, gradients.x.shape
((1, 8), (2, 3, 1))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tokens = npt.NDArray[np.integer[Any]]
State = tuple[Array, Array]


class LstmCache(NamedTuple):
    """What the backward pass needs of the forward pass. Time comes first: row ``t`` is one step."""

    x: Array  # (T, B, I) in the order of processing, 0 where masked
    gates: Array  # (T, B, 4U) after their activations
    h: Array  # (T+1, B, U); h[t] is the state before step t
    c: Array  # (T+1, B, U)
    tanh_c: Array  # (T, B, U) of the candidate cell state, before a mask holds it
    keep: Array | None  # (T, B, 1) bool, False where masked
    shown: Array | None  # (T, B, 1) bool, False where y is 0 because of the mask
    kernel: Array
    recurrent_kernel: Array
    go_backwards: bool


class LstmGradients(NamedTuple):
    """Gradients of a scalar with respect to every argument of `lstm_forward`."""

    x: Array  # (B, T, I)
    kernel: Array  # (I, 4U)
    recurrent_kernel: Array  # (U, 4U)
    bias: Array  # (4U,)
    h0: Array  # (B, U)
    c0: Array  # (B, U)


def sigmoid(z: Array) -> Array:
    """Logistic function 1 / (1 + exp(-z)), elementwise; accurate for small results too."""
    with np.errstate(over="ignore"):  # exp overflows to inf and the quotient is the right 0
        result: Array = 1.0 / (1.0 + np.exp(-z))
    return result


def lstm_forward(
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | None = None,
    initial_state: State | None = None,
    mask: npt.NDArray[np.bool_] | None = None,
    *,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Array, State, LstmCache]:
    """Run an LSTM over whole sequences.

    Args:
        x: input, (B, T, I).
        kernel, recurrent_kernel, bias: weights in Keras' layout; ``bias=None`` means zeros.
        initial_state: ``(h, c)``, each (B, U); None means zeros.
        mask: (B, T), False where a step does not count: such a step holds h and c, and the value
            of x there is never used.
        go_backwards: process the last step first; ``y`` then comes out in that order, as in Keras.
        zero_output_for_mask: a masked step puts out 0. By default it repeats the output of the
            last step that counted; it is 0 too where there is none before it, whatever the
            initial state.

    Returns:
        ``y`` (B, T, U), the final ``(h, c)``, and the cache for `lstm_backward`. ``y`` and the
        states may be views into the cache.
    """
    batch, steps, features = x.shape
    units = recurrent_kernel.shape[0]
    x = np.ascontiguousarray(x.swapaxes(0, 1))
    keep = None if mask is None else np.asarray(mask, dtype=bool).T[:, :, np.newaxis]
    if go_backwards:
        x, keep = x[::-1], keep if keep is None else keep[::-1]
    if keep is not None:
        x = np.where(keep, x, np.zeros_like(x))

    gates = (x.reshape(-1, features) @ kernel).reshape(steps, batch, 4 * units)
    if bias is not None:
        gates += bias
    h = np.zeros((steps + 1, batch, units), gates.dtype)
    c, tanh_c = np.zeros_like(h), np.empty_like(h[1:])
    if initial_state is not None:
        h[0], c[0] = initial_state

    for t in range(steps):
        z = gates[t]  # activated in place, step by step
        z += h[t] @ recurrent_kernel
        z[:, : 2 * units] = sigmoid(z[:, : 2 * units])
        z[:, 2 * units : 3 * units] = np.tanh(z[:, 2 * units : 3 * units])
        z[:, 3 * units :] = sigmoid(z[:, 3 * units :])
        i, f, g, o = np.split(z, 4, axis=1)
        c[t + 1] = f * c[t] + i * g
        tanh_c[t] = np.tanh(c[t + 1])
        h[t + 1] = o * tanh_c[t]
        if keep is not None:
            c[t + 1] = np.where(keep[t], c[t + 1], c[t])
            h[t + 1] = np.where(keep[t], h[t + 1], h[t])

    y, shown = h[1:], None
    if keep is not None:
        shown = keep if zero_output_for_mask else np.logical_or.accumulate(keep, axis=0)
        y = np.where(shown, y, np.zeros_like(y))
    cache = LstmCache(x, gates, h, c, tanh_c, keep, shown, kernel, recurrent_kernel, go_backwards)
    return y.swapaxes(0, 1), (h[-1], c[-1]), cache


def lstm_backward(dy: Array, cache: LstmCache, dstate: State | None = None) -> LstmGradients:
    """Differentiate `lstm_forward`.

    Args:
        dy: gradient of the scalar with respect to ``y``, (B, T, U), in the order of ``y``.
        cache: what `lstm_forward` returned; not changed.
        dstate: gradient with respect to the final ``(h, c)``; None means zeros.
    """
    x, gates, h, c, tanh_c, keep, shown, kernel, recurrent_kernel, go_backwards = cache
    steps, _, features = x.shape
    dy = np.ascontiguousarray(dy.swapaxes(0, 1))
    if shown is not None:
        dy = np.where(shown, dy, np.zeros_like(dy))
    dh, dc = (np.zeros_like(h[0]), np.zeros_like(c[0])) if dstate is None else dstate
    dgates = np.empty_like(gates)  # with respect to the pre-activations
    recurrent_transposed = np.ascontiguousarray(recurrent_kernel.T)

    for t in reversed(range(steps)):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        dz_i, dz_f, dz_g, dz_o = np.split(dgates[t], 4, axis=1)
        dh = dh + dy[t]
        dc_here = dc + dh * o * (1.0 - tanh_c[t] * tanh_c[t])
        dz_i[:] = dc_here * g * i * (1.0 - i)
        dz_f[:] = dc_here * c[t] * f * (1.0 - f)
        dz_g[:] = dc_here * i * (1.0 - g * g)
        dz_o[:] = dh * tanh_c[t] * o * (1.0 - o)
        if keep is None:
            dh, dc = dgates[t] @ recurrent_transposed, dc_here * f
        else:
            dgates[t] *= keep[t]
            dh = np.where(keep[t], dgates[t] @ recurrent_transposed, dh)
            dc = np.where(keep[t], dc_here * f, dc)

    units = recurrent_kernel.shape[0]
    rows = dgates.reshape(-1, 4 * units)
    dx = (rows @ kernel.T).reshape(x.shape)
    if go_backwards:
        dx = dx[::-1]
    return LstmGradients(
        x=dx.swapaxes(0, 1),
        kernel=x.reshape(-1, features).T @ rows,
        recurrent_kernel=h[:-1].reshape(-1, units).T @ rows,
        bias=rows.sum(axis=0),
        h0=dh,
        c0=dc,
    )


def softmax_cross_entropy(logits: Array, targets: Tokens) -> tuple[np.floating[Any], Array]:
    """Mean cross-entropy in nats of integer targets (N,) under logits (N, V), and its gradient.

    Returns:
        The loss, a scalar of the dtype of ``logits``, and d loss / d logits, (N, V).
    """
    rows = np.arange(len(targets))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    loss: np.floating[Any] = np.mean(np.log(total[:, 0]) - shifted[rows, targets])
    dlogits = exponentials
    dlogits /= total
    dlogits[rows, targets] -= 1.0
    dlogits /= len(targets)
    return loss, dlogits


def language_model_gradients(
    weights: Sequence[Array],
    tokens: Tokens,
    targets: Tokens,
    initial_state: State | None = None,
) -> tuple[np.floating[Any], list[Array], State]:
    """Embedding, LSTM, dense softmax and mean cross-entropy, forward and backward.

    Args:
        weights: ``embeddings (V, E)``, ``kernel (E, 4U)``, ``recurrent_kernel (U, 4U)``,
            ``bias (4U,)``, ``dense_kernel (U, V)``, ``dense_bias (V,)``: the order that
            ``Sequential.get_weights`` gives for these three layers.
        tokens, targets: integers in [0, V), each (B, T).
        initial_state: ``(h, c)``, each (B, U); no gradient flows into it.

    Returns:
        The loss, the gradients in the order of ``weights``, and the final ``(h, c)``.
    """
    embeddings, kernel, recurrent_kernel, bias, dense_kernel, dense_bias = weights
    x = embeddings[tokens]
    y, state, cache = lstm_forward(x, kernel, recurrent_kernel, bias, initial_state)
    features = y.reshape(-1, y.shape[2])
    loss, dlogits = softmax_cross_entropy(features @ dense_kernel + dense_bias, targets.reshape(-1))

    ddense_kernel = features.T @ dlogits
    ddense_bias = dlogits.sum(axis=0)
    lstm = lstm_backward((dlogits @ dense_kernel.T).reshape(y.shape), cache)
    dembeddings = np.zeros_like(embeddings)
    np.add.at(dembeddings, tokens, lstm.x)  # a token may occur many times
    dlstm = [lstm.kernel, lstm.recurrent_kernel, lstm.bias]
    return loss, [dembeddings, *dlstm, ddense_kernel, ddense_bias], state


class Adam:
    """Adam as Keras computes it: the bias corrections scale the rate, epsilon is added after them.

    Args:
        weights: the arrays that `update` will change, in place.
        learning_rate, beta_1, beta_2, epsilon: Keras' names and defaults.
    """

    def __init__(
        self,
        weights: Sequence[Array],
        *,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        self.learning_rate, self.beta_1, self.beta_2 = learning_rate, beta_1, beta_2
        self.epsilon = epsilon
        self.iterations = 0
        self.momentum = [np.zeros_like(w) for w in weights]
        self.velocity = [np.zeros_like(w) for w in weights]

    def update(self, weights: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Take one step: ``w -= rate * m / (sqrt(v) + epsilon)``, every array in place."""
        self.iterations += 1
        correction_1 = 1.0 - self.beta_1**self.iterations
        correction_2 = 1.0 - self.beta_2**self.iterations
        rate = self.learning_rate * correction_2**0.5 / correction_1
        for w, g, m, v in zip(weights, gradients, self.momentum, self.velocity, strict=True):
            m += (g - m) * (1.0 - self.beta_1)
            v += (g * g - v) * (1.0 - self.beta_2)
            w -= rate * m / (np.sqrt(v) + self.epsilon)


def training_step(
    weights: Sequence[Array],
    optimizer: Adam,
    tokens: Tokens,
    targets: Tokens,
) -> np.floating[Any]:
    """Take one optimizer step on one batch, ``weights`` in place; returns the loss before it."""
    loss, gradients, _ = language_model_gradients(weights, tokens, targets)
    optimizer.update(weights, gradients)
    return loss
