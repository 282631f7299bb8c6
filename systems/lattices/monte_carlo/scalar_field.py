"""Cluster and heat-bath steps for chains of a scalar field, S = a sum x^2 + b sum x^4 - t B(x).

A cluster step changes signs only and so needs a partner that moves |x|: a heat-bath step, or a
trajectory of Hamiltonian dynamics made elsewhere. Steps take and return values; the only other
thing that carries over is the streams.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from systems.lattices.geometry import neighbour_table
from systems.lattices.monte_carlo.field_arguments import check_count, check_fields, per_chain
from systems.lattices.monte_carlo.field_clusters import flip_all_clusters, flip_wolff_clusters
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings, sweep_heat_bath


@dataclass(frozen=True)
class FieldSums:
    """Sums over sites and forward bonds of each configuration, float64 (n_chains,).

    Args:
        first: Sum of x.
        square: Sum of x^2.
        quartic: Sum of x^4.
        bond: B, the sum of x_site x_(site + mu) over sites and directions.
    """

    first: np.ndarray
    square: np.ndarray
    quartic: np.ndarray
    bond: np.ndarray


@dataclass(frozen=True)
class FieldStep:
    """What a step returns.

    Args:
        x: New configurations, float64 (n_chains, L_1, ..., L_d).
        streams: Streams after the step.
        sums: Of the new configurations.
        n_flipped: Sites whose sign a cluster step changed, int64 (n_chains,); after a heat-bath
            step None. For single clusters its mean is the cluster size.
    """

    x: np.ndarray
    streams: np.ndarray
    sums: FieldSums
    n_flipped: np.ndarray | None


def cluster_step(
    x: np.ndarray,
    streams: np.ndarray,
    *,
    hopping: np.ndarray | float,
    method: Literal["wolff", "swendsen-wang"] = "wolff",
    n_clusters: int = 1,
) -> FieldStep:
    """Flip clusters of equal sign; every |x| stays.

    Args:
        x: Configurations, float64 (n_chains, L_1, ..., L_d).
        streams: As `make_streams` returns them.
        hopping: t, at least 0, a number or one for each chain (n_chains,).
        method: Single clusters, or all clusters with probability 1/2 each.
        n_clusters: How many single clusters; 1 for the other method.

    Raises:
        ValueError: An array or a number is not as described.

    References:
        Brower & Tamayo, Phys. Rev. Lett. 62 (1989) 1087.
    """
    shape = check_fields(x, streams)
    t = per_chain("hopping", hopping, x.shape[0])
    if not (t >= 0).all():
        raise ValueError(f"hopping: expected numbers of at least 0, got {hopping}")
    check_count("n_clusters", n_clusters)
    if method not in ("wolff", "swendsen-wang"):
        raise ValueError(f"method: expected 'wolff' or 'swendsen-wang', got {method!r}")
    if method == "swendsen-wang" and n_clusters != 1:
        raise ValueError(f"n_clusters: expected 1 for all clusters, got {n_clusters}")
    flat, streams = x.reshape(x.shape[0], -1).copy(), streams.copy()
    flipped, table = np.zeros(x.shape[0], dtype=np.int64), _table(shape)
    if method == "wolff":
        flip_wolff_clusters(flat, t, streams, table, n_clusters, flipped)
    else:
        flip_all_clusters(flat, t, streams, table, np.array(shape), flipped)
    new = flat.reshape(x.shape)
    return FieldStep(new, streams, field_sums(new), flipped)


def heat_bath_step(
    x: np.ndarray,
    streams: np.ndarray,
    *,
    quadratic: np.ndarray | float,
    quartic: np.ndarray | float,
    hopping: np.ndarray | float,
    n_sweeps: int = 1,
) -> FieldStep:
    """Draw every site from its conditional distribution, in row-major order.

    Args:
        x: Configurations, float64 (n_chains, L_1, ..., L_d).
        streams: As `make_streams` returns them.
        quadratic: a, a number or one for each chain (n_chains,).
        quartic: b, at least 0.
        hopping: t, of either sign.
        n_sweeps: How often.

    Raises:
        ValueError: An array or a number is not as described, or b = 0 and a <= d |t|, where the
            action has no minimum.
    """
    shape = check_fields(x, streams)
    n_chains = x.shape[0]
    a = per_chain("quadratic", quadratic, n_chains)
    b = per_chain("quartic", quartic, n_chains)
    t = per_chain("hopping", hopping, n_chains)
    if not (b >= 0).all():
        raise ValueError(f"quartic: expected numbers of at least 0, got {quartic}")
    if not ((b > 0) | (a > len(shape) * np.abs(t))).all():
        raise ValueError(
            f"quadratic: expected more than {len(shape)} |hopping| where quartic is 0, "
            f"got {quadratic}"
        )
    check_count("n_sweeps", n_sweeps)
    flat, streams = x.reshape(n_chains, -1).copy(), streams.copy()
    sweep_heat_bath(flat, FieldCouplings(a, b, t), streams, _table(shape), n_sweeps)
    new = flat.reshape(x.shape)
    return FieldStep(new, streams, field_sums(new), None)


def field_sums(x: np.ndarray) -> FieldSums:
    """Sums of configurations x, float64 (n_chains, L_1, ..., L_d)."""
    sites = tuple(range(1, x.ndim))
    square = x * x
    bond = sum((x * np.roll(x, -1, axis)).sum(sites) for axis in sites)
    return FieldSums(x.sum(sites), square.sum(sites), (square * square).sum(sites), bond)


@lru_cache(maxsize=16)
def _table(shape: tuple[int, ...]) -> np.ndarray:
    return neighbour_table(shape).astype(np.uint32)
