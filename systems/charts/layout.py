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
        lower, upper: Open domain of each narrow coordinate, same order as `narrow`.
    """

    centre: NDArray[np.float64]
    fold: NDArray[np.int64]
    periodic: NDArray[np.int64]
    narrow: NDArray[np.int64]
    frozen: NDArray[np.int64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


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
    """Angle at which a smoothed circular histogram of (N,) angles is lowest, rad."""
    counts, edges = np.histogram(np.mod(theta, TURN), bins=_N_BINS, range=(0, TURN))
    smooth = sum(np.roll(counts, shift) for shift in (-2, -1, 0, 1, 2))
    lowest = int(np.argmin(smooth))
    return float(edges[lowest] + TURN / _N_BINS / 2)


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
        frozen: Indices of bonds to hold fixed.
    """
    n_bonds, n_angles = n_atoms - 1, n_atoms - 2
    centre = q.mean(0)
    fold = np.ones(q.shape[1], dtype=np.int64)
    fold[folded] = 3
    lower, upper = np.zeros(q.shape[1]), np.full(q.shape[1], np.inf)
    upper[n_bonds : n_bonds + n_angles] = np.pi
    periodic = []
    for column in range(n_bonds + n_angles, q.shape[1]):
        theta = q[:, column]
        width, middle = widest_gap(theta)
        if fold[column] > 1 or width < np.pi:
            periodic.append(column)
            cut = thinnest_cut(theta) if fold[column] == 1 else np.pi
            centre[column] = wrap(np.array(cut + np.pi))
            continue
        centre[column] = wrap(np.array(middle + np.pi))
        lower[column], upper[column] = centre[column] - np.pi, centre[column] + np.pi
        turned = wrap(theta)
        if siblings[column - n_bonds - n_angles] and (np.all(turned > 0) or np.all(turned < 0)):
            lower[column], upper[column] = (0.0, np.pi) if turned[0] > 0 else (-np.pi, 0.0)
    narrow = np.setdiff1d(np.arange(q.shape[1]), np.concatenate([periodic, frozen]).astype(int))
    return Layout(
        centre=centre, fold=fold, periodic=np.array(periodic, dtype=np.int64),
        narrow=narrow, frozen=frozen, lower=lower[narrow], upper=upper[narrow],
    )
