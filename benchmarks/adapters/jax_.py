"""JAX: `lax.scan` under `jit`, the input projection of all steps before it, Adam in jax.numpy."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.adapters import Prepared, Run
from pylstm._bench.problems import LAST_KINDS, TOKEN_KINDS, Problem

UNROLL = (1, 8)
RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-7


def versions() -> dict[str, str]:
    return {"jax": jax.__version__}


def _lstm(x: Any, weights: list[Any], unroll: int) -> Any:
    """x and the result are time-major."""
    kernel, recurrent, bias = weights
    zeros = jnp.zeros((x.shape[1], recurrent.shape[0]), x.dtype)

    def step(state: Any, projected: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(projected + h @ recurrent, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (zeros, zeros), x @ kernel + bias, unroll=unroll)[1]


def _apply(weights: list[Any], x: Any, problem: Problem, unroll: int) -> Any:
    """Logits, or the layer's output: (T, B, width), or (B, width) of the last step."""
    weights = list(weights)
    out = x.swapaxes(0, 1)
    if problem.kind in TOKEN_KINDS:
        out = weights.pop(0)[out]
    for _ in range(problem.layers):
        out = _lstm(out, weights[:3], unroll)
        weights = weights[3:]
    out = out[-1] if problem.kind in LAST_KINDS else out
    return out @ weights[0] + weights[1] if weights else out


def _loss(weights: list[Any], x: Any, y: Any, problem: Problem, unroll: int) -> Any:
    out = _apply(weights, x, problem, unroll)
    y = y if problem.kind in LAST_KINDS else y.swapaxes(0, 1)
    if not problem.vocabulary:
        return jnp.mean((out - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[..., None], axis=-1))


def _adam(state: Any, gradients: Any) -> Any:
    weights, momentum, velocity, count = state
    count = count + 1
    rate = RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    momentum = [m + (g - m) * (1 - BETA_1) for m, g in zip(momentum, gradients, strict=True)]
    velocity = [v + (g * g - v) * (1 - BETA_2) for v, g in zip(velocity, gradients, strict=True)]
    moved = zip(weights, momentum, velocity, strict=True)
    weights = [w - rate * m / (jnp.sqrt(v) + EPSILON) for w, m, v in moved]
    return weights, momentum, velocity, count


def prepare(problem: Problem) -> Prepared:
    x, y = ([jnp.asarray(batch) for batch in a] for a in problem.data())
    weights = [jnp.asarray(w) for w in problem.weights()]
    if not problem.is_training:
        return _inference(problem, weights, x)
    gradients = {
        u: jax.jit(jax.value_and_grad(partial(_loss, problem=problem, unroll=u))) for u in UNROLL
    }

    def answer() -> dict[str, Any]:
        loss, found = gradients[1](weights, x[0], y[0])
        arrays = [np.asarray(g) for g in found]
        return {"loss": np.asarray(loss), **dict(zip(problem.weight_names, arrays, strict=True))}

    def backward(unroll: int) -> Run:
        def run(repeats: int) -> None:
            for _ in range(repeats):
                jax.block_until_ready(gradients[unroll](weights, x[0], y[0]))

        return run

    if problem.kind == "forward_backward":
        return {f"scan, unroll {u}": backward(u) for u in UNROLL}, answer
    return {f"scan, unroll {u}": _training(problem, weights, x, y, u) for u in UNROLL}, answer


def _inference(problem: Problem, weights: Any, x: Any) -> Prepared:
    def forward(weights: Any, x: Any, unroll: int) -> Any:
        out = _apply(weights, x, problem, unroll)
        return jax.nn.softmax(out) if problem.vocabulary else out

    functions = {u: jax.jit(partial(forward, unroll=u)) for u in UNROLL}

    def runner(unroll: int) -> Run:
        def run(repeats: int) -> None:
            for k in range(repeats):
                jax.block_until_ready(functions[unroll](weights, x[k % len(x)]))

        return run

    def answer() -> dict[str, Any]:
        return {"output": np.asarray(functions[1](weights, x[0]).swapaxes(0, 1))}

    return {f"scan, unroll {u}": runner(u) for u in UNROLL}, answer


def _training(problem: Problem, weights: Any, x: Any, y: Any, unroll: int) -> Run:
    def step(state: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(_loss)(state[0], x, y, problem, unroll)
        return _adam(state, gradients)

    compiled = jax.jit(step, donate_argnums=0)
    slots = [[jnp.zeros_like(w) for w in weights] for _ in range(2)]
    state = ([jnp.array(w) for w in weights], *slots, jnp.zeros(()))  # copies: they are donated
    done = 0

    def run(repeats: int) -> None:
        nonlocal state, done
        for _ in range(repeats):
            state = compiled(state, x[done % len(x)], y[done % len(x)])
            done += 1
        jax.block_until_ready(state)

    return run
