"""OpenVINO, inference: float32 forced, inputs and outputs without a copy."""

from __future__ import annotations

import os
from typing import Any

import openvino

from benchmarks.adapters import Prepared
from benchmarks.adapters.onnx_model import build, inputs
from pylstm._bench.problems import Problem

CONFIG = {
    "INFERENCE_PRECISION_HINT": "f32",
    "EXECUTION_MODE_HINT": "ACCURACY",
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
    "NUM_STREAMS": "1",
    "CPU_DENORMALS_OPTIMIZATION": "YES",
}


def versions() -> dict[str, str]:
    return {"openvino": openvino.__version__}


def prepare(problem: Problem) -> Prepared:
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(build(problem)), "CPU", CONFIG)
    arrays = inputs(problem)
    batches = [(openvino.Tensor(array, shared_memory=True), array) for array in arrays]
    request = compiled.create_infer_request()

    def run(repeats: int) -> None:
        for k in range(repeats):
            request.set_input_tensor(batches[k % len(batches)][0])
            request.infer()

    def answer() -> dict[str, Any]:
        run(1)
        return {"output": request.get_output_tensor().data.swapaxes(0, 1)}

    return {"infer": run}, answer
