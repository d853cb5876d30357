"""The one grid of problems, with the figures asked for. NumPy only: peers import it too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TOKEN_KINDS = ("train_step", "predict", "classify")
LAST_KINDS = ("character", "classify")  # the Dense layer takes the last output alone
BATCHES = 8  # of token ids, taken in turn: no step sees the rows of the step before


@dataclass(frozen=True)
class Problem:
    """One measurement. All products are dense float32.

    kind:
        "forward": an LSTM layer, whole sequences out.
        "forward_backward": the same, mean squared error, gradients of the three weights.
        "predict": token ids → Embedding → LSTM layers → Dense softmax, probabilities out.
        "train_step": the same model, cross-entropy, all gradients, one step of Adam.
        "character": one-hot sequences → LSTM, last output → Dense softmax; a step of Adam.
        "classify": token ids → Embedding → LSTM, last output → Dense softmax; a step of Adam.
    vocabulary:
        Of the tokens; 0 without Embedding and Dense.
    classes:
        Units of the Dense layer; 0: as many as tokens.
    asked:
        The least ratio to the best peer, with one thread and with more; 0: none asked.
    asked_percent:
        The least share of the FMA peak; 0: none asked.
    against:
        The peers that `asked` speaks of; empty: all.
    isa:
        Instruction set to force.
    padded:
        Half of all steps are padding, id 0 (batch is even); compared with the batch unmasked.
    """

    kind: str
    batch: int
    steps: int
    inputs: int
    units: int
    vocabulary: int = 0
    classes: int = 0
    layers: int = 1
    group: str = ""
    asked: tuple[float, float] = (0.0, 0.0)
    asked_percent: float = 0.0
    against: tuple[str, ...] = ()
    isa: str = ""
    padded: bool = False

    @property
    def name(self) -> str:
        """Unique in the grid."""
        kind = f"padded {self.kind}" if self.padded else self.kind
        model = f" V{self.vocabulary} E{self.inputs}" if self.kind in TOKEN_KINDS else ""
        model += f" V{self.vocabulary}" if self.kind == "character" else ""
        units = f"{self.layers}x{self.units}" if self.layers > 1 else f"{self.units}"
        isa = f" {self.isa}" if self.isa else ""
        return f"{kind}{model} H{units} B{self.batch} T{self.steps}{isa}"

    @property
    def is_training(self) -> bool:
        """Whether gradients are computed."""
        return self.kind not in ("forward", "predict")

    @property
    def outputs(self) -> int:
        """Units of the Dense layer; 0 without one."""
        return self.classes or self.vocabulary

    @property
    def widths(self) -> list[int]:
        """Input width of each LSTM layer."""
        return [self.inputs] + [self.units] * (self.layers - 1)

    @property
    def real_steps(self) -> int:
        """Steps of all sequences that are not padding."""
        return self.batch * self.steps // (2 if self.padded else 1)

    @property
    def dense_rows(self) -> int:
        """Rows that the Dense layer needs; 0 without one."""
        if not self.vocabulary:
            return 0
        return self.batch if self.kind in LAST_KINDS else self.real_steps

    @property
    def flops(self) -> float:
        """Arithmetic of the products alone; activations, Adam and softmax are not counted.

        Every token counts, though equal ones can be projected together: a share of the peak may
        exceed 100 % where the vocabulary is small. The floor counts them once. The state before the
        first step is zero, and needs no product, though some peers multiply it.
        """
        rows, before = self.real_steps, self.real_steps * (self.steps - 1) / self.steps
        forward = sum(8.0 * self.units * (rows * w + before * self.units) for w in self.widths)
        dense = 2.0 * self.dense_rows * self.units * self.outputs
        if not self.is_training:
            return forward + dense
        # dx of the first layer: only where something trainable lies below
        unused = 0.0 if self.kind in TOKEN_KINDS else 8.0 * rows * self.units * self.inputs
        return 3 * forward - unused + 3 * dense

    @property
    def weight_names(self) -> list[str]:
        """Of `weights`, in its order."""
        lstm = [
            f"{name}_{k}" for k in range(self.layers) for name in ("kernel", "recurrent", "bias")
        ]
        dense = ["dense_kernel", "dense_bias"] if self.vocabulary else []
        return (["embeddings"] if self.kind in TOKEN_KINDS else []) + lstm + dense

    def weights(self) -> list[Array]:
        """Keras' order and layout: [embeddings,] kernel, recurrent_kernel, bias, … [dense]."""
        rng, h, v = np.random.default_rng(1), self.units, self.vocabulary
        shapes: list[tuple[int, ...]] = [(v, self.inputs)] if self.kind in TOKEN_KINDS else []
        for width in self.widths:
            shapes += [(width, 4 * h), (h, 4 * h), (4 * h,)]
        shapes += [(h, self.outputs), (self.outputs,)] if v else []
        return [(rng.uniform(-1, 1, s) / np.sqrt(h)).astype(np.float32) for s in shapes]

    def data(self) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """x and y of several batches: x[k], y[k] is one.

        Token ids (batch, steps) for `TOKEN_KINDS`, but y (batch,) of classes for "classify";
        one-hot rows and the next id for "character"; numbers (batch, steps, width) else.
        """
        rng = np.random.default_rng(2)
        shape = (self.batch, self.steps)
        if self.kind in TOKEN_KINDS:
            ids = rng.integers(1, self.vocabulary, (2, BATCHES, *shape)).astype(np.int32)
            if self.padded:
                short = np.arange(1, self.batch, 2) * self.steps // (2 * self.batch)
                lengths = np.concatenate([short, self.steps - short])
                ids[:, :, np.arange(self.steps) >= rng.permutation(lengths)[:, np.newaxis]] = 0
            return ids[0], ids[1, ..., 0] % self.outputs if self.kind == "classify" else ids[1]
        if self.kind == "character":
            text = rng.integers(0, self.vocabulary, (1, self.batch, self.steps + 1))
            one_hot = np.eye(self.vocabulary, dtype=np.float32)
            return one_hot[text[..., :-1]], text[..., -1].astype(np.int32)
        x = rng.standard_normal((1, *shape, self.inputs)).astype(np.float32)
        return x, rng.standard_normal((1, *shape, self.units)).astype(np.float32)


