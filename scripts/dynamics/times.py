"""Autocorrelation times of chains that run until they are long enough."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from boltzgen.errors import NotConvergedError
from boltzgen.estimators.gamma_method import gamma_method

LEAST_LENGTH = 200.0
"""Autocorrelation times that a chain must be long for its own to be trusted."""
_RECORDS_PER_TIME = 40
_BURN_IN = 30
_MOST_EXTENSIONS = 4
_PIECES = 10
_FEWEST_UPDATES = 2000
_MARGIN = 1.1


class Piece(NamedTuple):
    """Records of some updates.

    Args:
        series: Observables by name, float64 (n_chains, n_records) each.
        sweeps: Lattice sweeps that an update costs, of that shape, or a number.
    """

    series: Mapping[str, np.ndarray]
    sweeps: np.ndarray | float


class Chains(Protocol):
    """Chains of one algorithm, at one size."""

    def advance(self, n_updates: int, every: int) -> Piece:
        """Make updates and record after every so many."""


@dataclass(frozen=True)
class Method:
    """An algorithm.

    Args:
        name: Of the algorithm.
        start: Makes the chains of a size L from a seed.
        amplitude: A rough A of tau = A L^z updates; it chooses the length of the runs only.
        exponent: The same for z.
        cost: Rough time of an update, for the remaining time only.
        unit: What tau is counted in.
    """

    name: str
    start: Callable[[int, int], Chains]
    amplitude: float
    exponent: float
    cost: Callable[[int], float]
    unit: str

    def expected(self, L: int) -> float:
        """Rough tau in updates, at least 1."""
        return max(1.0, self.amplitude * L**self.exponent)


@dataclass(frozen=True)
class Time:
    """An integrated autocorrelation time.

    Args:
        method: Name of the algorithm.
        observable: Whose series it is of.
        L: Length of the lattice.
        tau: In lattice sweeps (lattice passes for a field); 1/2 would be independent updates of
            one sweep each.
        error: Standard error of tau.
        updates: The same time in updates.
        sweeps_per_update: What an update costs.
        length: Length of each chain in times of this observable.
        consistency: Probability that the chains scatter as they do if they sample alike.
        n_chains: Chains.
        n_updates: Updates of each.
    """

    method: str
    observable: str
    L: int
    tau: float
    error: float
    updates: float
    sweeps_per_update: float
    length: float
    consistency: float
    n_chains: int
    n_updates: int

    @property
    def is_long_enough(self) -> bool:
        """Whether each chain is 200 times as long."""
        return self.length >= LEAST_LENGTH


def measure(
    method: Method,
    L: int,
    *,
    seed: int,
    length: float,
    expected: float,
    tell: Callable[[float], None],
) -> list[Time]:
    """Run chains, extend them while they are shorter than they should be, estimate.

    The chains are `length` expected times long, and at least 2000 updates. Where that turns out to
    be less than 200 of the slowest observable's measured times, or nothing could be estimated, they
    go on, up to 16 times as long; the caller looks at `Time.length`. Records are a fortieth of the
    expected time apart, so that the sum over records stands for the sum over updates.

    Args:
        method: The algorithm.
        L: Length of the lattice.
        seed: Of the chains.
        length: Wanted length of each chain in autocorrelation times.
        expected: Rough tau in updates.
        tell: Called with the share of the planned run that a piece was.

    Raises:
        NotConvergedError: The chains are too short even so.
    """
    every = max(1, int(expected / _RECORDS_PER_TIME))
    n_wanted = max(_FEWEST_UPDATES, math.ceil(length * expected))
    per_piece = every * math.ceil(n_wanted / every / _PIECES)
    chains = method.start(L, seed)
    burn_in = math.ceil(_BURN_IN * expected)
    chains.advance(burn_in, burn_in)
    pieces: list[Piece] = []
    for attempt in range(_MOST_EXTENSIONS + 1):
        while len(pieces) < _PIECES * 2**attempt:
            pieces.append(chains.advance(per_piece, every))
            tell(1 / _PIECES if not attempt else 0.0)
        last = attempt == _MOST_EXTENSIONS
        try:
            times = _estimate(method.name, L, pieces, every)
        except NotConvergedError:
            if last:
                raise
            continue
        if last or min(time.length for time in times) >= LEAST_LENGTH * _MARGIN:
            break
    return times


def _estimate(name: str, L: int, pieces: list[Piece], every: int) -> list[Time]:
    cost, cost_error = _cost(pieces)
    found = []
    for observable in pieces[0].series:
        series = np.concatenate([piece.series[observable] for piece in pieces], 1)
        estimate = gamma_method(series)
        updates = every * estimate.tau_int
        n_chains, n_records = series.shape
        relative = math.hypot(estimate.tau_int_error / estimate.tau_int, cost_error / cost)
        found.append(
            Time(
                method=name, observable=observable, L=L, tau=updates * cost,
                error=updates * cost * relative, updates=updates, sweeps_per_update=cost,
                length=n_records / estimate.tau_int, consistency=estimate.consistency,
                n_chains=n_chains, n_updates=n_records * every,
            )
        )  # fmt: skip
    return found


def _cost(pieces: list[Piece]) -> tuple[float, float]:
    """Mean sweeps of an update and its error."""
    if not isinstance(pieces[0].sweeps, np.ndarray):
        return pieces[0].sweeps, 0.0
    series = np.concatenate([np.asarray(piece.sweeps) for piece in pieces], 1)
    estimate = gamma_method(series)
    return estimate.value, estimate.error
