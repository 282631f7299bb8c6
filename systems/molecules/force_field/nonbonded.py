"""Forces between all pairs of atoms: Lennard-Jones, Coulomb, and custom expressions."""

from collections.abc import Mapping

import numpy as np
import openmm
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Value
from systems.molecules.force_field.geometry import Vector
from systems.molecules.force_field.reading import (
    Context,
    Numbers,
    check_particles,
    parameter_names,
    plain,
    table_functions,
)
from systems.molecules.force_field.terms import (
    Constants,
    Interactions,
    Term,
    at_ends,
    only,
    pair_vectors,
    within,
)

COULOMB = 138.93545764438198
"""1 / (4 pi epsilon0) in kJ nm / (mol e^2), OpenMM's value."""


class Cutoff(nn.Module):
    """What happens at a distance: nothing beyond it, a smooth switch before it.

    Args:
        distance: nm; None for no cutoff.
        switch: Where the switch begins, nm; None for none.
    """

    def __init__(self, distance: float | None = None, switch: float | None = None) -> None:
        super().__init__()
        self.distance, self.switch = distance, switch
        self.squared = None if distance is None else distance * distance

    def switched(self, energy: Tensor, r: Tensor) -> Tensor:
        """Energy times the switching function, without the cut."""
        if self.distance is None or self.switch is None:
            return energy
        t = ((r - self.switch) / (self.distance - self.switch)).clamp_min(0)
        return energy * (1 + t * t * t * (-10 + t * (15 - 6 * t)))


class ReactionField(nn.Module):
    """Coulomb interaction in a sphere inside a dielectric: q (1 / r + k r^2 - c).

    Args:
        distance: Radius of the sphere, nm; None for the plain 1 / r.
        dielectric: Relative permittivity outside.
    """

    def __init__(self, distance: float | None, dielectric: float) -> None:
        super().__init__()
        self.k, self.c = 0.0, 0.0
        if distance is not None:
            self.k = (dielectric - 1) / (2 * dielectric + 1) / distance**3
            self.c = 3 * dielectric / (2 * dielectric + 1) / distance

    def forward(self, inverse: Tensor, squared: Tensor) -> Tensor:
        """Value for a unit charge product over `COULOMB`, from 1 / r and r^2."""
        return inverse if self.c == 0 else inverse + self.k * squared - self.c


class PairPotential(Interactions):
    """Lennard-Jones and Coulomb energy of listed pairs.

    Args:
        pairs: Shape (M, 2).
        parameters: `charge` (product times `COULOMB`), `sigma`, `epsilon`, each (M,).
        cutoff: Of both parts; switches the Lennard-Jones part.
        field: The Coulomb part.
    """

    def __init__(
        self,
        pairs: np.ndarray,
        parameters: Mapping[str, np.ndarray],
        cutoff: Cutoff,
        field: ReactionField,
    ) -> None:
        super().__init__(pair_vectors(pairs))
        self.constants = Constants(parameters)
        self.cutoff, self.field = cutoff, field

    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each pair, from the inverse distance: its slope takes no division."""
        near, squared = within(geometry.dot(vectors[0], vectors[0]), self.cutoff.squared)
        inverse = squared.rsqrt()
        known = self.constants.like(inverse)
        ratio = known["sigma"] * inverse
        ratio = ratio * ratio
        sixth = ratio * ratio * ratio
        vdw = 4 * known["epsilon"] * (sixth * (sixth - 1))
        vdw = self.cutoff.switched(vdw, squared * inverse)
        return only(near, vdw + known["charge"] * self.field(inverse, squared))


def nonbonded(force: openmm.NonbondedForce, context: Context) -> list[Term]:
    """Lennard-Jones and Coulomb forces with exceptions and offsets.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    cutoff = _switched_cutoff(force)
    field = ReactionField(cutoff.distance, force.getReactionFieldDielectric())
    particles, exceptions = _particles(force, context.numbers), _exceptions(force, context.numbers)
    charge, sigma, epsilon = particles.T
    i, j = np.triu_indices(context.n_atoms, 1)
    free = np.array(
        [pair not in exceptions for pair in zip(i.tolist(), j.tolist(), strict=True)], dtype=bool
    )
    i, j = i[free], j[free]
    mixed = {
        "charge": COULOMB * charge[i] * charge[j],
        "sigma": 0.5 * (sigma[i] + sigma[j]),
        "epsilon": np.sqrt(epsilon[i] * epsilon[j]),
    }
    pairs = np.stack([i, j], axis=1)
    terms: list[Term] = []
    if len(pairs):
        terms.append(PairPotential(pairs, mixed, cutoff, field))
    kept = {pair: row for pair, row in exceptions.items() if row[0] != 0 or row[2] != 0}
    if kept:
        charge, sigma, epsilon = np.array(list(kept.values())).T
        own = {"charge": COULOMB * charge, "sigma": sigma, "epsilon": epsilon}
        terms.append(PairPotential(np.array(list(kept)), own, Cutoff(), ReactionField(None, 1.0)))
    return terms


def _particles(force: openmm.NonbondedForce, numbers: Numbers) -> np.ndarray:
    """Charge, sigma, epsilon of each particle at the values of the globals, shape (n, 3)."""
    count = force.getNumParticles()
    found = np.array([plain(force.getParticleParameters(k)) for k in range(count)])
    for k in range(force.getNumParticleParameterOffsets()):
        name, particle, *scales = force.getParticleParameterOffset(k)
        found[particle] += numbers[name] * np.array(scales)
    return found


