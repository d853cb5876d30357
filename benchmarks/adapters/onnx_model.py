"""A problem as an ONNX model, for ONNX Runtime and OpenVINO: weights are initializers.

Input "x" is time-major, as the LSTM operator wants it: (T, B, I), or ids (T, B). Output "y" is
(T, B, width).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.adapters import Unsupported
from pylstm._bench.problems import Problem

OPSET = 17
IR_VERSION = 8


def inputs(problem: Problem) -> list[Any]:
    """The batches, each time-major and contiguous."""
    return [np.ascontiguousarray(batch.swapaxes(0, 1)) for batch in problem.data()[0]]


def build(problem: Problem) -> bytes:
    """Serialized model; Unsupported unless the problem is inference."""
    if problem.is_training:
        raise Unsupported("no training")
    graph = _Graph()
    weights = dict(zip(problem.weight_names, problem.weights(), strict=True))
    last = "x"
    if problem.vocabulary:
        last = graph.add("Gather", graph.constant("embeddings", weights["embeddings"]), last)
    for k in range(problem.layers):
        last = graph.lstm(last, k, *(weights[f"{n}_{k}"] for n in ("kernel", "recurrent", "bias")))
    if problem.vocabulary:
        last = graph.add("MatMul", last, graph.constant("dense", weights["dense_kernel"]))
        last = graph.add("Add", last, graph.constant("dense_bias", weights["dense_bias"]))
        last = graph.add("Softmax", last, axis=-1)
    return graph.model(problem, last)


class _Graph:
    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *arguments: str, **attributes: Any) -> str:
        output = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, arguments, [output], **attributes))
        return output

    def lstm(self, x: str, k: int, kernel: Any, recurrent: Any, bias: Any) -> str:
        """Gates i, f, c, o of Keras are i, o, f, c here, and matrices are transposed."""
        units = len(recurrent)

        def gates(matrix: Any) -> Any:
            i, f, c, o = np.split(matrix, 4, axis=-1)
            return np.concatenate([i, o, f, c], axis=-1).T[np.newaxis]

        both = np.concatenate([gates(bias), np.zeros((1, 4 * units), np.float32)], axis=1)
        y = self.add(
            "LSTM",
            x,
            self.constant(f"kernel_{k}", gates(kernel)),
            self.constant(f"recurrent_{k}", gates(recurrent)),
            self.constant(f"bias_{k}", both),
            hidden_size=units,
        )
        return self.add("Squeeze", y, self.constant(f"direction_{k}", np.array([1])))

    def model(self, problem: Problem, last: str) -> bytes:
        shape: list[int] = [problem.steps, problem.batch]
        width = problem.outputs or problem.units
        if problem.vocabulary:
            x = helper.make_tensor_value_info("x", TensorProto.INT32, shape)
        else:
            x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, problem.inputs])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape, width])
        self._nodes.append(helper.make_node("Identity", [last], ["y"]))
        graph = helper.make_graph(self._nodes, problem.kind, [x], [y], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
