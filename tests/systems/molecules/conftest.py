"""Molecules that the tests of this folder share."""

import numpy as np
import openmm
import pytest
from openmm import app

from systems.molecules import MolecularSystem, named


@pytest.fixture(scope="session")
def alanine():
    return named("ala2/ff99sbildn-obc2")


@pytest.fixture(scope="session")
def constrained_alanine():
    return named("ala2/tsf")


def harmonic_pair(*, k=1000.0):
    """Two argon atoms with U = k r^2 / 2: exactly Z(T) ~ T^(3/2) and <U> = 3/2 kT."""
    system = openmm.System()
    topology = app.Topology()
    residue = topology.addResidue("PAR", topology.addChain())
    atoms = []
    for name in ("A1", "A2"):
        system.addParticle(40.0)
        atoms.append(topology.addAtom(name, app.Element.getBySymbol("Ar"), residue))
    topology.addBond(*atoms)
    bond = openmm.HarmonicBondForce()
    bond.addBond(0, 1, 0.0, k)
    system.addForce(bond)
    return MolecularSystem("pair", system, topology, np.array([[0.0, 0, 0], [0.05, 0, 0]]))


@pytest.fixture(scope="session")
def pair():
    return harmonic_pair()
