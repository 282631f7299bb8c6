"""Structures made from internal coordinates, so that no structure file has to be borrowed."""

from dataclasses import dataclass

import numpy as np
from openmm import app

_ATOMS = {
    "ACE": ("HH31", "CH3", "HH32", "HH33", "C", "O"),
    "ALA": ("N", "H", "CA", "HA", "CB", "HB1", "HB2", "HB3", "C", "O"),
    "NME": ("N", "H", "C", "H1", "H2", "H3"),
}
_BONDS = {
    "ACE": (("CH3", "HH31"), ("CH3", "HH32"), ("CH3", "HH33"), ("CH3", "C"), ("C", "O")),
    "ALA": (("N", "H"), ("N", "CA"), ("CA", "HA"), ("CA", "CB"), ("CB", "HB1"), ("CB", "HB2"),
            ("CB", "HB3"), ("CA", "C"), ("C", "O")),
    "NME": (("N", "H"), ("N", "C"), ("C", "H1"), ("C", "H2"), ("C", "H3")),
}  # fmt: skip
_ALPHA = {"ACE": "CH3", "ALA": "CA", "NME": "C"}
_STAGGERED = (60.0, 180.0, -60.0)


@dataclass(frozen=True)
class _Place:
    """One atom: its bond (nm), angle and torsion (degrees) to three placed atoms."""

    atom: str
    reference: tuple[str, str, str]
    bond: float
    angle: float
    torsion: float


def capped_alanine(
    n_residues: int, *, phi: float = -80.0, psi: float = 80.0
) -> tuple[app.Topology, np.ndarray]:
    """Build ACE-(ALA)n-NME of L-alanine with all peptide bonds trans.

    Atoms come in AMBER order; for one residue the torsions are phi (4, 6, 8, 14) and
    psi (6, 8, 14, 16). Bond lengths and angles are typical ones: minimise before use.

    Args:
        n_residues: Number of alanines, at least 1.
        phi: Torsion C-N-CA-C of every residue, degrees.
        psi: Torsion N-CA-C-N of every residue, degrees.

    Returns:
        The topology and positions in nm, shape (12 + 10 n_residues, 3).

    Raises:
        ValueError: n_residues is below 1.
    """
    if n_residues < 1:
        raise ValueError(f"n_residues: expected at least 1, got {n_residues}")
    residues = ["ACE", *["ALA"] * n_residues, "NME"]
    placed: dict[str, np.ndarray] = {
        "0CH3": np.zeros(3),
        "0C": np.array([0.1522, 0.0, 0.0]),
    }
    start = placed["0C"] + np.array([0.0, 1.0, 0.0])
    placed["1N"] = _position(placed["0C"], placed["0CH3"], start, 0.1335, np.radians([116.6, 0.0]))
    for row in [*_backbone(n_residues, phi, psi), *_substituents(residues, phi)]:
        a, b, c = (placed[name] for name in row.reference)
        placed[row.atom] = _position(a, b, c, row.bond, np.radians([row.angle, row.torsion]))
    order = [f"{i}{atom}" for i, name in enumerate(residues) for atom in _ATOMS[name]]
    return _topology(residues), np.array([placed[name] for name in order])


def _position(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, bond: float, angles: np.ndarray
) -> np.ndarray:
    """Point at `bond` from a, angle to b, torsion about a-b to c; angles in radians, (2,)."""
    angle, torsion = angles
    axis = (a - b) / np.linalg.norm(a - b)
    normal = np.cross(b - c, axis)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, axis)
    turned = np.cos(torsion) * across + np.sin(torsion) * normal
    return np.asarray(a - bond * np.cos(angle) * axis + bond * np.sin(angle) * turned)


def _backbone(n_residues: int, phi: float, psi: float) -> list[_Place]:
    rows = []
    for i in range(1, n_residues + 1):
        before = "0CH3" if i == 1 else f"{i - 1}CA"
        n, ca, c = f"{i}N", f"{i}CA", f"{i}C"
        rows += [
            _Place(ca, (n, f"{i - 1}C", before), 0.1449, 121.9, 180.0),
            _Place(c, (ca, n, f"{i - 1}C"), 0.1522, 111.0, phi),
            _Place(f"{i + 1}N", (c, ca, n), 0.1335, 116.6, psi),
        ]
    last = n_residues + 1
    methyl = (f"{last}N", f"{last - 1}C", f"{last - 1}CA")
    return [*rows, _Place(f"{last}C", methyl, 0.1449, 121.9, 180.0)]


def _substituents(residues: list[str], phi: float) -> list[_Place]:
    rows = []
    for i, name in enumerate(residues):
        alpha, n, c = f"{i}{_ALPHA[name]}", f"{i}N", f"{i}C"
        if name != "NME":
            rows.append(_Place(f"{i}O", (c, alpha, f"{i + 1}N"), 0.1229, 120.4, 180.0))
        if name != "ACE":
            before = f"{i - 1}{_ALPHA[residues[i - 1]]}"
            rows.append(_Place(f"{i}H", (n, f"{i - 1}C", before), 0.101, 119.0, 0.0))
        if name == "ALA":
            rows.append(_Place(f"{i}HA", (alpha, n, f"{i - 1}C"), 0.109, 109.5, phi + 120.0))
            rows.append(_Place(f"{i}CB", (alpha, n, f"{i - 1}C"), 0.1526, 109.7, phi - 122.0))
        hydrogens, methyl = {
            "ACE": (("HH31", "HH32", "HH33"), (alpha, c, f"{i + 1}N")),
            "ALA": (("HB1", "HB2", "HB3"), (f"{i}CB", alpha, n)),
            "NME": (("H1", "H2", "H3"), (alpha, n, f"{i - 1}C")),
        }[name]
        for hydrogen, torsion in zip(hydrogens, _STAGGERED, strict=True):
            rows.append(_Place(f"{i}{hydrogen}", methyl, 0.109, 109.5, torsion))
    return rows


def _topology(residues: list[str]) -> app.Topology:
    topology = app.Topology()
    chain = topology.addChain()
    atoms = {}
    for i, name in enumerate(residues):
        residue = topology.addResidue(name, chain)
        for atom in _ATOMS[name]:
            element = app.Element.getBySymbol(atom[0])
            atoms[f"{i}{atom}"] = topology.addAtom(atom, element, residue)
        for a, b in _BONDS[name]:
            topology.addBond(atoms[f"{i}{a}"], atoms[f"{i}{b}"])
        if i:
            topology.addBond(atoms[f"{i - 1}C"], atoms[f"{i}N"])
    return topology