def _exceptions(
    force: openmm.NonbondedForce, numbers: Numbers
) -> dict[tuple[int, int], np.ndarray]:
    """Charge product, sigma, epsilon of each exception i < j at the values of the globals."""
    rows = [force.getExceptionParameters(k) for k in range(force.getNumExceptions())]
    values = [np.array(plain(row[2:])) for row in rows]
    for k in range(force.getNumExceptionParameterOffsets()):
        name, exception, *scales = force.getExceptionParameterOffset(k)
        values[exception] += numbers[name] * np.array(scales)
    return {(min(row[:2]), max(row[:2])): value for row, value in zip(rows, values, strict=True)}


def _switched_cutoff(force: openmm.Force) -> Cutoff:
    """The cutoff of a force, with its switch if it has one."""
    distance = cutoff_distance(force)
    if distance is None or not force.getUseSwitchingFunction():
        return Cutoff(distance)
    return Cutoff(distance, plain([force.getSwitchingDistance()])[0])


def cutoff_distance(force: openmm.Force) -> float | None:
    """Cutoff in nm, or None.

    Raises:
        ValueError: The method is a periodic one.
    """
    method = force.getNonbondedMethod()
    if method == type(force).NoCutoff:
        return None
    if method == type(force).CutoffNonPeriodic:
        return plain([force.getCutoffDistance()])[0]
    raise ValueError(
        f"system: expected {type(force).__name__} with NoCutoff or CutoffNonPeriodic, got a "
        "periodic method; there is no box here"
    )


class CustomPairs(Interactions):
    """Sum over listed pairs of an expression of r and of the parameters of both atoms.

    Args:
        pairs: Shape (M, 2); the atom called 1 is the first.
        counts: How often each counts, (M,).
        expression: Of r, name1 and name2 for each parameter or computed value, and globals.
        parameters: Of the atoms, each (n_atoms,).
        computed: Expressions of single atoms' parameters and of globals, by name.
        numbers: Global parameters.
        tables: Tabulated functions by name.
        cutoff: Cutoff with its switch.
    """

    def __init__(  # noqa: PLR0913
        self,
        pairs: np.ndarray,
        counts: np.ndarray,
        expression: Expression,
        parameters: Mapping[str, np.ndarray],
        computed: Mapping[str, Expression],
        numbers: Numbers,
        *,
        tables: nn.ModuleDict,
        cutoff: Cutoff,
    ) -> None:
        super().__init__(pair_vectors(pairs))
        self.names, self.constants = tuple(parameters), Constants(at_ends(parameters, pairs))
        self.counts = Constants({"counts": counts})
        self.expression, self.computed = expression, dict(computed)
        self.numbers, self.tables, self.cutoff = dict(numbers), tables, cutoff

    def energies(self, *vectors: Vector) -> Tensor:
        """Energy of each pair."""
        near, r = within(geometry.norm(vectors[0]), self.cutoff.distance)
        values: dict[str, Value] = {**self.numbers, **self.constants.like(r), "r": r}
        for end in "12":
            own = {**self.numbers, **{name: values[f"{name}{end}"] for name in self.names}}
            for name, expression in self.computed.items():
                values[f"{name}{end}"] = expression(own, like=r)
        energy = self.cutoff.switched(self.expression(values, like=r).expand_as(r), r)
        return only(near, energy) * self.counts.like(r)["counts"]


def custom_nonbonded(force: openmm.CustomNonbondedForce, context: Context) -> list[Term]:
    """An expression of r and the parameters of both atoms, over all pairs or groups of them.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    rows = [force.getParticleParameters(k) for k in range(context.n_atoms)]
    values = np.array(rows, dtype=np.float64).reshape(context.n_atoms, -1)
    tables = table_functions(force)
    computed = {}
    for k in range(force.getNumComputedValues()):
        name, text = force.getComputedValueParameters(k)
        computed[name] = Expression(text, dict(tables))
    counts = _counts(force, context.n_atoms)
    pairs = np.argwhere(counts)
    if not len(pairs):
        return []
    return [CustomPairs(
        pairs, counts[pairs[:, 0], pairs[:, 1]],
        Expression(force.getEnergyFunction(), dict(tables)),
        {name: values[:, k] for k, name in enumerate(parameter_names(force))}, computed,
        context.numbers, tables=tables, cutoff=_switched_cutoff(force),
    )]  # fmt: skip


def _counts(force: openmm.CustomNonbondedForce, n_atoms: int) -> np.ndarray:
    """How often each pair counts: once, or as often as the interaction groups say; (n, n)."""
    counts = np.triu(np.ones((n_atoms, n_atoms)), 1)
    if force.getNumInteractionGroups() > 0:
        counts[:] = 0.0
    for k in range(force.getNumInteractionGroups()):
        first, second = (set(group) for group in force.getInteractionGroupParameters(k))
        twice = first & second
        for i in first:
            for j in second:
                if i != j and not (i > j and i in twice and j in twice):
                    counts[i, j] += 1
    for k in range(force.getNumExclusions()):
        i, j = force.getExclusionParticles(k)
        counts[i, j] = counts[j, i] = 0.0
    return counts
