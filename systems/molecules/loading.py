"""Molecular systems from the user's own files, with errors that say what to mend."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import openmm
from openmm import app, unit

from systems.molecules.definition import MolecularSystem
from systems.molecules.evaluation import EnergyPool

T = TypeVar("T")

IMPLICIT_SOLVENTS = {
    "hct": app.HCT,
    "obc1": app.OBC1,
    "obc2": app.OBC2,
    "gbn": app.GBn,
    "gbn2": app.GBn2,
}
_CONSTRAINTS = {None: None, "HBonds": app.HBonds, "AllBonds": app.AllBonds}
_COORDINATES_END = 54  # columns 31-54 of an ATOM record hold x, y, z
_N_ATOM_NAMES = 30


def from_pdb(
    path: str | Path,
    forcefields: Sequence[str],
    *,
    name: str | None = None,
    constraints: str | None = None,
) -> MolecularSystem:
    """Make a system from a PDB file and OpenMM force-field files; no cut-off, no box.

    A CRYST1 record is ignored. Dielectric constants are OpenMM's defaults: 1 inside the solute and
    78.3 (GBSAOBCForce of the older *_obc.xml) or 78.5 (implicit/*.xml) outside.

    Args:
        path: PDB file with every hydrogen.
        forcefields: Names such as ("amber99sbildn.xml", "amber96_obc.xml"), or paths.
        name: Name to print; by default the file's stem and the force fields' stems.
        constraints: None, "HBonds" or "AllBonds".

    Raises:
        FileNotFoundError: There is no such PDB file.
        ValueError: The file or the force field cannot be used; the message says how to mend it.
    """
    pdb = read_pdb(path)
    field = _forcefield(forcefields)
    _check_templates(field, pdb.topology, forcefields)
    system = field.createSystem(
        pdb.topology,
        nonbondedMethod=app.NoCutoff,
        constraints=_constraint(constraints),
        rigidWater=False,
    )
    stems = "+".join(Path(f).stem for f in forcefields)
    return MolecularSystem(
        name or f"{Path(path).stem}/{stems}", system, pdb.topology, _nanometers(pdb.positions)
    )


def from_amber(
    prmtop: str | Path,
    inpcrd: str | Path,
    *,
    implicit_solvent: str | None = None,
    name: str | None = None,
    constraints: str | None = None,
) -> MolecularSystem:
    """Make a system from AMBER topology and coordinate files; no cut-off, no box.

    The Born radii are those of the prmtop; dielectric constants are OpenMM's defaults, 1 and 78.5.

    Args:
        prmtop: AMBER topology with parameters.
        inpcrd: AMBER coordinates.
        implicit_solvent: None (vacuum), or one of "hct", "obc1", "obc2", "gbn", "gbn2".
        name: Name to print; by default the stem of prmtop and the solvent.
        constraints: None, "HBonds" or "AllBonds".

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file cannot be read, describes a periodic box, or does not fit the other.
    """
    solvent = _solvent(implicit_solvent)
    parameters = _parse("prmtop", prmtop, app.AmberPrmtopFile)
    coordinates = _parse("inpcrd", inpcrd, app.AmberInpcrdFile)
    if parameters.topology.getPeriodicBoxVectors() is not None:
        raise ValueError(
            f"prmtop: expected a molecule without a box, got a periodic box in {prmtop}; strip "
            "the water (cpptraj: strip :WAT,Na+,Cl-; box nobox) and use implicit solvent"
        )
    system = parameters.createSystem(
        nonbondedMethod=app.NoCutoff,
        constraints=_constraint(constraints),
        rigidWater=False,
        implicitSolvent=solvent,
    )
    label = name or f"{Path(prmtop).stem}/{implicit_solvent or 'vacuum'}"
    positions = _nanometers(coordinates.positions)
    return MolecularSystem(label, system, parameters.topology, positions)


def from_xml(
    system_xml: str | Path, pdb: str | Path, *, name: str | None = None
) -> MolecularSystem:
    """Make a system from a serialised OpenMM System and a PDB file with its topology.

    Bonds come from the PDB: standard residues by name, others from CONECT records.

    Args:
        system_xml: File written by `openmm.XmlSerializer.serialize(system)`.
        pdb: The same atoms in the same order.
        name: Name to print; by default the stem of system_xml.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file cannot be read, they do not fit together, or the energy changes when the
            whole molecule is moved or turned (restraints, walls, fields).
    """
    text = _existing("system_xml", system_xml).read_text()
    try:
        system = openmm.XmlSerializer.deserialize(text)
    except (openmm.OpenMMException, ValueError) as error:
        raise ValueError(f"system_xml: {system_xml} is not OpenMM XML ({error})") from error
    if not isinstance(system, openmm.System):
        kind = type(system).__name__
        raise ValueError(f"system_xml: expected a System, got a serialised {kind}: {system_xml}")
    structure = read_pdb(pdb)
    positions = _nanometers(structure.positions)
    label = name or Path(system_xml).stem
    molecule = MolecularSystem(label, system, structure.topology, positions)
    _check_invariant(molecule)
    return molecule


def read_pdb(path: str | Path) -> app.PDBFile:
    """Read a PDB file, refusing one that is missing, empty or cut short.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no atoms or an incomplete record.
    """
    lines = _existing("pdb", path).read_text(errors="replace").splitlines()
    n_records = 0
    for number, line in enumerate(lines, start=1):
        if not line.startswith(("ATOM", "HETATM")):
            continue
        n_records += 1
        if len(line.rstrip()) < _COORDINATES_END:
            raise ValueError(
                f"pdb: line {number} of {path} ends before its coordinates do; the file is "
                f"truncated: {line!r}"
            )
    if n_records == 0:
        raise ValueError(f"pdb: expected ATOM or HETATM records, got none in {path}")
    structure = _parse("pdb", path, app.PDBFile)
    structure.topology.setPeriodicBoxVectors(None)
    return structure


def forcefield_names() -> list[str]:
    """Names of the force-field files that come with OpenMM."""
    data = Path(app.__file__).parent / "data"
    return sorted(str(p.relative_to(data)) for p in data.rglob("*.xml"))


def _check_invariant(molecule: MolecularSystem) -> None:
    """Require an energy of internal coordinates alone, which is all that charts know."""
    turn = np.array([[0.0, -1.0, 0.0], [0.6, 0.0, -0.8], [0.8, 0.0, 0.6]])
    x = np.stack([molecule.positions, molecule.positions @ turn.T + np.array([0.3, -0.5, 0.7])])
    energies, _ = EnergyPool(molecule).evaluate(x)
    if np.isfinite(energies).all() and not np.isclose(
        energies[0], energies[1], rtol=1e-6, atol=1e-3
    ):
        raise ValueError(
            "system_xml: expected an energy that stays the same when the whole molecule moves or "
            f"turns, got {energies[0]:.6g} and {energies[1]:.6g} kJ/mol; remove position "
            "restraints, walls and external fields"
        )


def _existing(argument: str, path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{argument}: expected a file, got no such file: {path}")
    return path


def _parse(argument: str, path: str | Path, reader: Callable[[str], T]) -> T:
    text = str(_existing(argument, path))
    try:
        return reader(text)
    except Exception as error:  # OpenMM's parsers raise whatever the bad line happens to cause
        raise ValueError(
            f"{argument}: {text} cannot be read ({type(error).__name__}: {error}); it may be "
            "truncated or of another format"
        ) from error


def _forcefield(forcefields: Sequence[str]) -> app.ForceField:
    if isinstance(forcefields, str) or not forcefields:
        raise ValueError(
            f"forcefields: expected a sequence of XML names, such as ('amber99sbildn.xml',), "
            f"got {forcefields!r}"
        )
    known = forcefield_names()
    for entry in forcefields:
        if entry not in known and not Path(entry).is_file():
            near = difflib.get_close_matches(entry, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise ValueError(
                f"forcefields: no force-field file {entry!r}; {hint}It is neither a path nor one "
                f"of those that come with OpenMM: {', '.join(known)}"
            )
    try:
        return app.ForceField(*forcefields)
    except Exception as error:  # the XML may be anything
        raise ValueError(f"forcefields: {tuple(forcefields)} cannot be read ({error})") from error


def _check_templates(
    field: app.ForceField, topology: app.Topology, forcefields: Sequence[str]
) -> None:
    unmatched = field.getUnmatchedResidues(topology)
    if not unmatched:
        return
    residue = unmatched[0]
    atoms = [atom.name for atom in residue.atoms()]
    shown = ", ".join(atoms[:_N_ATOM_NAMES])
    others = f"; {len(unmatched)} residues do not match in all" if len(unmatched) > 1 else ""
    known = residue.name in field._templates
    if known:
        advice = (
            f"the force field knows {residue.name}, but with other atoms or bonds. If hydrogens "
            "are missing, add them with openmm.app.Modeller(...).addHydrogens(forcefield); if "
            "heavy atoms are missing, mend the file (for example with PDBFixer)"
        )
    else:
        advice = (
            f"the force field has no {residue.name}. Give a force field that has it, rename the "
            "residue, or bring your own parameters as (prmtop, inpcrd) or as a serialised System"
        )
    raise ValueError(
        f"forcefields: no template in {', '.join(forcefields)} for residue {residue.name} "
        f"{residue.id} of {len(atoms)} atoms ({shown}){others}: {advice}"
    )


def _constraint(constraints: str | None) -> object:
    if constraints not in _CONSTRAINTS:
        raise ValueError(f"constraints: expected None, 'HBonds' or 'AllBonds', got {constraints!r}")
    return _CONSTRAINTS[constraints]


def _solvent(implicit_solvent: str | None) -> object:
    if implicit_solvent is None:
        return None
    if implicit_solvent not in IMPLICIT_SOLVENTS:
        raise ValueError(
            f"implicit_solvent: expected None or one of {', '.join(IMPLICIT_SOLVENTS)}, "
            f"got {implicit_solvent!r}"
        )
    return IMPLICIT_SOLVENTS[implicit_solvent]


def _nanometers(positions: unit.Quantity) -> np.ndarray:
    return np.array(positions.value_in_unit(unit.nanometer), dtype=np.float64)
