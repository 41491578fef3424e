"""The coefficients of csrc/vmath.h, computed again: `python scripts/fit.py` prints them, `--check` compares them.

Each polynomial is the minimax fit, in relative error of the function it serves, on a grid of Chebyshev points, by
Remez's exchange, its coefficients then rounded to the precision that they are used in. Needs mpmath.
"""

import argparse
import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mpmath import mp, mpf

mp.dps = 60
POINTS = 700  # of the grid

Function = Callable[[mpf], mpf]
Vector = list[mpf]


def chebyshev(low: mpf, high: mpf, count: int) -> Vector:
    """Points of [low, high] that crowd at both ends, from low to high, without the ends themselves."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def minimax(columns: list[Vector], target: Vector) -> Vector:
    """c that makes the largest |target - sum_k c_k columns_k| least (Remez's exchange on the points given)."""
    unknowns, points = len(columns), len(target)
    if not unknowns:
        return []
    chosen = [(points - 1) * i // unknowns for i in range(unknowns + 1)]
    for _ in range(40):
        matrix = mp.matrix(unknowns + 1, unknowns + 1)
        for row, point in enumerate(chosen):
            for k, column in enumerate(columns):
                matrix[row, k] = column[point]
            matrix[row, unknowns] = (-1) ** row
        solution = mp.lu_solve(matrix, mp.matrix([target[point] for point in chosen]))
        fit = [solution[k] for k in range(unknowns)]
        errors = [
            t - mp.fsum(c * column[i] for c, column in zip(fit, columns, strict=True)) for i, t in enumerate(target)
        ]
        if max(abs(e) for e in errors) <= abs(solution[unknowns]) * mpf("1.0001"):
            break
        former, chosen = chosen, peaks(errors, unknowns + 1)
        if len(chosen) < unknowns + 1 or chosen == former:
            break
    return fit


def peaks(errors: Vector, count: int) -> list[int]:
    """Where the error is largest between its changes of sign: `count` places in turn up and down."""
    places: list[int] = []
    for i, e in enumerate(errors):
        if places and (e > 0) == (errors[places[-1]] > 0):
            if abs(e) > abs(errors[places[-1]]):
                places[-1] = i
        else:
            places.append(i)
    while len(places) > count:  # drop from the end that matters less
        places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
    return places


def rounded(x: mpf, bits: int) -> mpf:
    """x to `bits` significant bits."""
    with mp.workprec(bits):
        return +x


def polynomial(points: Vector, values: Vector, weights: Vector, degree: int) -> Vector:
    """c_0 ... c_degree of the polynomial whose largest weighted error is least."""
    columns = [[w * x**k for x, w in zip(points, weights, strict=True)] for k in range(degree + 1)]
    return minimax(columns, [w * v for v, w in zip(values, weights, strict=True)])


def rational(points: Vector, values: Vector, degrees: tuple[int, int], bits: int) -> tuple[Vector, Vector]:
    """P and Q of these degrees, the latter with leading coefficient 1; P / Q near `values` in relative error.

    (value Q - P) / (value Q) is linear in the coefficients once Q below is taken from the round before.
    """
    below, terms = [mpf(1) for _ in points], degrees[0] + 1
    for _ in range(8):
        columns = [[x**k / (v * q) for x, v, q in zip(points, values, below, strict=True)] for k in range(terms)]
        columns += [[-(x**k) / q for x, q in zip(points, below, strict=True)] for k in range(1, degrees[1] + 1)]
        fit = minimax(columns, [1 / q for q in below])
        denominator = [mpf(1), *fit[terms:]]
        below = [mp.polyval(denominator[::-1], x) for x in points]
    return [rounded(c / fit[-1], bits) for c in fit[:terms]], [rounded(c / fit[-1], bits) for c in denominator]


@dataclass(frozen=True)
class Fit:
    """function(x) ~ polynomial(x) on [low, high]; an error of the polynomial counts `weight` times."""

    name: str
    low: mpf
    high: mpf
    function: Function
    weight: Function
    degrees: tuple[int, int]  # for float, for double

    def coefficients(self, double: bool) -> Vector:
        points = chebyshev(self.low, self.high, POINTS)
        values, weights = [self.function(x) for x in points], [self.weight(x) for x in points]
        fit = [rounded(c, 53 if double else 24) for c in polynomial(points, values, weights, self.degrees[double])]
        error = max(w * abs(v - mp.polyval(fit[::-1], x)) for x, v, w in zip(points, values, weights, strict=True))
        report(self.name, double, error)
        return fit


def report(name: str, double: bool, error: mpf) -> None:
    print(f"{name} {'double' if double else 'float'}: relative error 2^{float(mp.log(error, 2)):.1f}", file=sys.stderr)


def odd(x: mpf, function: Function) -> mpf:
    """(function(sqrt x) / sqrt x - 1) / x, for an odd function that begins as x does."""
    r = mp.sqrt(x)
    return (function(r) / r - 1) / x


HALF_LN2 = mp.log(2) / 2 * (1 + mpf(2) ** -8)
FITS = [
    # e^r = 1 + r + r^2 EXP(r); the error is relative to expm1
    Fit("EXP", -HALF_LN2, HALF_LN2, lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / abs(mp.expm1(r)), (4, 10)),
    # float: log(1 + f) = f - f^2 / 2 + f^3 LOG(f)
    Fit("LOG", mpf("-0.25"), mpf("0.5"), lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3,
        lambda f: abs(f**3 / mp.log1p(f)), (7, -1)),
    # double: log(1 + f) = 2 s + s^3 ATANH(s^2), s = f / (2 + f)
    Fit("ATANH", mpf(0), mpf("0.0401"), lambda z: 2 * odd(z, mp.atanh), lambda z: z / 2, (-1, 7)),
    # erf(x) = x + x ERF(x^2), |x| < 1
    Fit("ERF", mpf(0), mpf(1), lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
        lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), (6, 11)),
    # tanh(x) = x + x^3 TANH(x^2), |x| < 5/8; the error is relative to tanh(x) - x
    Fit("TANH", mpf(0), mpf("0.390625"), lambda z: odd(z, mp.tanh), lambda z: -1 / odd(z, mp.tanh), (5, 11)),
]  # fmt: skip
TAIL_DEGREES, TAIL_ENDS = ((3, 5), (10, 11)), (mpf("14.8"), mpf("39.5"))
STEP_BITS, SCALE_BITS, BELL_DEGREES = (16, 41), (64, 512), (4, 11)


def step(double: bool) -> mpf:
    """2 ln 2 to so few bits behind the point that k times as much is exact for every k that the bell meets."""
    scale = mpf(2) ** STEP_BITS[double]
    return mp.nint(2 * mp.log(2) * scale) / scale


def bell(double: bool) -> Vector:
    """BELL(R) = 2^(EXP_SCALE_BITS - R / STEP) for |R| <= STEP / 2"""
    c = step(double)
    half = c / 2 * (1 + mpf(2) ** -8)
    fit = Fit("BELL", -half, half, lambda r: mp.expm1(-r * mp.log(2) / c) / r, abs, BELL_DEGREES)
    return [mpf(2) ** SCALE_BITS[double] * value for value in (mpf(1), *fit.coefficients(double))]


def normal_tail(double: bool) -> tuple[Vector, Vector]:
    """TAIL_P / TAIL_Q = 2^(t^2 / STEP) Phi(-t) on 0 <= t <= the end, where Phi(-t) is below the smallest number."""
    end = TAIL_ENDS[double]
    points = [2 * u / (1 - u) for u in chebyshev(mpf(0), end / (2 + end), POINTS)]
    values = [mpf(2) ** (t * t / step(double)) * mp.ncdf(-t) for t in points]
    above, below = rational(points, values, TAIL_DEGREES[double], 53 if double else 24)
    error = max(
        abs(1 - mp.polyval(above[::-1], t) / mp.polyval(below[::-1], t) / v)
        for t, v in zip(points, values, strict=True)
    )
    report("TAIL", double, error)
    return above, below


def constants() -> Iterator[str]:
    """The lines of the header."""
    for double in (False, True):
        kind = "D" if double else "F"
        for fit in FITS:
            if fit.degrees[double] >= 0:
                yield c_table(f"{fit.name}_{kind}", fit.coefficients(double), double)
        yield c_table(f"BELL_{kind}", bell(double), double)
        above, below = normal_tail(double)
        yield c_table(f"TAIL_P_{kind}", above, double)
        yield c_table(f"TAIL_Q_{kind}", below, double)
        excess = rounded(mp.log(2) / step(double) - mpf("0.5"), 53 if double else 24)
        yield f"#define STEP {c_number(step(double), double)}"
        yield f"#define BELL_EXCESS {c_number(excess, double)}"


def c_number(x: mpf, double: bool) -> str:
    """x, which float or double holds exactly, as a hexadecimal constant."""
    mantissa, _, exponent = float(x).hex().partition("p")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    if not double:
        assert struct.unpack("f", struct.pack("f", float(x)))[0] == float(x)
    return f"{mantissa}p{exponent}{'' if double else 'f'}"


def c_table(name: str, values: Vector, double: bool) -> str:
    """#define NAME {c0, c1, ...}, folded at 118 characters."""
    lines, line = [], f"#define {name} {{"
    for i, value in enumerate(values):
        word = c_number(value, double) + ("}" if i == len(values) - 1 else ", ")
        if len(line) + len(word) > 116:
            lines.append(line.rstrip() + " \\")
            line = "    "
        line += word
    return "\n".join([*lines, line])


def unfolded(text: str) -> str:
    """The text however it was folded and lined up: clang-format has its own mind about a table."""
    return re.sub(r"(\s|\\\n)+", " ", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="The coefficients of csrc/vmath.h")
    parser.add_argument("--check", action="store_true", help="compare with the header; exit status 1 if they differ")
    wrong = 0
    header = unfolded((Path(__file__).parents[1] / "csrc/vmath.h").read_text())
    check = parser.parse_args().check
    for define in constants():
        if not check:
            print(define)
        elif unfolded(define) not in header:
            wrong = 1
            print(f"csrc/vmath.h lacks\n{define}")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
