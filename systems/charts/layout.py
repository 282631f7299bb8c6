"""What the data say about each coordinate: free or frozen, narrow or periodic, where to cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systems.charts.zmatrix import ZMatrix, neighbours

TURN = 2 * np.pi
_N_BINS = 72


@dataclass(frozen=True)
class Layout:
    """Roles of the 3 n - 6 internal coordinates of a chart.

    Args:
        centre: Middle of the domain of each coordinate; for a periodic torsion the angle opposite
            to its cut; shape (3 n - 6,), nm or rad.
        fold: 3 for the mean phase of an equivalent group, 1 for all others, shape (3 n - 6,).
        periodic: Indices of the torsions that wrap around.
        narrow: Indices of the free bonds, free angles and narrow torsions, which do not.
        frozen: Indices of the bonds held at `centre`.
        lower: Lower end of the open domain of each narrow coordinate, same order as `narrow`.
        upper: Upper end of it.

    Raises:
        ValueError: The roles do not cover every coordinate once, or a shape does not fit.
    """

    centre: NDArray[np.float64]
    fold: NDArray[np.int64]
    periodic: NDArray[np.int64]
    narrow: NDArray[np.int64]
    frozen: NDArray[np.int64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.centre)
        roles = np.sort(np.concatenate([self.periodic, self.narrow, self.frozen]))
        if not np.array_equal(roles, np.arange(n)):
            raise ValueError(f"layout: expected each coordinate 0 to {n - 1} in one role")
        shapes = (self.fold.shape, self.lower.shape, self.upper.shape)
        expected = ((n,), self.narrow.shape, self.narrow.shape)
        if shapes != expected:
            raise ValueError(f"layout: expected fold, lower, upper of {expected}, got {shapes}")


def widest_gap(theta: NDArray[np.float64]) -> tuple[float, float]:
    """Find the widest arc without data.

    Args:
        theta: Angles, shape (N,), rad.

    Returns:
        Width of the arc and its middle, rad.
    """
    ordered = np.sort(np.mod(theta, TURN))
    gaps = np.diff(np.append(ordered, ordered[0] + TURN))
    widest = int(gaps.argmax())
    return float(gaps[widest]), float(np.mod(ordered[widest] + gaps[widest] / 2, TURN))


def thinnest_cut(theta: NDArray[np.float64]) -> float:
    """Find the angle at which a smoothed circular histogram of (N,) angles is lowest.

    Where several bins are equally low, as where there are no data, it is the middle of their
    longest run.

    Returns:
        Angle in [0, 2 pi), rad.
    """
    counts, _ = np.histogram(np.mod(theta, TURN), bins=_N_BINS, range=(0, TURN))
    smooth = np.sum([np.roll(counts, shift) for shift in (-2, -1, 0, 1, 2)], axis=0)
    start = int(smooth.argmax())
    low = np.roll(smooth, -start) == smooth.min()
    if low.all():
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], low.astype(int), [0]])))
    first, last = edges[::2], edges[1::2]
    longest = int((last - first).argmax())
    middle = start + (first[longest] + last[longest]) / 2
    return float(np.mod(middle / _N_BINS * TURN, TURN))


def wrap(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring angles into [-pi, pi)."""
    return np.mod(theta + np.pi, TURN) - np.pi


def fold_window(mean_phase: NDArray[np.float64]) -> float:
    """Middle of the third of a turn whose ends the data visit least, rad."""
    return thinnest_cut(np.mod(3 * mean_phase, TURN)) / 3 + np.pi / 3


def sibling_rows(zmatrix: ZMatrix, bonds: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Whether each torsion (rows from the fourth) is measured against a sibling, shape (n - 3,)."""
    graph = neighbours(zmatrix.n_atoms, bonds)
    return np.array([m in graph[j] for _, j, _, m in zmatrix.rows[3:]], dtype=bool)


def fit_layout(
    q: NDArray[np.float64],
    *,
    n_atoms: int,
    folded: NDArray[np.int64],
    siblings: NDArray[np.bool_],
    frozen: NDArray[np.int64],
) -> Layout:
    """Read the roles of the coordinates off the data.

    A torsion whose data leave more than half a turn empty is narrow; its domain is the turn about
    its data. Where it is measured against a sibling and the data hold one sign only, its domain is
    that half turn, so that the other hand has no density. All other torsions are periodic.

    Args:
        q: Canonical internal coordinates, shape (N, 3 n - 6).
        n_atoms: n.
        folded: Indices into the coordinates of folded mean phases.
        siblings: Which torsions are measured against a sibling, shape (n - 3,).
        frozen: Indices of bonds to hold fixed at their mean.
    """
    n_linear = 2 * n_atoms - 3
    centre = q.mean(0)
    fold = np.ones(q.shape[1], dtype=np.int64)
    fold[folded] = 3
    lower, upper = np.zeros(q.shape[1]), np.full(q.shape[1], np.inf)
    upper[n_atoms - 1 : n_linear] = np.pi
    periodic = []
    for column in range(n_linear, q.shape[1]):
        theta = wrap(q[:, column])
        width, middle = widest_gap(theta)
        if fold[column] > 1:
            periodic.append(column)
            centre[column] = 0.0
        elif width < np.pi:
            periodic.append(column)
            centre[column] = wrap(np.array(thinnest_cut(theta) + np.pi))
        else:
            centre[column] = wrap(np.array(middle + np.pi))
            one_sided = bool(np.all(theta > 0) or np.all(theta < 0))
            if siblings[column - n_linear] and one_sided:
                lower[column], upper[column] = (0, np.pi) if theta[0] > 0 else (-np.pi, 0)
            else:
                lower[column], upper[column] = centre[column] - np.pi, centre[column] + np.pi
    narrow = np.setdiff1d(np.arange(q.shape[1]), np.concatenate([periodic, frozen]).astype(int))
    return Layout(
        centre=centre, fold=fold, periodic=np.array(periodic, dtype=np.int64),
        narrow=narrow, frozen=frozen, lower=lower[narrow], upper=upper[narrow],
    )  # fmt: skip
