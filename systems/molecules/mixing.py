"""Did the trajectories mix? Every rotatable bond of the molecule, compared between trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from systems.molecules.definition import MolecularSystem

_MAX_RHAT = 1.05
_MIN_TRANSITIONS = 10
_SHORT = 5.0
_MIN_FOR_DRIFT, _DRIFTED = 8, 1e-5
_RARE = 0.001
_RIGID = 1e-8  # variance of a torsion that is fixed but for rounding
Quadruple = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class TorsionMixing:
    """How one torsion mixes, over M trajectories or groups of them.

    Args:
        name: Such as "ALA2 C-N-CA-C (phi)".
        atoms: The four atoms.
        fraction_positive: Fraction of frames with the torsion in (0, 180), shape (M,).
        n_transitions: Changes of its sign from one frame to the next, at 0 or at 180, shape (M,).
        rhat: Split R-hat, the larger of those of the cosine and the sine; 1 is mixed, inf where
            trajectories are stuck in different places; 1 for a torsion that never moves.
        drift: The smaller p-value of `drift_p_value` of the cosine and the sine, over all
            trajectories.
        length: Length of a trajectory in units of `relaxation_time`.
    """

    name: str
    atoms: Quadruple
    fraction_positive: np.ndarray
    n_transitions: np.ndarray
    rhat: float
    drift: float
    length: float


@dataclass(frozen=True, eq=False)
class MixingReport:
    """Mixing of all rotatable torsions; `warnings` says in words what is wrong, if anything."""

    torsions: tuple[TorsionMixing, ...]
    warnings: tuple[str, ...]


def check_mixing(
    system: MolecularSystem,
    x: np.ndarray,
    *,
    n_groups: int | None = None,
    follows: bool = True,
) -> MixingReport:
    """Compare rotatable torsions between and within trajectories, or groups of them.

    Many short chains need not each visit everything: their groups are compared then, and the
    halves in time of these (the nested R-hat).

    Args:
        system: The molecule; its bonds decide which torsions there are.
        x: Positions in nm, shape (n_trajectories, n_frames, n_atoms, 3).
        n_groups: Groups of equally many trajectories; those left over are not compared. By
            default each trajectory is its own.
        follows: Whether a trajectory follows one walker, so that its length can be judged; not so
            at one temperature of a replica exchange.

    Returns:
        Statistics of every torsion and warnings in plain English.

    Raises:
        ValueError: x has another shape, fewer than 4 frames per trajectory, or there are fewer
            trajectories than groups.

    References:
        Margossian, Hoffman, Sountsov, Riou-Durand, Vehtari and Gelman, Bayesian Analysis (2024),
        arXiv:2110.13017: nested R-hat.
    """
    if x.ndim != 4 or x.shape[2:] != (system.n_atoms, 3) or x.shape[1] < 4:
        raise ValueError(
            f"x: expected shape (n_trajectories, at least 4 frames, {system.n_atoms}, 3), "
            f"got {x.shape}"
        )
    n_groups = len(x) if n_groups is None else n_groups
    if not 1 <= n_groups <= len(x):
        raise ValueError(f"n_groups: expected 1 to {len(x)}, got {n_groups}")
    names = [name.split(":")[1] for name in system.atom_names]
    torsions = tuple(
        torsion_mixing(
            _label(system, names, atoms), atoms, torsion_angles(x, atoms), n_groups=n_groups
        )
        for atoms in rotatable_torsions(system)
    )
    warnings = tuple(
        sentence for torsion in torsions for sentence in _warnings(torsion, follows=follows)
    )
    return MixingReport(torsions, warnings)


def rotatable_torsions(system: MolecularSystem) -> tuple[Quadruple, ...]:
    """One torsion for each bond that is in no ring and has neighbours on both sides.

    Of the neighbours that one counts from which the chain goes on furthest (most neighbours but
    hydrogen), of equals the heaviest, then the first: phi is C-N-CA-C. Bonds whose end carries
    only hydrogens (methyl, amino, hydroxyl rotors) are included.
    """
    neighbours: list[set[int]] = [set() for _ in range(system.n_atoms)]
    for i, j in system.bonds:
        neighbours[i].add(j)
        neighbours[j].add(i)
    masses = system.masses

    branching = [sum(system.elements[b] != "H" for b in near) for near in neighbours]

    def onward(atom: int, other: int) -> int:
        rest = neighbours[atom] - {other}
        return min(rest, key=lambda a: (-branching[a], -masses[a], a))

    found = []
    for i, j in system.bonds:
        ends = len(neighbours[i]) > 1 and len(neighbours[j]) > 1
        if ends and not _in_ring(neighbours, i, j):
            found.append((onward(i, j), i, j, onward(j, i)))
    return tuple(found)


def torsion_angles(x: np.ndarray, atoms: Sequence[int]) -> np.ndarray:
    """Torsion about the bond atoms[1]-atoms[2], IUPAC sign.

    Args:
        x: Positions, shape (..., n_atoms, 3).
        atoms: Four atoms.

    Returns:
        Radians in (-pi, pi], shape (...).
    """
    a, b, c, d = (x[..., i, :].astype(np.float64) for i in atoms)
    axis = c - b
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    first, last = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = np.einsum("...i,...i->...", np.cross(first, last), axis)
    return np.asarray(np.arctan2(sine, np.einsum("...i,...i->...", first, last)))


def torsion_mixing(
    name: str, atoms: Quadruple, angles: np.ndarray, *, n_groups: int | None = None
) -> TorsionMixing:
    """Mixing statistics of one torsion.

    Args:
        name: What to call it.
        atoms: The four atoms.
        angles: Radians, shape (n_trajectories, n_frames).
        n_groups: See `check_mixing`.
    """
    n_groups = len(angles) if n_groups is None else n_groups
    angles = angles[: len(angles) // n_groups * n_groups]
    grouped = angles.reshape(n_groups, -1, angles.shape[1])
    # Frame by frame, all trajectories of a group, so that halves are halves in time.
    joined = grouped.transpose(0, 2, 1).reshape(n_groups, -1)
    cosine, sine = np.cos(joined), np.sin(joined)
    moves = cosine.var() + sine.var() > _RIGID
    return TorsionMixing(
        name=name,
        atoms=atoms,
        fraction_positive=(joined > 0).mean(axis=1),
        n_transitions=_transitions(angles).reshape(n_groups, -1).sum(axis=1),
        rhat=max(split_rhat(cosine), split_rhat(sine)) if moves else 1.0,
        drift=min(drift_p_value(np.cos(angles)), drift_p_value(np.sin(angles))) if moves else 1.0,
        length=_lengths(angles) if moves else np.inf,
    )


def _lengths(angles: np.ndarray) -> float:
    time = relaxation_time(angles)
    return angles.shape[1] / time if time > 0 else np.inf


def relaxation_time(angles: np.ndarray) -> float:
    """Time in frames to forget whether a torsion began in a rotamer, by counting its entries.

    With population p and n entries in N frames, entries and exits take p (1 - p) N / n: exact for
    two states without memory. The slowest of the three ranges of 120 degrees counts. Trajectories
    that are all short of it agree with each other and with themselves, wherever they began.

    Args:
        angles: Radians, shape (n_trajectories, n_frames).

    Returns:
        0 if one rotamer holds all but a thousandth; infinite if one is never entered nor left.
    """
    rotamer = (np.mod(angles, 2 * np.pi) // (2 * np.pi / 3)).astype(np.int64)
    slowest = 0.0
    for k in range(3):
        inside = rotamer == k
        p = float(inside.mean())
        if _RARE < p < 1 - _RARE:
            n_entries = int((inside[:, 1:] & ~inside[:, :-1]).sum())
            slowest = max(slowest, p * (1 - p) * inside.size / n_entries if n_entries else np.inf)
    return slowest


def drift_p_value(series: np.ndarray) -> float:
    """Whether trajectories began elsewhere than they end: p-value of Student's t-test.

    The last half of each minus its first tenth; the trajectories are independent, so that no
    correlation time is needed.

    Args:
        series: Shape (n_trajectories, n_frames).

    Returns:
        1 for fewer than 8 trajectories, which cannot tell.

    References:
        Geweke, Bayesian Statistics 4, 169 (1992), for one chain.
    """
    n_trajectories, n_frames = series.shape
    if n_trajectories < _MIN_FOR_DRIFT:
        return 1.0
    first = series[:, : max(1, n_frames // 10)].mean(axis=1)
    change = series[:, n_frames // 2 :].mean(axis=1) - first
    if not change.std() > 0:
        return 1.0 if change[0] == 0 else 0.0
    return float(stats.ttest_1samp(change, 0.0).pvalue)


def split_rhat(series: np.ndarray) -> float:
    """Gelman and Rubin's potential scale reduction over half trajectories.

    Args:
        series: Shape (n_trajectories, n_frames), at least 4 frames.

    References:
        Gelman et al., Bayesian Data Analysis, 3rd edition (2013), section 11.4.
    """
    half = series.shape[1] // 2
    parts = np.concatenate([series[:, :half], series[:, -half:]])
    within = parts.var(axis=1, ddof=1).mean()
    between = half * parts.mean(axis=1).var(ddof=1)
    if within <= 0:
        return 1.0 if between <= 0 else float("inf")
    return float(np.sqrt((half - 1) / half + between / (half * within)))


def _transitions(angles: np.ndarray) -> np.ndarray:
    sign = np.sign(angles)
    crossing = sign[:, 1:] != sign[:, :-1]
    return np.asarray(crossing.sum(axis=1))


def _in_ring(neighbours: list[set[int]], i: int, j: int) -> bool:
    """Whether j can be reached from i without the bond between them."""
    seen, front = {i}, neighbours[i] - {j}
    while front:
        seen |= front
        front = set().union(*(neighbours[a] for a in front)) - seen
    return j in seen


def _label(system: MolecularSystem, names: list[str], atoms: Quadruple) -> str:
    chain = "-".join(names[i] for i in atoms)
    known = {"C-N-CA-C": " (phi)", "N-CA-C-N": " (psi)"}
    residue = system.atom_names[atoms[2 if chain == "C-N-CA-C" else 1]].split(":")[0]
    return f"{residue} {chain}{known.get(chain, '')}"


def _warnings(torsion: TorsionMixing, *, follows: bool) -> list[str]:
    found = []
    low, high = torsion.fraction_positive.min(), torsion.fraction_positive.max()
    if not torsion.rhat <= _MAX_RHAT:
        found.append(
            f"Torsion {torsion.name}: trajectories disagree (R-hat {torsion.rhat:.2f}; the "
            f"fraction above 0 runs from {low:.3f} to {high:.3f}): run longer, or at a higher "
            "temperature."
        )
    if torsion.drift < _DRIFTED:
        found.append(
            f"Torsion {torsion.name}: the first frames are distributed otherwise than the last (p "
            f"= {torsion.drift:.1g}): equilibrate longer."
        )
    if follows and torsion.length < _SHORT:
        found.append(
            f"Torsion {torsion.name}: a trajectory is only {torsion.length:.1f} times as long as a "
            "rotamer takes to be entered and left, and remembers where it started: run fewer, "
            "longer ones."
        )
    total = int(torsion.n_transitions.sum())
    both = _RARE < torsion.fraction_positive.mean() < 1 - _RARE
    if both and total < _MIN_TRANSITIONS:
        found.append(
            f"Torsion {torsion.name}: only {total} changes of sign in all trajectories together, "
            "so the weights of the two sides are hardly known."
        )
    return found