def _layer(
    kind: str,
    batch: int,
    steps: int,
    units: int,
    asked: float = 0.0,
    percent: float = 0.0,
    *,
    group: str,
    isa: str = "",
) -> Problem:
    return Problem(
        kind, batch, steps, units, units,
        group=group, asked=(asked, asked), asked_percent=percent, isa=isa,
    )  # fmt: skip


def _model(
    kind: str,
    sizes: tuple[int, int, int, int, int],
    asked: tuple[float, float],
    *,
    layers: int = 1,
    classes: int = 0,
    group: str = "headline",
    against: tuple[str, ...] = (),
    padded: bool = False,
) -> Problem:
    v, e, h, b, t = sizes
    return Problem(
        kind, b, t, e, h, v, classes, layers,
        group=group, asked=asked, against=against, padded=padded,
    )  # fmt: skip


NO_LOSS = 0.95  # no odd shape more than 5 % behind the best peer

GRID = [
    _model("train_step", (10000, 128, 128, 32, 50), (1.7, 2.7), against=("torch", "keras")),
    _model("train_step", (65, 64, 128, 50, 50), (1.4, 1.4)),
    _model("train_step", (65, 128, 512, 50, 50), (1.2, 1.4)),
    _model("train_step", (10000, 650, 650, 20, 35), (1.5, 1.5)),
    _model("predict", (10000, 128, 128, 32, 50), (2.0, 2.0)),
    _layer("forward_backward", 32, 100, 128, 1.15, group="headline"),
    _layer("forward_backward", 32, 100, 256, 1.3, group="headline"),
    _layer("forward_backward", 32, 100, 512, 1.1, group="headline"),
    _layer("forward_backward", 64, 50, 1024, 1.1, group="headline"),
    _layer("forward_backward", 20, 35, 1500, 1.4, group="headline"),
    _layer("forward", 32, 100, 64, 1.0, group="inference"),
    _layer("forward", 32, 100, 128, 1.0, group="inference"),
    _layer("forward", 32, 100, 256, 1.0, 86, group="inference"),
    _layer("forward", 32, 100, 512, 1.0, 86, group="inference"),
    _layer("forward", 64, 50, 1024, 1.0, 86, group="inference"),
    _layer("forward", 20, 35, 650, 1.0, 86, group="inference"),
    _layer("forward", 20, 35, 1500, 1.15, group="inference"),
    _layer("forward", 1, 100, 128, 1.4, group="inference"),
    _layer("forward", 1, 100, 512, 1.1, group="inference"),
    _model("train_step", (65, 256, 256, 32, 100), (1.6, 1.6), group="self", padded=True),
    _model("predict", (65, 256, 256, 32, 100), (1.6, 1.6), group="self", padded=True),
    _layer("forward", 32, 100, 256, percent=82, group="self", isa="avx2"),
    Problem("character", 128, 40, 56, 128, 56, group="odd", asked=(NO_LOSS, NO_LOSS)),
    _model("train_step", (33278, 200, 200, 20, 35), (NO_LOSS, NO_LOSS), layers=2, group="odd"),
    _model("predict", (33278, 200, 200, 20, 35), (NO_LOSS, NO_LOSS), layers=2, group="odd"),
    _model("classify", (20000, 128, 128, 32, 80), (NO_LOSS, NO_LOSS), classes=2, group="odd"),
    _model("classify", (100000, 128, 64, 32, 50), (NO_LOSS, NO_LOSS), classes=2, group="odd"),
    *(
        _layer("forward", batch, steps, units, NO_LOSS, group="odd")
        for batch, steps, units in (
            (1, 150, 17), (2, 25, 34), (7, 3, 68), (16, 25, 68), (32, 150, 17),
            (1, 3, 256), (2, 150, 256), (1, 25, 1536), (16, 25, 1536),
        )
    ),
    *(
        _layer("forward_backward", batch, steps, units, NO_LOSS, group="odd")
        for batch, steps, units in (
            (7, 25, 34), (16, 150, 17), (32, 3, 68), (2, 25, 256), (7, 150, 256), (32, 25, 1536),
        )
    ),
    _layer("forward", 1, 1, 16, group="small"),
    _layer("forward", 1, 1, 128, group="small"),
]  # fmt: skip

GROUPS = tuple(dict.fromkeys(problem.group for problem in GRID))


def select(groups: list[str], only: str = "") -> list[Problem]:
    """Problems of these groups (none: all) whose name contains `only`.

    Raises:
        ValueError: no problem is left.
    """
    found = [p for p in GRID if (not groups or p.group in groups) and only in p.name]
    if not found:
        raise ValueError(f"no problem of the groups {groups or list(GROUPS)} contains {only!r}")
    return found
