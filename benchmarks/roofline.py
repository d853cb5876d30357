"""Print the limits of this machine: FMA peak by instruction set, read bandwidth by cache level.

python -m benchmarks.roofline
"""

from __future__ import annotations

from benchmarks import machine
from pylstm import _core


def main() -> None:
    for key, value in machine.record().items():
        print(f"{key:>14}: {value}")
    threads = sorted({1, _core.available_cores()})
    print("\npeak, GFLOP/s" + "".join(f"{f'{t} threads':>12}" for t in threads) + "  (float32)")
    for isa in _core.available_isas():
        values = [machine.peak(isa, t) / 1e9 for t in threads]
        print(f"{isa:>13}" + "".join(f"{v:12.1f}" for v in values))
    print(
        "\nread, GB/s   " + "".join(f"{f'{t} threads':>12}" for t in threads) + "  (each its own)"
    )
    for name, size in machine.LEVELS.items():
        values = [_core.measure_bandwidth(t, size, 0.3) / 1e9 for t in threads]
        print(f"{name:>13}" + "".join(f"{v:12.1f}" for v in values))


if __name__ == "__main__":
    main()
