"""Which OpenMM systems have a density over all their atoms, and why the others are refused."""

from collections.abc import Sequence

import numpy as np
import openmm
from openmm import app

_N_SHOWN = 4
_REBUILD = "rebuild it with constraints=None, rigidWater=False (or constraints=app.HBonds)"


def check_supported(system: openmm.System, topology: app.Topology, positions: np.ndarray) -> None:
    """Raise ValueError unless p(x) ~ exp(-U(x)/kT) over all atoms makes sense and fits.

    Args:
        system: The OpenMM System.
        topology: Atoms and bonds of the same molecule.
        positions: In nm, shape (n_atoms, 3).
    """
    _check_sizes(system, topology, positions)
    _check_box(system)
    _check_forces(system)
    _check_particles(system, topology)
    _check_constraints(system, topology)


def _check_sizes(system: openmm.System, topology: app.Topology, positions: np.ndarray) -> None:
    n_atoms = system.getNumParticles()
    if n_atoms == 0:
        raise ValueError("system: expected at least one particle, got none")
    if topology.getNumAtoms() != n_atoms:
        raise ValueError(
            f"topology: expected {n_atoms} atoms as in the system, got {topology.getNumAtoms()}"
        )
    if positions.shape != (n_atoms, 3):
        raise ValueError(f"positions: expected shape ({n_atoms}, 3), got {positions.shape}")
    if not np.isfinite(positions).all():
        rows = np.flatnonzero(~np.isfinite(positions).all(axis=1)).tolist()
        raise ValueError(f"positions: expected finite values, got NaN or infinity in atoms {rows}")


def _check_box(system: openmm.System) -> None:
    if system.usesPeriodicBoundaryConditions():
        periodic = [
            type(force).__name__
            for force in system.getForces()
            if force.usesPeriodicBoundaryConditions()
        ]
        raise ValueError(
            f"system: expected no periodic box, got periodic {', '.join(periodic)}; build it "
            "with nonbondedMethod=app.NoCutoff, in vacuum or in implicit solvent"
        )


def _check_forces(system: openmm.System) -> None:
    for force in system.getForces():
        kind = type(force).__name__
        if "Barostat" in kind:
            raise ValueError(
                f"system: expected constant volume, got a {kind}; a molecule without a box has no "
                "volume to move: remove it"
            )
        if "Thermostat" in kind:
            raise ValueError(
                f"system: expected no thermostat of its own, got a {kind}; the temperature is set "
                "where the system is used: remove it"
            )
        if "Drude" in kind:
            raise ValueError(
                f"system: expected a force field of fixed charges, got a {kind}; Drude particles "
                "are not atoms with a Boltzmann density: use a non-polarisable force field"
            )


def _check_particles(system: openmm.System, topology: app.Topology) -> None:
    atoms = list(topology.atoms())
    virtual = [i for i in range(len(atoms)) if system.isVirtualSite(i)]
    if virtual:
        raise ValueError(
            f"system: expected no virtual sites, got {_named(atoms, virtual)}; they have no "
            "density of their own: use a force field (or water model) without them"
        )
    massless = [i for i in range(len(atoms)) if system.getParticleMass(i)._value <= 0]
    if massless:
        raise ValueError(
            f"system: expected positive masses, got 0 for {_named(atoms, massless)}; OpenMM "
            "would hold these atoms in place: give them their masses"
        )
    no_element = [a.index for a in atoms if a.element is None]
    if no_element:
        raise ValueError(
            f"topology: expected an element for every atom, got none for "
            f"{_named(atoms, no_element)}"
        )


def _check_constraints(system: openmm.System, topology: app.Topology) -> None:
    bonds = {frozenset((b[0].index, b[1].index)) for b in topology.bonds()}
    pairs = (system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints()))
    odd = [(i, j) for i, j in pairs if frozenset((i, j)) not in bonds]
    if odd:
        atoms = list(topology.atoms())
        shown = ", ".join(f"{atoms[i].name}-{atoms[j].name} ({i}, {j})" for i, j in odd[:_N_SHOWN])
        raise ValueError(
            f"system: expected constraints along bonds only, got {len(odd)} that fix an angle "
            f"(HAngles or rigid water), such as {shown}; {_REBUILD}"
        )


def _named(atoms: Sequence[app.topology.Atom], indices: Sequence[int]) -> str:
    shown = [f"{atoms[i].residue.name}:{atoms[i].name} (atom {i})" for i in indices[:_N_SHOWN]]
    more = len(indices) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
