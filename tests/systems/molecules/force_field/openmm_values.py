"""What OpenMM's Reference platform says, and the systems that the tests of this folder share."""

import itertools
from pathlib import Path

import numpy as np
import openmm
import torch
from openmm import app, unit

from systems.molecules.build import capped_alanine
from systems.molecules.force_field.compiler import inside_out, outside_in
from tests.sources import ROOT

DATA = Path(ROOT) / "tests" / "data"
DOUBLE = torch.float64
SCALES = (0.002, 0.02, 0.1, 0.3)


def reference(system, x):
    """Energies (B,) and gradients (B, n, 3) of OpenMM's Reference platform."""
    integrator = openmm.VerletIntegrator(0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    energies, gradients = [], []
    for row in x.detach().numpy():
        context.setPositions(row)
        state = context.getState(energy=True, forces=True)
        energies.append(state.getPotentialEnergy()._value)
        gradients.append(-state.getForces(asNumpy=True)._value)
    return torch.tensor(energies, dtype=DOUBLE), torch.tensor(np.array(gradients))


def assert_same_as_openmm(system, field, x, *, tolerance=1e-9):
    """Energies within tolerance in kJ/mol + 1e-11 relative, gradients within tolerance of their
    norm over a configuration; far tighter than anyone needs, so that a slip shows. The gradient
    is that of autograd, and the one that is written out."""
    x = x.detach().clone().requires_grad_()
    energy = field(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    again, rows = field.energy_and_gradient(inside_out(x.detach()))
    expected, slope = reference(system, x)
    size = slope.flatten(1).norm(dim=1)
    for value, derivative in ((energy, gradient), (again, outside_in(rows))):
        assert bool(((value - expected).abs() <= tolerance + 1e-11 * expected.abs()).all())
        error = (derivative - slope).flatten(1).norm(dim=1)
        assert bool((error <= tolerance * (1 + size)).all())


def structure(name):
    """Topology and positions in nm of "ala1" to "ala6" or of a file of tests/data."""
    if name.startswith("ala") and name[3:].isdigit():
        return capped_alanine(int(name[3:]))
    pdb = app.PDBFile(str(DATA / f"{name}.pdb"))
    return pdb.topology, np.array(pdb.positions.value_in_unit(unit.nanometer))


def as_one_residue(topology):
    """The same atoms with each cap made part of the residue next to it, as CHARMM has it."""
    found, atoms = app.Topology(), {}
    chain = found.addChain()
    inner = [r for r in topology.residues() if r.name not in ("ACE", "NME")]
    last = len(inner) - 1
    residues = [found.addResidue(r.name, chain) for r in inner]
    for residue in topology.residues():
        place = min(max(residue.index - 1, 0), last)
        for atom in residue.atoms():
            name = f"{atom.name}{residue.index}"
            atoms[atom] = found.addAtom(name, atom.element, residues[place])
    for bond in topology.bonds():
        found.addBond(atoms[bond[0]], atoms[bond[1]])
    return found


def shaken(positions, *, scales=SCALES, each=2, seed=0):
    """From thermal to violently distorted: positions + scale * normal, (scales * each, n, 3)."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.tensor(np.array(positions), dtype=DOUBLE)
    noise = torch.randn(len(scales), each, *centre.shape, generator=generator, dtype=DOUBLE)
    return (centre + torch.tensor(scales)[:, None, None, None] * noise).flatten(0, 1)


def particles(n):
    """A System of n particles without forces, and spread positions in nm."""
    system = openmm.System()
    for _ in range(n):
        system.addParticle(12.0)
    grid = np.array(list(itertools.product(range(3), repeat=3))[:n], dtype=float)
    return system, 0.25 * grid


def drug_like():
    """Ibuprofen with a generic force field: every bond, angle, torsion and pair has a term.

    The parameters are of usual size and follow no published force field: what is tested is the
    translation. Torsions are periodic ones and Ryckaert-Bellemans ones by turns.
    """
    topology, positions = structure("ibuprofen")
    rng = np.random.default_rng(3)
    system, atoms = openmm.System(), list(topology.atoms())
    for atom in atoms:
        system.addParticle(atom.element.mass)
    bonds = [(b[0].index, b[1].index) for b in topology.bonds()]
    near = {a.index: set() for a in atoms}
    for i, j in bonds:
        near[i].add(j)
        near[j].add(i)
    stretch, bend = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    periodic, polynomial = openmm.PeriodicTorsionForce(), openmm.RBTorsionForce()
    pairs = openmm.NonbondedForce()
    for i, j in bonds:
        stretch.addBond(i, j, np.linalg.norm(positions[i] - positions[j]), 2.5e5)
        for k in near[i] - {j}:
            for m in near[j] - {i, k}:
                if (k + m) % 2:
                    periodic.addTorsion(k, i, j, m, int(rng.integers(1, 4)), rng.normal(), 4.0)
                else:
                    polynomial.addTorsion(k, i, j, m, *rng.normal(0, 3, 6))
    for j, around in near.items():
        for i, k in itertools.combinations(sorted(around), 2):
            bend.addAngle(i, j, k, rng.uniform(1.8, 2.1), 400.0)
    charges = rng.normal(0, 0.3, len(atoms))
    sizes = {"H": (0.25, 0.06), "C": (0.34, 0.4), "O": (0.30, 0.8)}
    for atom, charge in zip(atoms, charges - charges.mean(), strict=True):
        pairs.addParticle(charge, *sizes[atom.element.symbol])
    pairs.createExceptionsFromBonds(bonds, 1 / 1.2, 0.5)
    for force in (stretch, bend, periodic, polynomial, pairs):
        system.addForce(force)
    return system, positions
