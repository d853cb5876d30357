"""Print the coefficients of `src/cpp/kernels/body/math.hpp`.

exp(r) = 1 + r + r**2 * P(r) on |r| <= ln(2) / 2, P the Chebyshev fit of (expm1(r) - r) / r**2,
which is within a small factor of minimax. Needs mpmath; run by hand when a degree changes.
"""

import mpmath as mp

mp.mp.dps = 50


def tail(r: mp.mpf) -> mp.mpf:
    """(expm1(r) - r) / r**2, by its series where the difference would cancel."""
    if abs(r) < mp.mpf("1e-3"):
        return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, 20])
    return (mp.expm1(r) - r) / r**2


def main() -> None:
    limit = mp.log(2) / 2
    for name, degree, high_bits in (("float", 4, 14), ("double", 9, 40)):
        coefficients, error = mp.chebyfit(tail, [-limit, limit], degree + 1, error=True)
        high = mp.floor(mp.log(2) * 2**high_bits) / 2**high_bits
        print(name, "relative error of exp:", mp.nstr(error * limit**2, 3))
        for c in coefficients:
            print("   ", mp.nstr(c, 20))
        print("    ln2 high", mp.nstr(high, 20), "low", mp.nstr(mp.log(2) - high, 20))


if __name__ == "__main__":
    main()
