"""Command-line arguments that the scripts for molecules share."""

import argparse
import math
from pathlib import Path

import torch

from systems.molecules import (
    DEFAULT_SYSTEM,
    MolecularSystem,
    default_cache_dir,
    from_amber,
    from_pdb,
    from_xml,
    named,
    system_names,
)


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


def positive_count(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


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
    given = {
        name
        for name in ("system", "pdb", "forcefield", "prmtop", "inpcrd", "xml")
        if getattr(arguments, name) is not None
    }
    if given <= {"system"}:
        return named(arguments.system or DEFAULT_SYSTEM)
    if given == {"pdb", "forcefield"}:
        return from_pdb(arguments.pdb, arguments.forcefield)
    if given == {"prmtop", "inpcrd"}:
        return from_amber(arguments.prmtop, arguments.inpcrd)
    if given == {"xml", "pdb"}:
        return from_xml(arguments.xml, arguments.pdb)
    raise ValueError(
        "molecule: expected --system NAME, or --pdb with --forcefield, or --prmtop with --inpcrd, "
        f"or --xml with --pdb; got {', '.join('--' + name for name in sorted(given))}"
    )


def device(text: str) -> torch.device:
    """Read a device that is there."""
    try:
        found = torch.device(text)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(
            f"expected cpu or a device here, got {text!r}: {reason}"
        ) from None
    return found
