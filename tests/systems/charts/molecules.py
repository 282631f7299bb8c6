"""Molecules for the tests of charts: structures, energies, and short dynamics at 600 K."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import openmm
import torch
from openmm import app, unit

from systems.charts import InternalChart, fit_chart
from systems.charts.zmatrix import neighbours

FOLDER = Path(__file__).parents[2] / "data"
PEPTIDES = ("ala", "ala3", "gly", "his", "ile", "lys", "phe", "pro", "thr", "trp", "val")
OTHERS = (
    "ammonia", "benzene", "cyclohexane", "ethane", "ethanol", "hydrogen_peroxide", "methanol",
    "water",
)  # fmt: skip
RINGS = {"his": 1, "phe": 1, "pro": 1, "trp": 2, "benzene": 1, "cyclohexane": 1}
TEMPERATURE = 600 * unit.kelvin


@dataclass(frozen=True, eq=False)
class Molecule:
    """A molecule with its energy; `elements` and `bonds` are what a chart needs to know."""

    name: str
    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    names: tuple[str, ...]
    start: np.ndarray
    context: openmm.Context

    @property
    def constraints(self):
        """Rigid bonds (i, j, length in nm)."""
        system = self.context.getSystem()
        rigid = map(system.getConstraintParameters, range(system.getNumConstraints()))
        return [(i, j, length.value_in_unit(unit.nanometer)) for i, j, length in rigid]

    def energies(self, x):
        """Potential energy of each configuration, (B, n, 3) -> (B,), kJ/mol."""
        found = []
        for positions in x.detach().double().numpy():
            self.context.setPositions(positions)
            energy = self.context.getState(getEnergy=True).getPotentialEnergy()
            found.append(energy.value_in_unit(unit.kilojoule_per_mole))
        return torch.tensor(found, dtype=torch.float64)

    def dynamics(self, n_frames, *, stride=5):
        """Configurations (n_frames, n, 3) in nm, `stride` fs apart, at 600 K from the start."""
        integrator = self.context.getIntegrator()
        integrator.setRandomNumberSeed(5)
        self.context.setPositions(self.start)
        self.context.applyConstraints(1e-8)
        self.context.setVelocitiesToTemperature(TEMPERATURE, 3)
        integrator.step(100)
        frames = []
        for _ in range(n_frames):
            integrator.step(stride)
            state = self.context.getState(getPositions=True)
            frames.append(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        return torch.from_numpy(np.array(frames))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A molecule, configurations of it at 600 K and the chart fitted to them."""

    molecule: Molecule
    x: torch.Tensor
    chart: InternalChart


@cache
def load(name, constraints=None):
    """Read a structure and give it a force field: AMBER 14 for peptides, springs for others."""
    pdb = app.PDBFile(str(FOLDER / f"{name}.pdb"))
    bonds = tuple((a.index, b.index) for a, b in pdb.topology.bonds())
    start = pdb.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    atoms = list(pdb.topology.atoms())
    elements = tuple(atom.element.symbol for atom in atoms)
    if name in PEPTIDES:
        forcefield = app.ForceField("amber14-all.xml")
        system = forcefield.createSystem(pdb.topology, constraints=constraints)
    else:
        system = springs(start, bonds, elements)
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, 5 / unit.picosecond, 0.001)
    integrator.setConstraintTolerance(1e-8)
    return Molecule(
        name=name,
        elements=elements,
        bonds=bonds,
        names=tuple(f"{atom.residue.index}:{atom.name}" for atom in atoms),
        start=start,
        context=openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference")),
    )


@cache
def fitted(name):
    """Short dynamics of a molecule and its chart."""
    molecule = load(name)
    x = molecule.dynamics(12 * (3 * len(molecule.elements) - 6))
    return Fitted(molecule, x, fit_chart(x, bonds=molecule.bonds, elements=molecule.elements))


def springs(start, bonds, elements):
    """Harmonic bonds and angles, at rest at the means over like elements, and torsions."""
    system, graph = openmm.System(), neighbours(len(elements), bonds)
    for symbol in elements:
        system.addParticle(app.Element.getBySymbol(symbol).mass)
    stretch, bend = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    twist = openmm.PeriodicTorsionForce()
    for atoms, rest in at_rest(bonds, elements, lambda atoms: distance(start[atoms])):
        stretch.addBond(*atoms, rest, 3e5)
    chains = [(i, j, k) for j, near in enumerate(graph) for i, k in combinations(near, 2)]
    for atoms, rest in at_rest(chains, elements, lambda atoms: bend_angle(start[atoms])):
        bend.addAngle(*atoms, rest, 400.0)
    is_flat = len(elements) > 6 and all(len(near) < 4 for near in graph)
    fold, phase, barrier = (2, np.pi, 15.0) if is_flat else (3, 0.0, 2.0)
    for i, j in bonds:
        for h, k in ((h, k) for h in graph[i] for k in graph[j] if len({h, i, j, k}) == 4):
            twist.addTorsion(h, i, j, k, fold, phase, barrier)
    for force in (stretch, bend, twist):
        system.addForce(force)
    return system


def at_rest(terms, elements, measure):
    """Pairs of atoms and rest value; terms of the same elements share the mean of theirs."""
    found = defaultdict(list)
    key = {atoms: min([(w := [elements[a] for a in atoms]), w[::-1]]) for atoms in terms}
    for atoms in terms:
        found[tuple(key[atoms])].append(measure(list(atoms)))
    return [(atoms, np.mean(found[tuple(key[atoms])])) for atoms in terms]


def distance(x):
    """Distance of two points, nm."""
    return np.linalg.norm(x[0] - x[1])


def bend_angle(x):
    """Angle of three points at the second, rad."""
    u, v = x[0] - x[1], x[2] - x[1]
    return np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v)


def rotated(x, generator):
    """Each configuration turned and shifted at random."""
    turn, upper = torch.linalg.qr(torch.randn(len(x), 3, 3, generator=generator, dtype=x.dtype))
    turn = turn * upper.diagonal(dim1=1, dim2=2).sign()[:, None]
    turn = turn * torch.linalg.det(turn)[:, None, None]
    return x @ turn + torch.randn(len(x), 1, 3, generator=generator, dtype=x.dtype)


def mirrored(x):
    """The other hand of each configuration."""
    return x * x.new_tensor([-1.0, 1.0, 1.0])
