"""Command-line arguments that the scripts for molecules share."""

import argparse
import math
from pathlib import Path

from boltzgen.errors import CorruptFileError, NonFiniteError, NotConvergedError
from systems.molecules import (
    DEFAULT_SYSTEM,
    CorruptCacheError,
    MolecularSystem,
    SimulationError,
    default_cache_dir,
    from_amber,
    from_pdb,
    from_xml,
    named,
    system_names,
)
from systems.molecules.loading import IMPLICIT_SOLVENTS

EXPECTED = (
    ValueError, OSError, NonFiniteError, NotConvergedError, CorruptFileError, CorruptCacheError,
    SimulationError,
)  # fmt: skip
"""What a script for molecules turns into one line on the terminal."""
_OPTIONS = {
    "name": "--system", "pdb": "--pdb", "forcefields": "--forcefield", "prmtop": "--prmtop",
    "inpcrd": "--inpcrd", "system_xml": "--xml", "implicit_solvent": "--solvent",
    "constraints": "--constraints",
}  # fmt: skip
_MOLECULE = ("system", "pdb", "forcefield", "prmtop", "inpcrd", "solvent", "xml", "constraints")


def temperature_range(text: str) -> tuple[float, float]:
    """Read "300:600" as a rising range of temperatures in K."""
    parts = text.split(":")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(
            f"expected a range LOW:HIGH in kelvin, such as 300:600, got {text!r}"
        )
    low, high = (_temperature(part, text) for part in parts)
    if not low < high:
        raise argparse.ArgumentTypeError(f"expected LOW below HIGH, such as 300:600, got {text!r}")
    return low, high


def temperature_list(text: str) -> tuple[float, ...]:
    """Read "300,400,500" as temperatures in K."""
    return tuple(_temperature(part, text) for part in text.split(","))


def _temperature(part: str, text: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(
            f"expected temperatures in kelvin above 0, got {part!r} in {text!r}"
        )
    return value


def add_molecule(parser: argparse.ArgumentParser) -> None:
    """Add the ways to say which molecule."""
    group = parser.add_argument_group("molecule (a name, or your own files)")
    add = group.add_argument
    add("--system", metavar="NAME",
        help=f"one of {', '.join(system_names())} (default {DEFAULT_SYSTEM})")  # fmt: skip
    add("--pdb", type=Path, metavar="FILE", help="structure with all hydrogens")
    add("--forcefield", nargs="+", metavar="XML",
        help="force-field files for --pdb, such as amber14-all.xml implicit/obc2.xml")  # fmt: skip
    add("--prmtop", type=Path, metavar="FILE", help="AMBER topology, with --inpcrd")
    add("--inpcrd", type=Path, metavar="FILE", help="AMBER coordinates, with --prmtop")
    add("--solvent", choices=sorted(IMPLICIT_SOLVENTS),
        help="implicit solvent for --prmtop (default: vacuum)")  # fmt: skip
    add("--constraints", choices=["HBonds", "AllBonds"],
        help="bonds held rigid, for --pdb and --prmtop (default: none)")  # fmt: skip
    add("--xml", type=Path, metavar="FILE",
        help="an OpenMM System written by XmlSerializer, with --pdb for its topology")  # fmt: skip


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add the place of simulations."""
    parser.add_argument(
        "--cache", type=Path, default=default_cache_dir(), metavar="DIR",
        help="where molecular dynamics and references are kept "
        "(default: $BOLTZGEN_CACHE or ~/.cache/boltzgen)",
    )  # fmt: skip


def load_molecule(arguments: argparse.Namespace) -> MolecularSystem:
    """The molecule that the arguments name.

    Raises:
        ValueError: The arguments contradict each other or something in them is unusable.
    """
    try:
        return _load_molecule(arguments)
    except (ValueError, FileNotFoundError) as error:
        name, _, mistake = str(error).partition(": ")
        if name not in _OPTIONS:
            raise
        raise ValueError(f"{_OPTIONS[name]}: {mistake}") from error


def _load_molecule(arguments: argparse.Namespace) -> MolecularSystem:
    given = {name for name in _MOLECULE if getattr(arguments, name) is not None}
    constraints, files = arguments.constraints, given - {"constraints", "solvent"}
    if given <= {"system"}:
        return named(DEFAULT_SYSTEM if arguments.system is None else arguments.system)
    if files == {"pdb", "forcefield"} and "solvent" not in given:
        return from_pdb(arguments.pdb, arguments.forcefield, constraints=constraints)
    if files == {"prmtop", "inpcrd"}:
        return from_amber(
            arguments.prmtop, arguments.inpcrd, implicit_solvent=arguments.solvent,
            constraints=constraints,
        )  # fmt: skip
    if given == {"xml", "pdb"}:
        return from_xml(arguments.xml, arguments.pdb)
    raise ValueError(
        "molecule: expected --system NAME, or --pdb with --forcefield, or --prmtop with --inpcrd, "
        "or --xml with --pdb; --solvent goes with --prmtop, --constraints with --pdb --forcefield "
        f"or --prmtop; got {', '.join('--' + name for name in sorted(given))}"
    )
