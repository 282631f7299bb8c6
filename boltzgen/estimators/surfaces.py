"""Free-energy surfaces, profiles and basins over two angles, from weighted samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boltzgen.checks import check_at_least
from boltzgen.estimators.histograms import (
    Populations,
    angle_edges,
    bin_angles,
    count_populations,
)
from boltzgen.estimators.weights import check_log_weights


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Free-energy surface on a periodic grid, axis 0 phi and axis 1 psi.

    Args:
        edges: Edges of the bins on both axes, radians, shape (M + 1,).
        populations: Shares of the weight, they sum to one, shape (M, M).
        free_energy: -log population in kT, lowest bin 0, +inf where empty, shape (M, M).
        errors: Standard errors of -log population, first order, NaN where empty or beyond
            floating point, shape (M, M). Near or above 1 there is nothing but a handful of samples
            behind a bin.
    """

    edges: np.ndarray
    populations: np.ndarray
    free_energy: np.ndarray
    errors: np.ndarray


def free_energy_surface(
    phi: np.ndarray,
    psi: np.ndarray,
    log_w: np.ndarray | None = None,
    *,
    n_bins: int = 60,
    blocks: np.ndarray | None = None,
) -> Surface:
    """Free energy over (phi, psi).

    Args:
        phi: Radians, shape (N,).
        psi: Radians, shape (N,).
        log_w: Log-weights, shape (N,); None for equal weights.
        n_bins: Bins on each axis.
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        The surface and its error map.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: An angle is not finite, a log-weight NaN or +inf, or every weight zero.
    """
    bins = bin_angles("phi", phi, n_bins) * n_bins + bin_angles("psi", psi, n_bins)
    used, place = np.unique(bins, return_inverse=True)
    found = count_populations(place, log_w, used.size, blocks=blocks)
    populations, errors = np.zeros(n_bins**2), np.zeros(n_bins**2)
    populations[used], errors[used] = found.values, found.errors
    with np.errstate(divide="ignore", invalid="ignore"):
        free_energy = np.log(populations.max()) - np.log(populations)
        errors = np.where(errors > 0, errors / populations, np.nan)
    shape = (n_bins, n_bins)
    return Surface(
        edges=angle_edges(n_bins),
        populations=populations.reshape(shape),
        free_energy=free_energy.reshape(shape),
        errors=errors.reshape(shape),
    )


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Populations of the bins of one angle.

    Args:
        edges: Edges of the bins, radians, shape (M + 1,).
        populations: Values, errors and covariance of the M bins, which sum to one.
    """

    edges: np.ndarray
    populations: Populations


def angle_profile(
    angle: np.ndarray,
    log_w: np.ndarray | None = None,
    *,
    n_bins: int = 36,
    blocks: np.ndarray | None = None,
) -> Profile:
    """Distribution of one angle with the covariance of its bins.

    Args:
        angle: Radians, shape (N,).
        log_w: Log-weights, shape (N,); None for equal weights.
        n_bins: Number of bins.
        blocks: Labels of correlated groups (pieces of a trajectory, longer than its correlation
            time), shape (N,).

    Returns:
        The profile.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: An angle is not finite, a log-weight NaN or +inf, or every weight zero.
    """
    bins = bin_angles("angle", angle, n_bins)
    return Profile(
        edges=angle_edges(n_bins),
        populations=count_populations(bins, log_w, n_bins, blocks=blocks),
    )


@dataclass(frozen=True)
class Basin:
    """A rectangle on the torus; a range whose start is above its end passes through 180.

    Args:
        name: What it is called.
        phi: From, to, in degrees within [-180, 180].
        psi: From, to, in degrees within [-180, 180].
    """

    name: str
    phi: tuple[float, float]
    psi: tuple[float, float]


# Alanine dipeptide. The cuts run through the barriers of the AMBER surfaces: phi = 0 and 120 part
# the left-handed region from the rest, psi = -120 and 60 part the helical from the extended one,
# phi = -110 parts C5 from PII (and C7eq, which with implicit water has no basin of its own).
ALANINE_BASINS = (
    Basin("C5", phi=(120.0, -110.0), psi=(60.0, -120.0)),
    Basin("PII/C7eq", phi=(-110.0, 0.0), psi=(60.0, -120.0)),
    Basin("alphaR", phi=(120.0, 0.0), psi=(-120.0, 60.0)),
    Basin("alphaL", phi=(0.0, 120.0), psi=(-60.0, 120.0)),
    Basin("C7ax", phi=(0.0, 120.0), psi=(120.0, -60.0)),
)


def basin_populations(
    phi: np.ndarray,
    psi: np.ndarray,
    log_w: np.ndarray | None = None,
    *,
    basins: Sequence[Basin] = ALANINE_BASINS,
    blocks: np.ndarray | None = None,
) -> Populations:
    """Populations of basins in their order; what lies in none is left out of all.

    Args:
        phi: Radians, shape (N,).
        psi: Radians, shape (N,).
        log_w: Log-weights, shape (N,); None for equal weights.
        basins: Disjoint rectangles; where two overlap the first one counts.
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        Populations with errors, one for each basin.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: An angle is not finite, a log-weight NaN or +inf, or every weight zero.
    """
    bin_angles("phi", phi, 1)
    bin_angles("psi", psi, 1)
    bins = np.full(phi.shape, -1, dtype=np.int64)
    for number, basin in reversed(list(enumerate(basins))):
        bins[_within(phi, basin.phi) & _within(psi, basin.psi)] = number
    return count_populations(bins, log_w, len(basins), blocks=blocks)


def _within(angle: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    degrees = np.rad2deg(angle)
    start, end = limits
    return np.mod(degrees - start, 360.0) < np.mod(end - start, 360.0)


@dataclass(frozen=True)
class HistogramDistance:
    """Distances of two Ramachandran histograms.

    Args:
        kl: Sum of p log(p / q) over bins in nats, p the reference; +inf where q misses a bin.
        missed: Reference population of the bins in which the model has no weight.
        total_variation: Half the sum of |p - q|.
    """

    kl: float
    missed: float
    total_variation: float


def ramachandran_distance(
    reference: tuple[np.ndarray, np.ndarray],
    model: tuple[np.ndarray, np.ndarray],
    log_w: np.ndarray | None = None,
    *,
    n_bins: int = 64,
    pseudo_count: float = 0.0,
) -> HistogramDistance:
    """Kullback-Leibler divergence (reference to model) and total variation of (phi, psi).

    Fixed definition: n_bins x n_bins equal bins on [-pi, pi)^2, KL(reference || model) in nats.
    With pseudo_count = 0 it is infinite where the model has no weight in a bin that the reference
    visits. A pseudo-count a mixes the uniform histogram into the model's, q -> (n q + a) /
    (n + a n_bins^2) with n its effective sample size. Both grow with the number of bins over
    that of samples, so compare only values of equal sample sizes.

    Args:
        reference: phi and psi of the reference, radians, each of shape (N,).
        model: phi and psi of the model, radians, each of shape (M,).
        log_w: Log-weights of the model's samples, shape (M,); None for equal weights.
        n_bins: Bins on each axis.
        pseudo_count: Weight of an imagined sample in each bin of the model.

    Returns:
        Both distances.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: An angle is not finite, a log-weight NaN or +inf, or every weight zero.
    """
    check_at_least("n_bins", n_bins, 1)
    p, _ = _joint_histogram(reference, None, n_bins)
    q, n_effective = _joint_histogram(model, log_w, n_bins)
    missed = float(p[q == 0].sum())
    mixed = (n_effective * q + pseudo_count) / (n_effective + pseudo_count * q.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(mixed)), 0.0)
    return HistogramDistance(float(terms.sum()), missed, float(0.5 * np.abs(p - q).sum()))


def _joint_histogram(
    angles: tuple[np.ndarray, np.ndarray], log_w: np.ndarray | None, n_bins: int
) -> tuple[np.ndarray, float]:
    phi, psi = angles
    log_w = np.zeros(phi.size) if log_w is None else log_w
    check_log_weights("log_w", log_w)
    bins = bin_angles("phi", phi, n_bins) * n_bins + bin_angles("psi", psi, n_bins)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    return np.bincount(bins, weights=w, minlength=n_bins**2), float(1.0 / np.square(w).sum())
