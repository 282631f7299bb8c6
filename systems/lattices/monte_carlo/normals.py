"""Normal random numbers for compiled code, by the ziggurat.

The half density f(x) = exp(-x^2 / 2) lies in 256 layers of equal area: rectangles over [0, X_i] of
which all but the part beyond X_(i + 1) is below f, and a base with the tail beyond r = X_1. One
word of 64 bits makes a normal number in 99 cases of 100: 8 bits choose the layer, 53 others the
place in it.

References:
    Marsaglia & Tsang, The ziggurat method for generating random variables, J. Stat. Softw. 5, 8
    (2000); Doornik, An improved ziggurat method to generate normal random samples (2005), for the
    need of separate bits.
"""

import math

import numpy as np
from numba import int64, uint64

from systems.lattices.monte_carlo.compiled import compiled
from systems.lattices.monte_carlo.streams import draw_word, fill_block, to_unit

_N_LAYERS = 256
_START_OF_TAIL = 3.654152885361009  # r for which the layers end at f = 1
_TO_SIGNED_UNIT = 2.0**-52


def _make_edges() -> np.ndarray:
    r = _START_OF_TAIL
    area = r * math.exp(-0.5 * r * r) + math.sqrt(0.5 * math.pi) * math.erfc(r / math.sqrt(2.0))
    edges = [area / math.exp(-0.5 * r * r), r]
    while len(edges) < _N_LAYERS:
        height = area / edges[-1] + math.exp(-0.5 * edges[-1] ** 2)
        edges.append(math.sqrt(-2.0 * math.log(height)))
    return np.array([*edges, 0.0])


EDGES = _make_edges()  # X_0 > X_1 > ... > X_256 = 0; X_0 is the area over f(r)
_HEIGHTS = np.exp(-0.5 * EDGES**2)


@compiled
def fill_normals(stream: np.ndarray, block: np.ndarray, x: np.ndarray) -> None:
    """Fill an array with normal numbers of variance 1.

    Args:
        stream: Changed; all its lanes are used.
        block: Work space, uint64 (n, N_LANES), at least as many words as x has numbers.
        x: Where the numbers go, float64 (N,).
    """
    fill_block(stream, block)
    words = block.reshape(-1)
    for i in range(x.size):
        word = words[i]
        layer = word & uint64(_N_LAYERS - 1)
        y = _place(word, layer)
        x[i] = y if abs(y) < EDGES[layer + uint64(1)] else _settle(stream, y, layer)


@compiled
def _place(word: int, layer: int) -> float:
    return float(int64(word) >> 11) * _TO_SIGNED_UNIT * EDGES[layer]


@compiled
def _settle(stream: np.ndarray, y: float, layer: int) -> float:
    """Decide on a number that is not surely below the density; draw others until one is."""
    while abs(y) >= EDGES[layer + uint64(1)]:
        if layer == uint64(0):
            return math.copysign(_draw_tail(stream), y)
        low, high = _HEIGHTS[layer], _HEIGHTS[layer + uint64(1)]
        if low + to_unit(draw_word(stream)) * (high - low) < math.exp(-0.5 * y * y):
            return y
        word = draw_word(stream)
        layer = word & uint64(_N_LAYERS - 1)
        y = _place(word, layer)
    return y


@compiled
def _draw_tail(stream: np.ndarray) -> float:
    while True:
        x = -math.log(1.0 - to_unit(draw_word(stream))) / _START_OF_TAIL
        y = -math.log(1.0 - to_unit(draw_word(stream)))
        if 2.0 * y > x * x:
            return _START_OF_TAIL + x
