"""Writes src/rushlight/codegen/polynomials.py: near-minimax coefficients for codegen/math.py.

Each row is a function that is smooth on its interval, fitted by Chebyshev interpolation in 60
decimal digits and rounded once.  Needs mpmath, which only this tool uses.
"""

from pathlib import Path

import mpmath as mp

mp.mp.dps = 60
OUTPUT = Path(__file__).resolve().parent.parent / "src/rushlight/codegen/polynomials.py"

HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.001")
QUARTER_PI = mp.pi / 4 * mp.mpf("1.001")
TINY = mp.mpf("1e-18")
DIGAMMA_ROOT = mp.findroot(mp.digamma, mp.mpf("1.46163214496836234"))


def _series(function, limit):
    """The function, with its removable singularity at zero filled in."""
    return lambda z: limit if abs(z) < TINY else function(z)


def _by_root(function, root):
    """The function over the distance to its root, which is no point of the fit."""
    return lambda t: function(t) / (t - root)


def _odd(function):
    """(function(r) - r) / r^3 as a function of z = r^2."""

    def tail(z):
        r = mp.sqrt(z)
        return (function(r) - r) / (r * z)

    return tail


def _erfcx_scaled(q):
    if q >= 1 - TINY:
        return 2 / mp.sqrt(mp.pi)
    x = 2 * (1 + q) / (1 - q)
    if x > 200:
        t = 1 / (2 * x * x)
        series = mp.nsum(lambda n: (-1) ** int(n) * mp.fac2(2 * n - 1) * t**n, [0, 12])
        return (1 + 2 * x) / (x * mp.sqrt(mp.pi)) * series
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


FITS = [
    # name, function, interval, terms for float32, terms for float64
    ("EXP_TAIL", _series(lambda r: (mp.expm1(r) - r) / r**2, mp.mpf(1) / 2),
     (-HALF_LN2, HALF_LN2), 6, 12),
    ("LOG_TAIL", _series(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, mp.mpf(1) / 3),
     (mp.sqrt(0.5) - 1, mp.sqrt(2) - 1), 10, 0),
    ("LOG_ATANH", _series(lambda z: 2 * (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
                          mp.mpf(2) / 3), (mp.mpf(0), mp.mpf("0.0296")), 0, 8),
    ("SIN_TAIL", _series(_odd(mp.sin), -mp.mpf(1) / 6), (mp.mpf(0), QUARTER_PI**2), 4, 7),
    ("COS_TAIL", _series(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, mp.mpf(1) / 24),
     (mp.mpf(0), QUARTER_PI**2), 4, 7),
    ("ATAN_TAIL", _series(_odd(mp.atan), -mp.mpf(1) / 3), (mp.mpf(0), mp.mpf(1)), 10, 21),
    ("ASIN_TAIL", _series(_odd(mp.asin), mp.mpf(1) / 6), (mp.mpf(0), mp.mpf("0.25")), 6, 14),
    ("SINH_TAIL", _series(_odd(mp.sinh), mp.mpf(1) / 6), (mp.mpf(0), mp.mpf(1)), 4, 8),
    ("ERF_SMALL", _series(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z), 2 / mp.sqrt(mp.pi)),
     (mp.mpf(0), mp.mpf(1)), 7, 13),
    ("LOG_ERFC", lambda t: mp.log(mp.erfc(1 + t)), (mp.mpf(0), mp.mpf(3)), 9, 0),
    ("LGAMMA_AT_TWO", _series(lambda t: mp.loggamma(2 + t) / t, 1 - mp.euler),
     (mp.mpf(-0.5), mp.mpf(0.5)), 0, 20),
    ("DIGAMMA_AT_ROOT", _by_root(lambda t: mp.digamma(t + 1.5), DIGAMMA_ROOT - 1.5),
     (mp.mpf(-0.5), mp.mpf(0.5)), 0, 24),
    ("SIN_PI", _series(lambda z: mp.sinpi(mp.sqrt(z)) / mp.sqrt(z), mp.pi),
     (mp.mpf(0), mp.mpf("0.25")), 0, 9),
    ("COS_PI", _series(lambda z: mp.cospi(mp.sqrt(z)), mp.mpf(1)),
     (mp.mpf(0), mp.mpf("0.25")), 0, 10),
    ("ERFCX", _erfcx_scaled, (mp.mpf(-1), mp.mpf(1)), 13, 31),
]  # fmt: skip

HEADER = '''"""Polynomial coefficients, lowest power first; written by tools/fit_polynomials.py.

``codegen/math.py`` says what each one approximates.  Two tuples a name: float32, float64; an
empty one is not used.  The comment is the largest error of the fit before rounding.  Level 7.
"""

'''


def main() -> None:
    lines = [HEADER]
    for name, function, interval, terms32, terms64 in FITS:
        lines.append(f"{name} = {{\n")
        for type_, terms in (("float", terms32), ("double", terms64)):
            if terms == 0:
                lines.append(f'    "{type_}": (),\n')
                continue
            coefficients, error = mp.chebyfit(function, list(interval), terms, error=True)
            lines.append(f'    "{type_}": (  # {mp.nstr(error, 2)}\n')
            for coefficient in reversed(coefficients):
                lines.append(f"        {float(coefficient)!r},\n")
            lines.append("    ),\n")
        lines.append("}\n")
    lines.append(_two_over_pi())
    OUTPUT.write_text("".join(lines))


def _two_over_pi() -> str:
    """2/pi in 64-bit words, most significant first, after one word of zeros."""
    mp.mp.prec = 1700
    bits = int(mp.floor(2 / mp.pi * mp.mpf(2) ** 1344))
    words = [(bits >> (64 * position)) & (2**64 - 1) for position in reversed(range(21))]
    text = ["\n# One word of zeros, then 1344 bits of 2/pi after the point.\n", "TWO_OVER_PI = (\n"]
    text += [f"    0x{word:016X},\n" for word in [0, *words]]
    return "".join(text) + ")\n"


if __name__ == "__main__":
    main()
