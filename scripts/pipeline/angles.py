"""The two torsions over which free-energy surfaces are drawn."""

from dataclasses import dataclass

import numpy as np

from systems.molecules import MolecularSystem
from systems.molecules.mixing import check_mixing, torsion_angles

Quadruple = tuple[int, int, int, int]


@dataclass(frozen=True)
class AnglePair:
    """Names and atoms of two torsions, and the residue whose phi and psi they are, or ""."""

    names: tuple[str, str]
    atoms: tuple[Quadruple, Quadruple]
    residue: str

    @property
    def is_ramachandran(self) -> bool:
        """Whether they are phi and psi."""
        return bool(self.residue)

    @property
    def is_alanine(self) -> bool:
        """Whether they are phi and psi of an alanine, whose basins have names."""
        return self.residue.startswith("ALA")

    @property
    def title(self) -> str:
        """Both names, and the residue."""
        of = f" of {self.residue}" if self.residue else ""
        return f"{self.names[0]} and {self.names[1]}{of}"

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
            residue = first.name.split()[0] if kind[0] else ""
            return AnglePair(named, (first.atoms, second.atoms), residue)
    return None
