"""ONNX Runtime, inference: weights are initializers, which it packs once."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.adapters import Prepared
from benchmarks.adapters.onnx_model import build, inputs
from pylstm._bench.problems import Problem


def versions() -> dict[str, str]:
    return {"onnxruntime": onnxruntime.__version__}


def prepare(problem: Problem) -> Prepared:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(
        build(problem), options, providers=["CPUExecutionProvider"]
    )
    batches = inputs(problem)
    shape = (problem.steps, problem.batch, problem.outputs or problem.units)
    out = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
    bindings = []
    for batch in batches:
        binding = session.io_binding()
        binding.bind_cpu_input("x", batch)
        binding.bind_ortvalue_output("y", out)
        bindings.append((binding, batch, out))  # a binding does not keep what it is bound to

    def run(repeats: int) -> None:
        for k in range(repeats):
            session.run(None, {"x": batches[k % len(batches)]})

    def bound(repeats: int) -> None:
        for k in range(repeats):
            session.run_with_iobinding(bindings[k % len(bindings)][0])

    def answer() -> dict[str, Any]:
        bound(1)
        return {"output": out.numpy().swapaxes(0, 1)}

    return {"run": run, "io_binding": bound}, answer
