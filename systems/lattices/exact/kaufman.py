"""The Ising model without field on a finite torus: Kaufman's sum of four products."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from systems.checks import check_positive
from systems.lattices.geometry import check_lattice


class TorusAverages(NamedTuple):
    """Log Z, and mean and fluctuation of the energy of the whole lattice.

    Args:
        log_partition: Log Z.
        energy: Mean of E.
        heat_capacity: Derivative of the mean of E in T, Var(E) / T^2.
    """

    log_partition: float
    energy: float
    heat_capacity: float


@dataclass(frozen=True)
class _Series:
    """A function of K with its first two derivatives, element by element."""

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def __add__(self, other: "_Series") -> "_Series":
        return _Series(
            self.value + other.value, self.first + other.first, self.second + other.second
        )

    def __mul__(self, factor: float) -> "_Series":
        return _Series(self.value * factor, self.first * factor, self.second * factor)

    def log(self) -> "_Series":
        slope = self.first / self.value
        return _Series(np.log(self.value), slope, self.second / self.value - slope**2)

    def log_one_plus_exp(self, sign: int) -> "_Series":
        """Log(1 + sign exp(u)) of a negative u."""
        grown = np.exp(self.value)
        ratio = sign * grown / (1 + sign * grown if sign > 0 else -np.expm1(self.value))
        second = ratio * self.second + ratio * (1 - ratio) * self.first**2
        return _Series(np.log1p(sign * grown), ratio * self.first, second)

    def sum(self) -> "_Series":
        return _Series(self.value.sum(), self.first.sum(), self.second.sum())


def torus_averages(shape: Sequence[int], T: float, J: float = 1.0) -> TorusAverages:
    """Exact averages of E = -J B at temperature T, weight exp(-E / T), on L_1 x L_2 sites.

    Kaufman's result is, with K = J / T, m = L_1, n = L_2 and cosh g_l = cosh(2K) coth(2K) -
    cos(pi l / n),

    2 Z = (2 sinh 2K)^(m n / 2) [prod 2 cosh(m g_o / 2) + prod 2 sinh(m g_o / 2)
    + prod 2 cosh(m g_e / 2) + prod 2 sinh(m g_e / 2)],

    over the odd o and the even e below 2n, where g_0 = 2K + log tanh K changes sign at T_c. Here
    each root (2 sinh 2K)^(1/2) exp(g / 2) is taken as one function of exp(-2K), which is finite
    for all K; for l = 0 the roots are exp(2K) - 1 and 1 + exp(-2K), so that the sum is a sum of
    six smooth terms, one of them negative, and T_c is no special point. Logarithms and
    their derivatives in K are summed, and the terms added after division by the largest.

    Args:
        shape: (L_1, L_2), even or odd.
        T: Temperature; Boltzmann's constant is 1.
        J: Coupling, above 0.

    Returns:
        Log Z, energy and heat capacity.

    Raises:
        ValueError: The lattice is not two-dimensional, or T or J is not positive.

    References:
        Kaufman, Phys. Rev. 76, 1232 (1949), equations 51-58; Ferdinand and Fisher, Phys. Rev. 185,
        832 (1969); Beale, Phys. Rev. Lett. 76, 78 (1996).
    """
    lengths = check_lattice(shape)
    if len(lengths) != 2:
        raise ValueError(f"shape: expected two lengths, got {lengths}")
    check_positive("T", T)
    check_positive("J", J)
    m, n = lengths
    terms, signs = _terms(m, n, J / T)
    values = np.array([term.value for term in terms])
    weights = signs * np.exp(values - values.max())
    total = weights.sum()
    weights = weights / total
    slopes = np.array([term.first for term in terms])
    curvatures = np.array([term.second for term in terms])
    slope = float(weights @ slopes)
    curvature = float(weights @ (curvatures + (slopes - slope) ** 2))
    # Log Z is what two aligned states would give, 2 n m K, plus a part that falls to log 2.
    K = J / T
    log_partition = 2 * m * n * K + float(np.log(total) + values.max() - np.log(2))
    return TorusAverages(log_partition, -J * (2 * m * n + slope), K**2 * curvature)


def _terms(m: int, n: int, K: float) -> tuple[list[_Series], np.ndarray]:
    """Logarithms and signs of the terms of 2 Z exp(-2 m n K)."""
    odd_large, odd_ratio = _roots(m, K, np.pi * (2 * np.arange(n) + 1) / n)
    even_large, even_ratio = _roots(m, K, 2 * np.pi * np.arange(1, n) / n)
    odd = [odd_large.sum() + odd_ratio.log_one_plus_exp(sign).sum() for sign in (1, -1)]
    even = [even_large.sum() + even_ratio.log_one_plus_exp(sign).sum() for sign in (1, -1)]
    aligned, reversed_ = _zero_roots(m, K)
    terms = [
        *odd,
        even[0] + aligned,
        even[0] + reversed_,
        even[1] + aligned,
        even[1] + reversed_,
    ]
    return terms, np.array([1.0, 1.0, 1.0, 1.0, 1.0, -1.0])


def _zero_roots(m: int, K: float) -> tuple[_Series, _Series]:
    """Log of (exp(2K) - 1)^m and (1 + exp(-2K))^m, both less 2 m K."""
    x, rest = np.exp(-2 * K), -np.expm1(-2 * K)
    aligned = _Series(np.log(rest), 2 * x / rest, -4 * x / rest**2) * m
    small = _Series(np.log1p(x) - 2 * K, -2 * x / (1 + x) - 2, 4 * x / (1 + x) ** 2) * m
    return aligned, small


def _roots(m: int, K: float, angle: np.ndarray) -> tuple[_Series, _Series]:
    """Log of ((2 sinh 2K)^(1/2) exp(g / 2))^m less 2 m K, and of exp(-m g), for angles not 0.

    With x = exp(-2K), s = 2x(1 - x^2) and c = (1 + x^2)^2 - s cos(angle): exp(g) = (c + r) / s,
    where r^2 = c^2 - s^2 = (c - s)(c + s), and c - s = (x^2 + 2x - 1)^2 + 2 s sin^2(angle / 2)
    without cancellation.
    """
    x, rest = np.exp(-2 * K), -np.expm1(-4 * K)
    y = x * x
    cosine, half_sine = np.cos(angle), np.sin(angle / 2) ** 2
    s, s1, s2 = 2 * x * rest, -4 * x + 12 * x * y, 8 * x - 72 * x * y
    c = (1 + y) ** 2 - s * cosine
    c1 = -8 * y - 8 * y * y - s1 * cosine
    c2 = 32 * y + 64 * y * y - s2 * cosine
    square = _Series(
        ((y + 2 * x - 1) ** 2 + 2 * s * half_sine) * (c + s),
        2 * (c * c1 - s * s1),
        2 * (c1 * c1 + c * c2 - s1 * s1 - s * s2),
    )
    r = np.sqrt(square.value)
    r1 = square.first / (2 * r)
    r2 = (square.second - 2 * r1 * r1) / (2 * r)
    log_root = _Series((c + r) / 2, (c1 + r1) / 2, (c2 + r2) / 2).log()
    log_s = _Series(
        np.log(rest) - 2 * K, -2 + 4 * y / rest, -16 * y / rest**2
    )  # of s / 2, without x that may underflow
    ratio = (log_s + log_root * -1.0) * m
    return log_root * (m / 2), ratio
