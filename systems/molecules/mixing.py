"""Did the trajectories mix? Every rotatable bond of the molecule, compared between trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systems.molecules.definition import MolecularSystem

_MAX_RHAT = 1.05
_MIN_TRANSITIONS = 10
_RARE = 0.001
_RIGID = 1e-8  # variance of a torsion that is fixed but for rounding
Quadruple = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class TorsionMixing:
    """How one torsion mixes, over M trajectories.

    Args:
        name: Such as "ALA2 C-N-CA-C (phi)".
        atoms: The four atoms.
        fraction_positive: Fraction of frames with the torsion in (0, 180), shape (M,).
        n_transitions: Changes of its sign from one frame to the next, at 0 or at 180, shape (M,).
        rhat: Split R-hat, the larger of those of the cosine and the sine; 1 is mixed, inf where
            trajectories are stuck in different places; 1 for a torsion that never moves.
    """

    name: str
    atoms: Quadruple
    fraction_positive: np.ndarray
    n_transitions: np.ndarray
    rhat: float


@dataclass(frozen=True, eq=False)
class MixingReport:
    """Mixing of all rotatable torsions; `warnings` says in words what is wrong, if anything."""

    torsions: tuple[TorsionMixing, ...]
    warnings: tuple[str, ...]


def check_mixing(system: MolecularSystem, x: np.ndarray) -> MixingReport:
    """Compare rotatable torsions between and within trajectories.

    Args:
        system: The molecule; its bonds decide which torsions there are.
        x: Positions in nm, shape (n_trajectories, n_frames, n_atoms, 3).

    Returns:
        Statistics of every torsion and warnings in plain English.

    Raises:
        ValueError: x has another shape, or fewer than 4 frames per trajectory.
    """
    if x.ndim != 4 or x.shape[2:] != (system.n_atoms, 3) or x.shape[1] < 4:
        raise ValueError(
            f"x: expected shape (n_trajectories, at least 4 frames, {system.n_atoms}, 3), "
            f"got {x.shape}"
        )
    names = [name.split(":")[1] for name in system.atom_names]
    torsions = tuple(
        torsion_mixing(_label(system, names, atoms), atoms, torsion_angles(x, atoms))
        for atoms in rotatable_torsions(system)
    )
    warnings = tuple(sentence for torsion in torsions for sentence in _warnings(torsion))
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


def torsion_mixing(name: str, atoms: Quadruple, angles: np.ndarray) -> TorsionMixing:
    """Mixing statistics of one torsion.

    Args:
        name: What to call it.
        atoms: The four atoms.
        angles: Radians, shape (n_trajectories, n_frames).
    """
    cosine, sine = np.cos(angles), np.sin(angles)
    moves = cosine.var() + sine.var() > _RIGID
    return TorsionMixing(
        name=name,
        atoms=atoms,
        fraction_positive=(angles > 0).mean(axis=1),
        n_transitions=_transitions(angles),
        rhat=max(split_rhat(cosine), split_rhat(sine)) if moves else 1.0,
    )


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


def _warnings(torsion: TorsionMixing) -> list[str]:
    found = []
    low, high = torsion.fraction_positive.min(), torsion.fraction_positive.max()
    if not torsion.rhat <= _MAX_RHAT:
        found.append(
            f"Torsion {torsion.name}: trajectories disagree (R-hat {torsion.rhat:.2f}; the "
            f"fraction above 0 runs from {low:.3f} to {high:.3f}): run longer, or at a higher "
            "temperature."
        )
    total = int(torsion.n_transitions.sum())
    both = _RARE < torsion.fraction_positive.mean() < 1 - _RARE
    if both and total < _MIN_TRANSITIONS:
        found.append(
            f"Torsion {torsion.name}: only {total} changes of sign in all trajectories together, "
            "so the weights of the two sides are hardly known."
        )
    return found
