"""The scalar field on rings of a few sites and on 2 x 2, by quadrature, with the law of M."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import sici

from systems.checks import check_positive
from systems.lattices.exact.errors import ConvergenceError
from systems.lattices.exact.scalar_action import ScalarAction, check_bounded, field_extent
from systems.lattices.geometry import check_lattice

MAX_RING = 12
_FIRST_NODES, _LAST_NODES = 33, 257
_BATCH = 16


@dataclass(frozen=True)
class ScalarMoments:
    """Exact averages of a scalar field on one lattice; M = sum_i x_i.

    Args:
        log_partition: Log of the integral of exp(-S).
        mean_square: Mean of x^2 at a site.
        mean_fourth: Mean of x^4 at a site.
        bond_sum: Mean of B.
        magnetisation_square: Mean of M^2.
        magnetisation_fourth: Mean of M^4.
        magnetisation_absolute: Mean of |M|.
    """

    log_partition: float
    mean_square: float
    mean_fourth: float
    bond_sum: float
    magnetisation_square: float
    magnetisation_fourth: float
    magnetisation_absolute: float


@dataclass(frozen=True)
class QuadratureResult:
    """Averages with what is known of their error.

    Args:
        moments: The averages, on the finest grid.
        nodes: Nodes per site of that grid.
        change: Largest change from the grid of twice the spacing, absolute in log Z and relative
            in the averages. As the error falls exponentially in the number of nodes, that of the
            averages is about the square of this, or rounding.
    """

    moments: ScalarMoments
    nodes: int
    change: float


def scalar_moments(
    action: ScalarAction, shape: Sequence[int], *, tolerance: float = 1e-9
) -> QuadratureResult:
    """Integrate over every site on equally spaced nodes, halving the spacing until it settles.

    A lattice of 2 x 2 sites is a ring of four whose bonds all count twice, so every case is the
    trace of a power of one matrix. The law of M comes from its characteristic function, the same
    trace with exp(i w x) at every site. Trapezoid sums of smooth integrands that vanish at both
    ends converge exponentially; |M| has a kink, and is integrated against the band-limited
    interpolation of that law instead, which converges as fast.

    Args:
        action: The action.
        shape: A ring (N,) of up to 12 sites, or (2, 2).
        tolerance: Largest accepted `change`.

    Returns:
        The averages and their accuracy.

    Raises:
        ValueError: Another lattice, an action that is unbounded below, or a bad tolerance.
        ConvergenceError: 257 nodes per site do not suffice.

    References:
        Trefethen and Weideman, The exponentially convergent trapezoidal rule, SIAM Rev. 56, 385
        (2014).
    """
    lengths = check_lattice(shape)
    check_positive("tolerance", tolerance)
    if lengths != (2, 2) and (len(lengths) > 1 or lengths[0] > MAX_RING):
        raise ValueError(f"shape: expected (2, 2) or a ring of up to {MAX_RING}, got {lengths}")
    check_bounded(action, lengths)
    nodes, change = _FIRST_NODES, math.inf
    moments = _on_grid(action, lengths, nodes)
    while change > tolerance and 2 * nodes - 1 <= _LAST_NODES:
        nodes, coarse = 2 * nodes - 1, moments
        moments = _on_grid(action, lengths, nodes)
        change = _change(coarse, moments)
    if change > tolerance:
        raise ConvergenceError(
            f"quadrature: expected a change below {tolerance}, got {change} at {nodes} nodes"
        )
    return QuadratureResult(moments, nodes, change)


def _change(coarse: ScalarMoments, fine: ScalarMoments) -> float:
    """Largest difference: absolute in log Z, relative in the averages."""
    names = [field.name for field in fields(fine) if field.name != "log_partition"]
    pairs = [(getattr(coarse, name), getattr(fine, name)) for name in names]
    floor = 1e-3 * fine.magnetisation_square  # the average of B vanishes at t = 0
    relative = [abs(a - b) / (abs(b) + floor) for a, b in pairs]
    return max(abs(coarse.log_partition - fine.log_partition), *relative)


def _on_grid(action: ScalarAction, lengths: tuple[int, ...], nodes: int) -> ScalarMoments:
    """All averages with an odd number of nodes per site, 0 among them."""
    n, multiplicity = (4, 2) if lengths == (2, 2) else (lengths[0], 1)
    extent = field_extent(action, lengths)
    steps = np.arange(nodes) - nodes // 2
    h = 2 * extent / (nodes - 1)
    x = h * steps
    t = multiplicity * action.hopping
    on_site = -action.quadratic * x**2 - action.quartic * x**4
    shift = float((on_site + abs(t) * x**2).max())
    exponent = 0.5 * (on_site[:, None] + on_site) + t * x[:, None] * x
    kernel = np.exp(exponent - shift)
    power = np.linalg.matrix_power(kernel, n - 1)
    z = float(np.sum(power * kernel))
    at_site = np.einsum("ij,ij->i", power, kernel) / z
    bond = float(np.sum(power * kernel * x[:, None] * x)) / z
    law = _law_of_sum(kernel, steps, n) / z
    total = h * np.arange(-(len(law) // 2), len(law) // 2 + 1)
    return ScalarMoments(
        log_partition=math.log(z) + n * (shift + math.log(h)),
        mean_square=float(at_site @ x**2),
        mean_fourth=float(at_site @ x**4),
        bond_sum=n * multiplicity * bond,
        magnetisation_square=float(law @ total**2),
        magnetisation_fourth=float(law @ total**4),
        magnetisation_absolute=float(law @ _absolute_weights(total, h)),
    )


def _law_of_sum(kernel: np.ndarray, steps: np.ndarray, n: int) -> np.ndarray:
    """Weight of every sum of n steps: the parts of tr(K^n), from its discrete Fourier transform.

    The transform is real because the action is even, and even because the law is real.
    """
    size = n * (len(steps) - 1) + 1
    half = np.arange(size // 2 + 1)
    transform = np.empty(len(half))
    for start in range(0, len(half), _BATCH):
        angles = 2 * np.pi / size * half[start : start + _BATCH]
        step = kernel * np.exp(1j * angles[:, None, None] * steps)
        left = np.linalg.matrix_power(step, n // 2)
        right = left if n % 2 == 0 else left @ step
        transform[start : start + _BATCH] = np.einsum("fij,fji->f", left, right).real
    return np.fft.fftshift(np.fft.irfft(transform, size))


def _absolute_weights(total: np.ndarray, h: float) -> np.ndarray:
    """What |M| is replaced by at nodes of spacing h, where the law of M has no wave number > pi/h.

    E|M| = (2 / pi) int_0^inf (1 - E cos(w M)) / w^2 dw, with E cos(w M) from the nodes up to pi/h
    and 0 beyond, is a sum over the nodes with the weight
    (2 / pi) (M Si(pi M / h) + (h / pi) cos(pi M / h)).
    """
    sine_integral, _ = sici(np.pi * total / h)
    return 2 / np.pi * (total * sine_integral + h / np.pi * np.cos(np.pi * total / h))
