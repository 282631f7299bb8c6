"""The two torsions over which free-energy surfaces are drawn."""

from dataclasses import dataclass

import numpy as np

from systems.molecules import MolecularSystem
from systems.molecules.mixing import check_mixing, torsion_angles

Quadruple = tuple[int, int, int, int]


@dataclass(frozen=True)
class AnglePair:
    """Names and atoms of two torsions; `is_ramachandran` if they are phi and psi of one residue."""

    names: tuple[str, str]
    atoms: tuple[Quadruple, Quadruple]
    is_ramachandran: bool

    def measure(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both torsions of positions (..., n, 3), radians, float64."""
        first, second = (torsion_angles(x, atoms).astype(np.float64) for atoms in self.atoms)
        return first, second


def find_angles(system: MolecularSystem) -> AnglePair | None:
    """Phi and psi of the first residue that has both, else the first two rotatable torsions.

    Returns:
        None for a molecule with fewer than two.
    """
    still = np.repeat(system.positions[None, None].astype(np.float32), 4, axis=1)
    torsions = check_mixing(system, still).torsions
    for kind in (("phi", "psi"), ("", "")):
        picks = []
        for word in kind:
            rest = [t for t in torsions if t not in picks]
            match = next((t for t in rest if not word or f"({word})" in t.name), None)
            if match is not None:
                picks.append(match)
        if len(picks) == 2:
            first, second = picks
            named = (kind[0] or first.name, kind[1] or second.name)
            return AnglePair(named, (first.atoms, second.atoms), bool(kind[0]))
    return None
