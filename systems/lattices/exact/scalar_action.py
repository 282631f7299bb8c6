"""The nearest-neighbour action of a scalar field, its stiffness at every momentum, its extent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systems.lattices.exact.arguments import check_finite
from systems.lattices.geometry import bond_cosines


@dataclass(frozen=True)
class ScalarAction:
    """S(x) = a sum_i x_i^2 + b sum_i x_i^4 - t B(x), weight exp(-S).

    B is the bond sum over sites and forward neighbours, so a bond of a direction of length 2
    counts twice.

    Args:
        quadratic: a.
        quartic: b, not negative; at b = 0 the field is free.
        hopping: t; positive aligns neighbours.

    Raises:
        ValueError: A coefficient is not finite, or the quartic one is negative, which leaves the
            action unbounded below.
    """

    quadratic: float
    quartic: float
    hopping: float

    def __post_init__(self) -> None:
        check_finite("quadratic", self.quadratic)
        check_finite("quartic", self.quartic)
        check_finite("hopping", self.hopping)
        if self.quartic < 0:
            raise ValueError(
                "quartic: expected at least 0 (the action is unbounded below otherwise),"
                f" got {self.quartic}"
            )

    @classmethod
    def from_hopping(cls, kappa: float, coupling: float) -> "ScalarAction":
        """S = -2 kappa B + (1 - 2 lambda) sum x^2 + lambda sum x^4, with lambda the coupling.

        References:
            Montvay and Muenster, Quantum Fields on a Lattice (1994), section 2.1.
        """
        return cls(1.0 - 2.0 * coupling, coupling, 2.0 * kappa)

    @classmethod
    def from_mass(cls, mass_squared: float, coupling: float, n_dims: int) -> "ScalarAction":
        """S = -2 B + (m^2 + 2 d) sum x^2 + g sum x^4, with g the coupling.

        References:
            Albergo, Kanwar and Shanahan, Phys. Rev. D 100, 034515 (2019), arXiv:1904.12072.
        """
        return cls(mass_squared + 2.0 * n_dims, coupling, 2.0)


def stiffness(action: ScalarAction, shape: Sequence[int]) -> np.ndarray:
    """K(k) = a - t sum_mu cos k_mu: the quadratic part of S is sum_k K(k) |x_k|^2.

    The x_k are the coefficients of the unitary Fourier transform.

    Args:
        action: The action.
        shape: Lengths of the lattice.

    Returns:
        Float64 array of the lattice's shape, momenta in the order of `numpy.fft.fftn`.
    """
    return action.quadratic - action.hopping * bond_cosines(shape)


def check_bounded(action: ScalarAction, shape: Sequence[int]) -> None:
    """Require that exp(-S) is integrable: a quartic term, or a positive stiffness at every k.

    Raises:
        ValueError: Neither holds.
    """
    lowest = float(stiffness(action, shape).min())
    if action.quartic == 0 and lowest <= 0:
        raise ValueError(
            "action: expected a positive stiffness at every momentum where the quartic"
            f" coefficient is 0 (the action is unbounded below otherwise), got {lowest}"
        )


def field_extent(action: ScalarAction, shape: Sequence[int], *, decay: float = 42.0) -> float:
    """Half-width X of an interval outside which the density of one site is negligible.

    The lowest action of a configuration with x_0 = X exceeds the lowest of all by at least
    s X^2 + b X^4 - min_x (s x^2 + b x^4), where s is the harmonic mean of K(k) if every K(k) is
    positive and the lowest K(k) if not; X makes this bound equal to `decay`.

    Args:
        action: The action, bounded below on this lattice.
        shape: Lengths of the lattice.
        decay: By how much the action has grown at the ends.

    Returns:
        X > 0.
    """
    check_bounded(action, shape)
    values = stiffness(action, shape)
    lowest, b = float(values.min()), action.quartic
    s = 1.0 / float(np.mean(1.0 / values)) if lowest > 0 else lowest
    if b == 0:
        return math.sqrt(decay / s)
    depth = s * s / (4 * b) if s < 0 else 0.0
    # b y^2 + s y = level, y = X^2, in the form of the root that does not cancel.
    level = decay - depth
    root = math.sqrt(s * s + 4 * b * level)
    y = 2 * level / (s + root) if s > 0 else (root - s) / (2 * b)
    return math.sqrt(y)
