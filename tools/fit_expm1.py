"""Print the coefficients of `src/cpp/kernels/body/math.hpp`.

exp(r) = 1 + r + r**2 * P(r) on |r| <= ln(2) / (2 parts), P the Chebyshev fit of
(expm1(r) - r) / r**2, which is within a small factor of minimax; of several parts also the bits of
2**(j / parts) that are looked up. Needs mpmath; run by hand when a degree changes.
"""

import struct

import mpmath as mp

mp.mp.dps = 50


def tail(r: mp.mpf) -> mp.mpf:
    """(expm1(r) - r) / r**2, by its series where the difference would cancel."""
    if abs(r) < mp.mpf("1e-3"):
        return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, 20])
    return (mp.expm1(r) - r) / r**2


def main() -> None:
    for name, parts, degree, high_bits in (
        ("float", 1, 4, 14),
        ("float", 16, 1, 14),
        ("double", 1, 9, 40),
    ):
        limit = mp.log(2) / (2 * parts)
        coefficients, error = mp.chebyfit(tail, [-limit, limit], degree + 1, error=True)
        high = mp.floor(mp.log(2) * 2**high_bits) / 2**high_bits
        print(name, parts, "relative error of exp:", mp.nstr(error * limit**2, 3))
        for c in coefficients:
            print("   ", mp.nstr(c, 20))
        if parts > 1:
            bits = [struct.unpack("I", struct.pack("f", 2 ** (j / parts)))[0] for j in range(parts)]
            print("   ", [b - (127 << 23) - (j << 23) // parts for j, b in enumerate(bits)])
        print("    ln2 high", mp.nstr(high, 20), "low", mp.nstr(mp.log(2) - high, 20))


if __name__ == "__main__":
    main()
