"""Two samplers that do the same work: timed by turns, and compared in a mean."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.timing import median_seconds


@dataclass(frozen=True)
class Sampler:
    """One of the two.

    Args:
        run: Makes updates, and goes on from there when called again.
        n_updates: Updates of a call, all chains together.
        means: Means of an observable over chains that start in equilibrium, shape (K,).
    """

    run: Callable[[], object]
    n_updates: int
    means: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Contest:
    """What is compared.

    Args:
        task: The algorithm.
        L: Length of the square lattice.
        peer: Name of the other package.
        unit: What an update is.
        measured: What is measured along, and how often.
        observable: What has to agree.
        ours: Our sampler.
        theirs: The other one.
        exact: The mean, where it is known.
    """

    task: str
    L: int
    peer: str
    unit: str
    measured: str
    observable: str
    ours: Sampler
    theirs: Sampler
    exact: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        task: The algorithm.
        size: L.
        peer: Name of the other package.
        unit: What an update is.
        measured: What was measured along, and how often.
        ours_us: Microseconds an update, the median.
        peer_us: Those of the other package.
        ratio: peer_us / ours_us.
        observable: What has to agree.
        ours_mean: Its mean.
        ours_error: Standard error of that.
        peer_mean: The other package's.
        peer_error: Standard error of that.
        z: Difference of the means in standard errors.
        exact: The mean, where it is known.
    """

    task: str
    size: int
    peer: str
    unit: str
    measured: str
    ours_us: float
    peer_us: float
    ratio: float
    observable: str
    ours_mean: float
    ours_error: float
    peer_mean: float
    peer_error: float
    z: float
    exact: float | None

    def record(self) -> dict[str, object]:
        """All numbers by name."""
        return asdict(self)


def hold(contest: Contest, *, repeats: int) -> Outcome:
    """Time both by turns, A B A B, and compare their means.

    Args:
        contest: Who against whom at what.
        repeats: Timed rounds.
    """
    seconds = median_seconds({"a": contest.ours.run, "b": contest.theirs.run}, repeats=repeats)
    ours_us = 1e6 * seconds["a"] / contest.ours.n_updates
    peer_us = 1e6 * seconds["b"] / contest.theirs.n_updates
    ours_mean, ours_error = _mean(contest.ours.means())
    peer_mean, peer_error = _mean(contest.theirs.means())
    return Outcome(
        task=contest.task, size=contest.L, peer=contest.peer, unit=contest.unit,
        measured=contest.measured, ours_us=ours_us, peer_us=peer_us, ratio=peer_us / ours_us,
        observable=contest.observable, ours_mean=ours_mean, ours_error=ours_error,
        peer_mean=peer_mean, peer_error=peer_error,
        z=(ours_mean - peer_mean) / math.hypot(ours_error, peer_error), exact=contest.exact,
    )  # fmt: skip


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean over independent chains and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))
