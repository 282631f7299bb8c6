"""A molecule with its force field: what every target, chart and simulation here starts from."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import openmm
from openmm import app, unit

from systems.molecules.validity import check_supported

Bond = tuple[int, int]
Constraint = tuple[int, int, float]


@dataclass(frozen=True, eq=False)
class MolecularSystem:
    """An OpenMM System, its topology and reference positions, checked when it is made.

    It pickles (the System as XML), so it can be sent to worker processes. Treat it as a value:
    changing `system` or `topology` after construction makes `content_hash` a lie.

    Args:
        name: Name that is printed beside every number, such as "ala2/ff99sbildn-obc2".
        system: The OpenMM System; not periodic, no barostat, no virtual sites, no Drude particles.
        topology: Its atoms and bonds, in the same order.
        positions: Reference configuration in nm, shape (n_atoms, 3).

    Raises:
        ValueError: The parts do not fit together, or the system is of a kind that has no
            configurational density over its atoms (the message says which and what to do).
    """

    name: str
    system: openmm.System
    topology: app.Topology
    positions: np.ndarray

    def __post_init__(self) -> None:
        positions = np.array(self.positions, dtype=np.float64)
        positions.setflags(write=False)
        object.__setattr__(self, "positions", positions)
        check_supported(self.system, self.topology, positions)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.system.getNumParticles())

    @cached_property
    def bonds(self) -> tuple[Bond, ...]:
        """Bonds of the topology as sorted pairs of atom indices, sorted."""
        return tuple(sorted(_pair(b[0].index, b[1].index) for b in self.topology.bonds()))

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Element symbol of every atom."""
        return tuple(atom.element.symbol for atom in self.topology.atoms())

    @cached_property
    def atom_names(self) -> tuple[str, ...]:
        """Names such as "ALA2:CA", one per atom."""
        return tuple(f"{a.residue.name}{a.residue.id}:{a.name}" for a in self.topology.atoms())

    @cached_property
    def masses(self) -> np.ndarray:
        """Masses in dalton, shape (n_atoms,)."""
        dalton = [self.system.getParticleMass(i) for i in range(self.n_atoms)]
        return np.array([mass.value_in_unit(unit.dalton) for mass in dalton])

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """Rigid bonds (i, j, length in nm); a chart has to freeze exactly these."""
        rows = (self.system.getConstraintParameters(k) for k in range(self.n_constraints))
        return tuple(sorted((*_pair(i, j), d.value_in_unit(unit.nanometer)) for i, j, d in rows))

    @property
    def n_constraints(self) -> int:
        """Number of rigid bonds."""
        return int(self.system.getNumConstraints())

    @cached_property
    def n_degrees_of_freedom(self) -> int:
        """Momenta that carry kT/2 each: 3 N, less constraints, less 3 if OpenMM stops drift."""
        drift = any(isinstance(f, openmm.CMMotionRemover) for f in self.system.getForces())
        return 3 * self.n_atoms - self.n_constraints - 3 * drift

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the serialised System and of atoms and bonds; the name does not enter."""
        digest = hashlib.sha256(openmm.XmlSerializer.serialize(self.system).encode())
        digest.update(json.dumps([self.atom_names, self.elements, self.bonds]).encode())
        return digest.hexdigest()

    def with_positions(self, positions: np.ndarray) -> "MolecularSystem":
        """Return the same system with other reference positions in nm, shape (n_atoms, 3)."""
        return MolecularSystem(self.name, self.system, self.topology, positions)


def _pair(i: int, j: int) -> Bond:
    return (i, j) if i < j else (j, i)
