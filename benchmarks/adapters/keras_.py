"""Keras on TensorFlow: the faster of `fit` and `train_on_batch`, with and without XLA."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.adapters import Prepared, Run
from pylstm._bench.problems import LAST_KINDS, TOKEN_KINDS, Problem

THREADS = int(os.environ["OMP_NUM_THREADS"])
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)
COMPILERS = {"graph": False, "XLA": True}


def versions() -> dict[str, str]:
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def _model(problem: Problem) -> Any:
    v = problem.vocabulary
    if problem.kind in TOKEN_KINDS:
        stack = [
            keras.Input((problem.steps,), dtype="int32"),
            keras.layers.Embedding(v, problem.inputs),
        ]
    else:
        stack = [keras.Input((problem.steps, problem.inputs))]
    many = problem.kind not in LAST_KINDS
    stack += [
        keras.layers.LSTM(problem.units, return_sequences=many) for _ in range(problem.layers)
    ]
    stack += [keras.layers.Dense(problem.outputs, activation="softmax")] if v else []
    model = keras.Sequential(stack)
    model.set_weights(problem.weights())
    return model


def _gradients(problem: Problem, model: Any, x: Any, y: Any) -> Any:
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        if problem.vocabulary:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, out))
        else:
            loss = tf.reduce_mean((out - y) ** 2)
    return loss, tape.gradient(loss, [v.value for v in model.trainable_variables])


def prepare(problem: Problem) -> Prepared:
    keras.backend.clear_session()
    x, y = problem.data()
    if problem.vocabulary and problem.is_training:
        return _training(problem, x, y)
    return _function(problem, x, y)


def _function(problem: Problem, x: Any, y: Any) -> Prepared:
    """The model, or its gradients, as one tf.function."""
    model = _model(problem)
    xs, ys = [tf.constant(a) for a in x], [tf.constant(a) for a in y]

    def work(x: Any, y: Any) -> Any:
        if problem.is_training:
            return _gradients(problem, model, x, y)
        return model(x, training=False)

    def runner(jit: bool) -> Run:
        function = tf.function(work, jit_compile=jit)

        def run(repeats: int) -> None:
            for k in range(repeats):
                function(xs[k % len(xs)], ys[k % len(xs)])

        return run

    def answer() -> dict[str, Any]:
        if problem.is_training:
            return _named(problem, work(xs[0], ys[0]))
        return {"output": work(xs[0], ys[0]).numpy()}

    return {f"tf.function, {name}": runner(jit) for name, jit in COMPILERS.items()}, answer


def _training(problem: Problem, x: Any, y: Any) -> Prepared:
    rows = tf.data.Dataset.from_tensor_slices((np.concatenate(x), np.concatenate(y)))
    batches = rows.batch(problem.batch).repeat().prefetch(tf.data.AUTOTUNE)

    def runners(jit: bool) -> tuple[Run, Run]:
        model = _model(problem)
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit)
        # builds what the loop below calls
        model.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0)
        iterator = iter(batches)
        done = 0

        def fit(repeats: int) -> None:
            # What fit does for each batch: one call of it takes as long as many steps before the
            # first one, and learning has few such calls.
            for _ in range(repeats):
                logs = model.train_function(iterator)
            float(logs["loss"])  # waits

        def train_on_batch(repeats: int) -> None:
            nonlocal done
            for _ in range(repeats):
                model.train_on_batch(x[done % len(x)], y[done % len(x)])
                done += 1

        return fit, train_on_batch

    variants: dict[str, Run] = {}
    for name, jit in COMPILERS.items():
        variants[f"fit, {name}"], variants[f"train_on_batch, {name}"] = runners(jit)

    def answer() -> dict[str, Any]:
        return _named(problem, _gradients(problem, _model(problem), x[0], y[0]))

    return variants, answer


def _named(problem: Problem, found: Any) -> dict[str, Any]:
    loss, gradients = found
    dense = [tf.convert_to_tensor(g).numpy() for g in gradients]  # an embedding's is sparse
    return {"loss": loss.numpy(), **dict(zip(problem.weight_names, dense, strict=True))}
