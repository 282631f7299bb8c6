"""Hamiltonian dynamics of a scalar field, H = p^2 / 2 + S(x), on a lattice with a rim.

Around the sites lies a rim of copies of the opposite faces. A pass over the lattice is then one
long loop without a condition or a modulo; what it makes of the rim is replaced after it. Axes that
a lattice of one or two dimensions lacks have length 1 and a rim of zeros, which pulls nobody.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from systems.lattices.monte_carlo.compiled import compiled

_FREEDOMS = {"contract", "reassoc", "nsz"}


def _contracted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of sums and products whose rounding may depend on the processor.

    Products may be fused with sums and sums reordered; numbers that are not finite stay so.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _FREEDOMS}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(cache=False, **options)(function)


class Box(NamedTuple):
    """A lattice with its rim.

    Args:
        planes: Length of the first of three axes, 1 where there are fewer.
        rows: Length of the second axis.
        columns: Length of the last axis.
        row_step: Places from a row to the next.
        plane_step: Places from a plane to the next.
        first: Place of the first site.
        span: Places from the first site to the last, both included.
        size: Places of all.
        mask: 1 at sites and 0 between them, float64 (span,).
    """

    planes: int
    rows: int
    columns: int
    row_step: int
    plane_step: int
    first: int
    span: int
    size: int
    mask: np.ndarray


class Coefficients(NamedTuple):
    """S = a sum x^2 + b sum x^4 - t B(x) of one chain."""

    a: float
    b: float
    t: float


class Sums(NamedTuple):
    """Sums of x, x^2 and x^4 over sites, and B."""

    first: float
    square: float
    quartic: float
    bond: float


def make_box(shape: tuple[int, ...]) -> Box:
    """Box of a lattice of one to three dimensions."""
    planes, rows, columns = (1,) * (3 - len(shape)) + shape
    row_step = columns + 2
    plane_step = (rows + 2) * row_step
    n_rims = 2 if planes > 1 else 0
    span = (planes - 1) * plane_step + (rows - 1) * row_step + columns
    row, column = np.arange(span) % plane_step // row_step, np.arange(span) % plane_step % row_step
    return Box(
        planes,
        rows,
        columns,
        row_step,
        plane_step,
        first=n_rims // 2 * plane_step + row_step + 1,
        span=span,
        size=(planes + n_rims) * plane_step,
        mask=((row < rows) & (column < columns)).astype(np.float64),
    )


@compiled
def put_in(values: np.ndarray, box: Box, x: np.ndarray) -> None:
    """Copy numbers of the sites (V,) to their places in x (size,)."""
    site = 0
    for plane in range(box.planes):
        for row in range(box.rows):
            start = box.first + plane * box.plane_step + row * box.row_step
            _copy(values[site : site + box.columns], x[start : start + box.columns])
            site += box.columns


@compiled
def take_out(x: np.ndarray, box: Box, values: np.ndarray) -> None:
    """Copy the numbers of the sites from x (size,) to (V,)."""
    site = 0
    for plane in range(box.planes):
        for row in range(box.rows):
            start = box.first + plane * box.plane_step + row * box.row_step
            _copy(x[start : start + box.columns], values[site : site + box.columns])
            site += box.columns


@compiled
def close_rim(x: np.ndarray, box: Box) -> None:
    """Bring the rim up to date with the sites."""
    width, step = box.columns, box.row_step
    for plane in range(box.planes):
        top = box.first + plane * box.plane_step
        for row in range(box.rows):
            line = x[top + row * step - 1 : top + row * step + width + 1]
            line[0] = line[width]
            line[width + 1] = line[1]
        if box.rows > 1:
            end = top + box.rows * step
            _copy(x[end - step : end - step + width], x[top - step : top - step + width])
            _copy(x[top : top + width], x[end : end + width])
    if box.planes > 1:
        length, step = (box.rows - 1) * box.row_step + width, box.plane_step
        end = box.first + box.planes * step
        _copy(x[end - step : end - step + length], x[box.first - step : box.first - step + length])
        _copy(x[box.first : box.first + length], x[end : end + length])


@compiled
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    for i in range(target.size):
        target[i] = source[i]


@compiled
def _part(x: np.ndarray, box: Box, offset: int) -> np.ndarray:
    return x[box.first + offset : box.first + offset + box.span]


@_contracted
def _pull_by_planes(x: np.ndarray, momentum: np.ndarray, strength: float, box: Box) -> None:
    p = _part(momentum, box, 0)
    before, behind = _part(x, box, -box.plane_step), _part(x, box, box.plane_step)
    for i in range(box.span):
        p[i] += strength * (before[i] + behind[i])


@_contracted
def kick_and_drift(
    x: np.ndarray,
    momentum: np.ndarray,
    target: np.ndarray,
    times: tuple[float, float],
    couplings: Coefficients,
    box: Box,
) -> None:
    """Change p by -k grad S(x), then set target to x + s p, for times (k, s)."""
    k, s = times
    one, three, pull = 2.0 * k * couplings.a, 4.0 * k * couplings.b, k * couplings.t
    if box.planes > 1:
        _pull_by_planes(x, momentum, pull, box)
    p, here, new = _part(momentum, box, 0), _part(x, box, 0), _part(target, box, 0)
    left, right = _part(x, box, -1), _part(x, box, 1)
    above, below = _part(x, box, -box.row_step), _part(x, box, box.row_step)
    for i in range(box.span):
        z = here[i]
        near = (left[i] + right[i]) + (above[i] + below[i])
        q = p[i] + pull * near - z * (one + three * (z * z))
        p[i] = q
        new[i] = z + s * q


@_contracted
def kinetic_energy(momentum: np.ndarray, box: Box) -> float:
    """Sum of p^2 / 2 over sites."""
    p, mask, total = _part(momentum, box, 0), box.mask, 0.0
    for i in range(box.span):
        total += mask[i] * (p[i] * p[i])
    return 0.5 * total


@_contracted
def measure(x: np.ndarray, box: Box) -> Sums:
    """Sums of a field whose rim is up to date."""
    here, right, below = _part(x, box, 0), _part(x, box, 1), _part(x, box, box.row_step)
    first, square, quartic, bond, mask = 0.0, 0.0, 0.0, 0.0, box.mask
    for i in range(box.span):
        z = mask[i] * here[i]
        first += z
        square += z * z
        quartic += (z * z) * (z * z)
        bond += z * (right[i] + below[i])
    if box.planes > 1:
        behind = _part(x, box, box.plane_step)
        for i in range(box.span):
            bond += mask[i] * (here[i] * behind[i])
    return Sums(first, square, quartic, bond)
