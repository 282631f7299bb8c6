"""The molecular systems that papers and reports here quote by name.

| name | force field and solvent | constraints | who uses it |
|---|---|---|---|
| ala2/vacuum | amber96, vacuum | none | first drafts |
| ala2/ff96-obc1 | amber96 + OBC1, mbondi2 radii, ACE surface term, dielectrics 1 and 78.5 | none | the default here; FAB, TA-BG, CMT (openmmtools AlanineDipeptideImplicit) |
| ala2/tsf | amber99sbildn + amber96_obc (OBC2), dielectrics 1 and 78.3 | 12 bonds to H | TSF, TRADE |
| ala2/ff99sbildn-obc2 | amber99sbildn + amber96_obc (OBC2), dielectrics 1 and 78.3 | none | ala2/tsf without constraints |

No cut-off anywhere. OBC1 enters as OpenMM's `implicit/obc1.xml`, a CustomGBForce; the Born radii
are mbondi2, which that file assigns by itself. `amber96_obc.xml` brings GBSAOBCForce, with the radii
of its own table (close to, but not, mbondi2) and a surface term of 2.25936 kJ/(mol nm^2).
The structure, ACE-ALA-NME of L-alanine, comes from `build.capped_alanine(1)`, minimised.
"""  # noqa: E501

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from systems.molecules.definition import MolecularSystem
from systems.molecules.loading import from_pdb

DEFAULT_SYSTEM = "ala2/ff96-obc1"


@dataclass(frozen=True)
class _Recipe:
    pdb: str
    forcefields: Sequence[str]
    constraints: str | None = None


_OBC2 = ("amber99sbildn.xml", "amber96_obc.xml")
_RECIPES = {
    "ala2/vacuum": _Recipe("ala2.pdb", ("amber96.xml",)),
    "ala2/ff96-obc1": _Recipe("ala2.pdb", ("amber96.xml", "implicit/obc1.xml")),
    "ala2/tsf": _Recipe("ala2.pdb", _OBC2, "HBonds"),
    "ala2/ff99sbildn-obc2": _Recipe("ala2.pdb", _OBC2),
}


def system_names() -> list[str]:
    """Names that `named` knows."""
    return sorted(_RECIPES)


def named(name: str) -> MolecularSystem:
    """Make a system by its name.

    Example:
        >>> named("ala2/tsf").n_constraints
        12

    Raises:
        ValueError: There is no such system; the message suggests the nearest and lists all.
    """
    if name not in _RECIPES:
        near = difflib.get_close_matches(name, system_names(), n=1, cutoff=0.0)[0]
        raise ValueError(
            f"name: no system {name!r}; did you mean {near!r}? Known: {', '.join(system_names())}"
        )
    recipe = _RECIPES[name]
    with resources.as_file(resources.files(__package__) / recipe.pdb) as path:
        return from_pdb(path, recipe.forcefields, name=name, constraints=recipe.constraints)
