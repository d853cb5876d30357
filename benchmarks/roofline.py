"""Print the limits of this machine: FMA peak by instruction set, read bandwidth by cache level.

python -m benchmarks.roofline
"""

from __future__ import annotations

from pylstm import _core
from pylstm._bench import machine


def main() -> None:
    for key, value in machine.record().items():
        print(f"{key:>22}: {value}")
    print(f"\n{'':>12}{'threads':>9}{'peak, GFLOP/s':>15}  read, GB/s: {', '.join(machine.LEVELS)}")
    for isa in _core.available_isas():
        for threads in sorted({1, _core.available_cores()}):
            limits = machine.measure(isa, threads)
            reads = "".join(f"{rate / 1e9:8.0f}" for rate in limits.bandwidth)
            print(f"{isa:>12}{threads:>9}{limits.peak / 1e9:>15.1f}  {reads}")


if __name__ == "__main__":
    main()
