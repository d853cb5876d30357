"""PyTorch: nn.LSTM (oneDNN), `inference_mode` for inference, the better of Adam and fused Adam."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.adapters import Prepared, Run
from pylstm._bench.problems import LAST_KINDS, TOKEN_KINDS, Problem

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.set_num_interop_threads(1)
torch.set_flush_denormal(True)


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "torch cpu": torch.backends.cpu.get_cpu_capability()}


class _Model(nn.Module):
    """Embedding, LSTM and Dense, as far as the problem has them; logits out."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        v, h = problem.vocabulary, problem.units
        self.last_only = problem.kind in LAST_KINDS
        self.embedding = nn.Embedding(v, problem.inputs) if problem.kind in TOKEN_KINDS else None
        self.lstm = nn.LSTM(problem.inputs, h, problem.layers, batch_first=True)
        self.dense = nn.Linear(h, problem.outputs) if v else None
        for k in range(problem.layers):  # Keras has one bias
            getattr(self.lstm, f"bias_hh_l{k}").requires_grad_(False)

    def forward(self, x: Any) -> Any:
        out, _ = self.lstm(self.embedding(x) if self.embedding else x)
        out = out[:, -1] if self.last_only else out
        return self.dense(out) if self.dense else out

    def ours(self) -> list[Any]:
        """Parameters in the problem's order."""
        found = [self.embedding.weight] if self.embedding else []
        for k in range(self.lstm.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih")
            found += [getattr(self.lstm, f"{name}_l{k}") for name in names]
        return found + ([self.dense.weight, self.dense.bias] if self.dense else [])

    @torch.no_grad()
    def load(self, problem: Problem) -> None:
        """Keras' gates i, f, c, o are torch's i, f, g, o; its matrices are transposed."""
        for name, value, to in zip(
            problem.weight_names, problem.weights(), self.ours(), strict=True
        ):
            to.copy_(torch.from_numpy(value.T if _is_transposed(name) else value))
        for k in range(problem.layers):
            getattr(self.lstm, f"bias_hh_l{k}").zero_()


def _is_transposed(name: str) -> bool:
    return name != "embeddings" and "bias" not in name


def prepare(problem: Problem) -> Prepared:
    model = _Model(problem)
    model.load(problem)
    x, y = (torch.from_numpy(a) for a in problem.data())
    if problem.vocabulary:
        y = y.long()
    return _training(problem, model, x, y) if problem.is_training else _inference(problem, model, x)


def _inference(problem: Problem, model: _Model, x: Any) -> Prepared:
    model.eval()

    def forward(batch: Any) -> Any:
        out = model(batch)
        return torch.softmax(out, -1) if problem.vocabulary else out

    @torch.inference_mode()
    def run(repeats: int) -> None:
        for k in range(repeats):
            forward(x[k % len(x)])

    @torch.inference_mode()
    def answer() -> dict[str, Any]:
        return {"output": forward(x[0]).numpy()}

    return {"inference_mode": run}, answer


def _training(problem: Problem, model: _Model, x: Any, y: Any) -> Prepared:
    model.train()
    trained = model.ours()

    def gradients(k: int) -> Any:
        out = model(x[k])
        if problem.vocabulary:
            loss = nn.functional.cross_entropy(out.flatten(0, -2), y[k].flatten())
        else:
            loss = nn.functional.mse_loss(out, y[k])
        for parameter in trained:
            parameter.grad = None
        loss.backward()
        return loss

    def steps(optimizer: Any) -> Run:
        done = 0

        def run(repeats: int) -> None:
            nonlocal done
            for _ in range(repeats):
                gradients(done % len(x))
                done += 1
                if optimizer:
                    optimizer.step()

        return run

    def answer() -> dict[str, Any]:
        model.load(problem)
        loss = gradients(0).detach().numpy()
        found = {
            name: np.ascontiguousarray(p.grad.numpy().T if _is_transposed(name) else p.grad)
            for name, p in zip(problem.weight_names, trained, strict=True)
        }
        return {"loss": loss, **found}

    if problem.kind == "forward_backward":
        return {"backward": steps(None)}, answer
    return {
        "Adam": steps(torch.optim.Adam(trained)),
        "fused Adam": steps(torch.optim.Adam(trained, fused=True)),
    }, answer
