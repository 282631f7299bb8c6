"""Heat bath of a scalar field: every site drawn from its exact conditional distribution.

The conditional density of a site is exp(-a x^2 - b x^4 + j x) up to a factor, j = t times the sum
of its neighbours. For every c the identity a x^2 + b x^4 = (a + 2 b c) x^2 + b (x^2 - c)^2 - b c^2
turns it into a Gaussian of precision 2 alpha, alpha = a + 2 b c, and mean j / (2 alpha), times
exp(-b (x^2 - c)^2) <= 1: draw from the Gaussian, accept with the latter. The acceptance is largest
where c is the Gaussian's own mean of x^2, which makes alpha the positive root of
alpha^3 - a alpha^2 - b alpha - b j^2 / 2. Newton's steps fall towards it from above; stopping early
costs acceptance and nothing else.

References:
    Bunk, Nucl. Phys. B (Proc. Suppl.) 42 (1995) 556, for the idea of a tuned Gaussian.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from systems.lattices.monte_carlo.compiled import compiled, compiled_over_chains
from systems.lattices.monte_carlo.streams import (
    State,
    first_lane,
    keep_first_lane,
    next_word,
    to_unit,
)

_PRECISE_ENOUGH = 0.02  # last relative step; what is left of the distance is its square


class FieldCouplings(NamedTuple):
    """Coefficients of S = a sum x^2 + b sum x^4 - t B(x), each float64 (n_chains,)."""

    quadratic: np.ndarray
    quartic: np.ndarray
    hopping: np.ndarray


@compiled_over_chains
def sweep_heat_bath(
    x: np.ndarray,
    couplings: FieldCouplings,
    streams: np.ndarray,
    table: np.ndarray,
    n_sweeps: int,
) -> None:
    """Draw all sites of every chain anew, one after the other, in place.

    Args:
        x: Fields, float64 (n_chains, V).
        couplings: Of every chain.
        streams: One for each chain.
        table: Neighbours, uint32 (V, 2 d).
        n_sweeps: How often.
    """
    for c in prange(x.shape[0]):
        a, b, t = couplings.quadratic[c], couplings.quartic[c], couplings.hopping[c]
        state = first_lane(streams[c])
        for _ in range(n_sweeps):
            for site in range(x.shape[1]):
                total = 0.0
                for k in range(table.shape[1]):
                    total += x[c, table[site, k]]
                x[c, site], state = _draw(a, b, t * total, state)
        keep_first_lane(streams[c], state)


@compiled
def _draw(a: float, b: float, source: float, state: State) -> tuple[float, State]:
    alpha = _precision(a, b, source)
    centre = (alpha - a) / (2.0 * b) if b > 0.0 else 0.0
    mean, width = source / (2.0 * alpha), math.sqrt(0.5 / alpha)
    while True:
        first, state = next_word(state)
        second, state = next_word(state)
        radius = math.sqrt(-2.0 * math.log(1.0 - to_unit(first)))
        x = mean + width * radius * math.cos(2.0 * math.pi * to_unit(second))
        word, state = next_word(state)
        if to_unit(word) < math.exp(-b * (x * x - centre) ** 2):
            return x, state


@compiled
def _precision(a: float, b: float, source: float) -> float:
    rest = 0.5 * b * source * source
    alpha = max(a, 0.0) + math.sqrt(b) + rest ** (1.0 / 3.0)  # not below the root
    step = alpha
    while step > _PRECISE_ENOUGH * alpha:
        value = ((alpha - a) * alpha - b) * alpha - rest
        step = value / ((3.0 * alpha - 2.0 * a) * alpha - b)
        alpha -= step
    return alpha
