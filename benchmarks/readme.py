"""README's table of a stored run: python -m benchmarks.report FILE.json --short."""

from __future__ import annotations

import math

from benchmarks.rows import Row, fastest

HEADER = (
    "| work | 1 thread, of FMA peak | best peer | ratio, 1 thread | ratio, 2 threads |\n"
    "| --- | --- | --- | --- | --- |"
)
GROUPS = ("headline", "inference")
NAMES = {
    "torch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "keras": "Keras",
    "jax": "JAX",
    "numpy": "NumPy",
}
WORK = {
    "train_step": "training step",
    "predict": "`predict`",
    "forward_backward": "LSTM forward and backward",
    "forward": "LSTM forward",
}


def table(stored: Row) -> str:
    """The rows with a figure, one line a problem, beside the fastest peer of all."""
    by_problem: dict[str, dict[int, Row]] = {}
    for row in stored["rows"]:
        if row["group"] in GROUPS:
            by_problem.setdefault(row["problem"], {})[row["threads"]] = row
    lines = [_line(rows) for rows in by_problem.values()]
    return "\n".join([HEADER, *lines]) + "\n"


def duration(seconds: float) -> str:
    """With three digits, of as many before the point as there are."""
    seconds = float(f"{seconds:.3g}")
    value, unit = (1e6 * seconds, "µs") if seconds < 1e-3 else (1e3 * seconds, "ms")
    return f"{value:.{max(0, 2 - math.floor(math.log10(value) + 1e-9))}f} {unit}"


def _line(rows: dict[int, Row]) -> str:
    one = rows.get(1)
    best = [fastest(rows[threads]["peers"]) if threads in rows else None for threads in (1, 2)]
    names = dict.fromkeys(NAMES.get(peer[0], peer[0]) for peer in best if peer)
    cells = [
        _work(next(iter(rows.values()))),
        "–" if one is None else f"{duration(one['seconds'])}, {one['percent_of_peak']:.0f} %",
        "; ".join(names) or "–",
        *(f"{peer[1]['ratio']:.2f}" if peer else "–" for peer in best),
    ]
    return f"| {' | '.join(cells)} |"


def _work(row: Row) -> str:
    parts = [f"{WORK[row['kind']]} of one row" if row["batch"] == 1 else WORK[row["kind"]]]
    if row["vocabulary"]:
        parts.append(f"vocabulary {row['vocabulary']}")
    parts.append(f"{row['units']} units")
    if row["batch"] > 1:
        parts.append(f"batch {row['batch']}")
    return ", ".join([*parts, f"{row['steps']} steps"])
