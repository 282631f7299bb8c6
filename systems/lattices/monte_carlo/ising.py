"""Reference Monte Carlo of the Ising model, E(s) = -J B(s) - h sum s, on periodic lattices.

B(s) is the sum over sites and forward directions of s_x s_(x + mu). Many chains advance side by
side, each with its own temperature and its own stream of random numbers; a run takes the state of
the chains and returns the state after it, so that long runs can be made in pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Generator

from systems.lattices.geometry import check_lattice, neighbour_table
from systems.lattices.monte_carlo.chances import split_chances
from systems.lattices.monte_carlo.local_updates import (
    energy_changes,
    make_flip_chances,
    run_local_updates,
)
from systems.lattices.monte_carlo.schedule import (
    Plan,
    Records,
    Schedule,
    make_plan,
    make_records,
)
from systems.lattices.monte_carlo.streams import check_streams, make_streams
from systems.lattices.monte_carlo.sublattices import make_sublattices
from systems.lattices.monte_carlo.swendsen_wang import BondChances, run_swendsen_wang
from systems.lattices.monte_carlo.wolff import ClusterChances, make_neighbourhood, run_wolff

_BITS_OF_CLUSTERS = 15
_BITS_OF_BONDS = 8


@dataclass(frozen=True)
class Metropolis:
    """Flips of single spins, first of all even sites, then of all odd ones; even lengths only.

    A flip is accepted with probability (15 / 16) min(1, exp(-dE / T)). Without the factor flips
    that cost nothing would always happen, and some configurations (diagonal stripes of width two)
    would move on for ever without meeting the others: the chain would not be ergodic.
    """


@dataclass(frozen=True)
class HeatBath:
    """Single spins drawn anew, even sites, then odd ones; even lengths only.

    A flip happens with probability 1 / (1 + exp(dE / T)). Better than Metropolis at high
    temperature only.
    """


@dataclass(frozen=True)
class SwendsenWang:
    """All clusters of the lattice, each flipped with its probability; any J and field."""


@dataclass(frozen=True)
class Wolff:
    """Single clusters; J > 0 and no field.

    Args:
        n_clusters: Clusters in one sweep.
    """

    n_clusters: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.n_clusters, int) or self.n_clusters < 1:
            raise ValueError(
                f"n_clusters: expected an integer of at least 1, got {self.n_clusters!r}"
            )


Update = Metropolis | HeatBath | SwendsenWang | Wolff


@dataclass(frozen=True)
class IsingChains:
    """State of the chains; nothing else carries over from one run to the next.

    Args:
        spins: -1 or 1, int8 (n_chains, L_1, ..., L_d).
        streams: As `make_streams` returns them.

    Raises:
        ValueError: A dtype, shape or spin is wrong.
    """

    spins: np.ndarray
    streams: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.spins, np.ndarray) or self.spins.dtype != np.int8:
            kind = getattr(self.spins, "dtype", type(self.spins).__name__)
            raise ValueError(f"spins: expected an int8 array, got {kind}")
        check_lattice(self.shape)
        if not (np.abs(self.spins) == 1).all():
            raise ValueError("spins: expected -1 or 1 only, got other values")
        check_streams(self.streams, self.n_chains)

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.spins.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the lattice."""
        return self.spins.shape[1:]


def start_ising(
    shape: Sequence[int],
    n_chains: int,
    *,
    generator: Generator,
    start: Literal["hot", "cold"] = "hot",
) -> IsingChains:
    """Chains at a random configuration each, or with all spins up.

    Args:
        shape: Lengths of the lattice.
        n_chains: Number of chains.
        generator: For the streams and the hot start.
        start: "hot" or "cold".

    Raises:
        ValueError: The shape is no lattice, there is no chain, or the start is another word.
    """
    full = (n_chains, *check_lattice(shape))
    streams = make_streams(n_chains, generator=generator)
    if start == "cold":
        return IsingChains(np.ones(full, dtype=np.int8), streams)
    if start != "hot":
        raise ValueError(f"start: expected 'hot' or 'cold', got {start!r}")
    drawn = torch.randint(2, full, generator=generator, device=generator.device)
    return IsingChains((2 * drawn - 1).cpu().numpy().astype(np.int8), streams)


@dataclass(frozen=True)
class IsingRun:
    """What a run returns.

    Args:
        chains: The state at the end.
        bond_sum: B(s), int64 (n_chains, n_records).
        spin_sum: sum s, int64 (n_chains, n_records).
        mean_cluster_size: Mean size of the clusters flipped since the last record, float64
            (n_chains, n_records); its mean over V is <m^2>. None unless the update is `Wolff`.
        spins: Stored configurations, int8 (n_chains, n_stored, L_1, ..., L_d).
    """

    chains: IsingChains
    bond_sum: np.ndarray
    spin_sum: np.ndarray
    mean_cluster_size: np.ndarray | None
    spins: np.ndarray


def run_ising(
    chains: IsingChains,
    update: Update,
    schedule: Schedule,
    *,
    T: np.ndarray | float,
    J: float = 1.0,
    h: float = 0.0,
) -> IsingRun:
    """Advance the chains by a number of sweeps.

    Args:
        chains: Where they start; left as it is.
        update: What one sweep does.
        schedule: How many sweeps, and what is recorded.
        T: Temperature, a number or one for each chain (n_chains,).
        J: Coupling.
        h: Field.

    Raises:
        ValueError: A number is out of range, a length is odd where a checkerboard needs it even, or
            the update does not know such a coupling or field.
    """
    temperatures = _temperatures(T, chains.n_chains)
    for name, value in (("J", J), ("h", h)):
        if not np.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
    n_sites = int(np.prod(chains.shape))
    spins = chains.spins.reshape(chains.n_chains, n_sites).copy()
    streams = chains.streams.copy()
    records = make_records(schedule, chains.n_chains, n_sites)
    work = _Work(spins, streams, chains.shape, make_plan(schedule), records)
    if isinstance(update, Wolff):
        _run_wolff(work, update, temperatures, J, h)
    elif isinstance(update, SwendsenWang):
        _run_swendsen_wang(work, temperatures, J, h)
    elif isinstance(update, Metropolis | HeatBath):
        _run_local(work, update, temperatures, J, h)
    else:
        raise ValueError(f"update: expected one of the updates, got {update!r}")
    mean_size = None
    if isinstance(update, Wolff):
        mean_size = records.flipped / (update.n_clusters * schedule.measure_every)
    return IsingRun(
        chains=IsingChains(spins.reshape(chains.spins.shape), streams),
        bond_sum=records.bond_sum,
        spin_sum=records.spin_sum,
        mean_cluster_size=mean_size,
        spins=records.spins.reshape(chains.n_chains, schedule.n_stored, *chains.shape),
    )


@dataclass(frozen=True)
class _Work:
    spins: np.ndarray
    streams: np.ndarray
    shape: tuple[int, ...]
    plan: Plan
    records: Records


def _temperatures(T: np.ndarray | float, n_chains: int) -> np.ndarray:
    temperatures = np.asarray(T, dtype=np.float64)
    if temperatures.shape not in ((), (n_chains,)):
        raise ValueError(
            f"T: expected a number or shape ({n_chains},), got shape {temperatures.shape}"
        )
    if not (np.isfinite(temperatures) & (temperatures > 0)).all():
        raise ValueError(f"T: expected finite numbers above 0, got {T}")
    return np.broadcast_to(temperatures, (n_chains,)).copy()


def _run_local(
    work: _Work, update: Metropolis | HeatBath, T: np.ndarray, J: float, h: float
) -> None:
    layout = make_sublattices(work.shape)
    changes = energy_changes(J, h) / T[:, None]
    if isinstance(update, Metropolis):
        p = 15 / 16 * np.exp(-np.maximum(changes, 0.0))
    else:
        p = np.exp(-np.logaddexp(0.0, changes))
    chances = make_flip_chances(p)
    run_local_updates(work.spins, work.streams, chances, layout, work.plan, work.records)


def _run_swendsen_wang(work: _Work, T: np.ndarray, J: float, h: float) -> None:
    heads, tails = split_chances(-np.expm1(-2 * abs(J) / T), _BITS_OF_BONDS)
    unlike = np.full(T.shape, J < 0, dtype=np.uint8)
    chances = BondChances(heads.astype(np.int64), tails, h / T, unlike)
    lengths = np.array(work.shape)
    run_swendsen_wang(work.spins, work.streams, chances, lengths, work.plan, work.records)


def _run_wolff(work: _Work, update: Wolff, T: np.ndarray, J: float, h: float) -> None:
    if J <= 0:
        raise ValueError(f"J: expected a number above 0 for Wolff's clusters, got {J}")
    if h != 0:
        raise ValueError(f"h: expected no field for Wolff's clusters, got {h}")
    heads, tails = split_chances(-np.expm1(-2 * J / T), _BITS_OF_CLUSTERS)
    chances = ClusterChances(heads, tails, update.n_clusters)
    near = make_neighbourhood(neighbour_table(work.shape), work.shape)
    run_wolff(work.spins, work.streams, chances, near, work.plan, work.records)
