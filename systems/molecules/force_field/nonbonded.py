"""Forces between all pairs of atoms: Lennard-Jones, Coulomb, and custom expressions."""

from collections.abc import Mapping

import numpy as np
import openmm
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Value
from systems.molecules.force_field.reading import (
    Context,
    Numbers,
    check_particles,
    parameter_names,
    plain,
    table_functions,
)
from systems.molecules.force_field.terms import (
    Combinations,
    Constants,
    PairMask,
    Sum,
    Term,
    ordered,
    upper,
    vectors,
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

    def forward(self, r: Tensor) -> Tensor:
        """Value for a unit charge product over `COULOMB`."""
        return 1 / r if self.c == 0 else 1 / r + self.k * r * r - self.c


class PairPotential(Term):
    """Lennard-Jones and Coulomb energy of all pairs that count.

    Args:
        mask: Which do.
        parameters: `charge` (product times `COULOMB`), `sigma`, `epsilon`, each (n, n).
        cutoff: Of both parts; switches the Lennard-Jones part.
        field: The Coulomb part.
    """

    needs_distances = True

    def __init__(
        self,
        mask: PairMask,
        parameters: Mapping[str, np.ndarray],
        cutoff: Cutoff,
        field: ReactionField,
    ) -> None:
        super().__init__()
        self.mask, self.constants = mask, Constants(parameters)
        self.cutoff, self.field = cutoff, field

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy of all pairs."""
        near, r = self.mask.within(r, self.cutoff.distance)
        energy = pair_energy(self.constants.like(x), r, self.cutoff, self.field)
        return self.mask.only(near, energy).sum((0, 1))


class ListedPairs(Term):
    """Lennard-Jones and plain Coulomb energy of listed pairs.

    Args:
        pairs: Vectors between their atoms, M of them.
        parameters: As those of a PairPotential, each (M,).
    """

    def __init__(self, pairs: Combinations, parameters: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.pairs, self.constants = pairs, Constants(parameters)
        self.cutoff, self.field = Cutoff(), ReactionField(None, 1.0)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy of all pairs."""
        r = geometry.norm(self.pairs(x))
        return pair_energy(self.constants.like(x), r, self.cutoff, self.field).sum(0)


def pair_energy(
    parameters: Mapping[str, Tensor], r: Tensor, cutoff: Cutoff, field: ReactionField
) -> Tensor:
    """Lennard-Jones energy, switched, and Coulomb energy at distances r; nothing is cut."""
    ratio = parameters["sigma"] / r
    squared = ratio * ratio
    sixth = squared * squared * squared
    vdw = 4 * parameters["epsilon"] * (sixth * (sixth - 1))
    return cutoff.switched(vdw, r) + parameters["charge"] * field(r)


def nonbonded(force: openmm.NonbondedForce, context: Context) -> Term:
    """Lennard-Jones and Coulomb forces with exceptions and offsets.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    cutoff = _switched_cutoff(force)
    field = ReactionField(cutoff.distance, force.getReactionFieldDielectric())
    particles, exceptions = _particles(force, context.numbers), _exceptions(force, context.numbers)
    charge, sigma, epsilon = particles.T
    parameters = {
        "charge": COULOMB * np.outer(charge, charge),
        "sigma": 0.5 * (sigma[:, None] + sigma),
        "epsilon": np.sqrt(np.outer(epsilon, epsilon)),
    }
    mask = PairMask(upper(context.n_atoms, set(exceptions)))
    terms: list[Term] = [PairPotential(mask, parameters, cutoff, field)]
    kept = {pair: row for pair, row in exceptions.items() if row[0] != 0 or row[2] != 0}
    if kept:
        charge, sigma, epsilon = np.array(list(kept.values())).T
        own = {"charge": COULOMB * charge, "sigma": sigma, "epsilon": epsilon}
        terms.append(ListedPairs(vectors(np.array(list(kept)), context.n_atoms), own))
    return Sum(terms)


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
    """Charge product, sigma, epsilon of each exception at the values of the globals."""
    rows = [force.getExceptionParameters(k) for k in range(force.getNumExceptions())]
    values = [np.array(plain(row[2:])) for row in rows]
    for k in range(force.getNumExceptionParameterOffsets()):
        name, exception, *scales = force.getExceptionParameterOffset(k)
        values[exception] += numbers[name] * np.array(scales)
    return {(row[0], row[1]): value for row, value in zip(rows, values, strict=True)}


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


class CustomPairs(Term):
    """Sum over pairs of an expression of r and of the parameters of both atoms.

    Args:
        mask: Which pairs count, the first atom first.
        expression: Of r, name1 and name2 for each parameter or computed value, and globals.
        parameters: Of the atoms, each (n_atoms,).
        computed: Expressions of single atoms' parameters and of globals, by name.
        numbers: Global parameters.
        tables: Tabulated functions by name.
        cutoff: Cutoff with its switch.
    """

    needs_distances = True

    def __init__(  # noqa: PLR0913
        self,
        mask: PairMask,
        expression: Expression,
        parameters: Mapping[str, np.ndarray],
        computed: Mapping[str, Expression],
        numbers: Numbers,
        *,
        tables: nn.ModuleDict,
        cutoff: Cutoff,
    ) -> None:
        super().__init__()
        self.mask, self.constants = mask, Constants(parameters)
        self.expression, self.computed = expression, dict(computed)
        self.numbers, self.tables, self.cutoff = dict(numbers), tables, cutoff

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Energy of all pairs."""
        of_atoms: dict[str, Value] = dict(self.constants.like(x))
        known = {**self.numbers, **of_atoms}
        for name, expression in self.computed.items():
            of_atoms[name] = expression(known, like=x).expand(x.shape[1], -1)
        near, r = self.mask.within(r, self.cutoff.distance)
        energy = of_pairs(self.expression, of_atoms, self.numbers, r)
        return self.mask.only(near, self.cutoff.switched(energy, r)).sum((0, 1))


def of_pairs(
    expression: Expression, of_atoms: Mapping[str, Value], numbers: Numbers, r: Tensor
) -> Tensor:
    """An expression of name1, name2, r and globals at all ordered pairs.

    Args:
        expression: The expression.
        of_atoms: Values of atoms by name, (n, B) or (n, 1).
        numbers: Global parameters.
        r: Distances, (n, n, B).

    Returns:
        Shape (n, n, B).
    """
    values: dict[str, Value] = dict(numbers)
    for name in expression.variables:
        value = of_atoms.get(name[:-1]) if name[-1] in "12" else None
        if isinstance(value, Tensor):
            values[name] = value.unsqueeze(1) if name[-1] == "1" else value.unsqueeze(0)
    values["r"] = r
    return expression(values, like=r).expand_as(r)


def custom_nonbonded(force: openmm.CustomNonbondedForce, context: Context) -> Term:
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
    return CustomPairs(
        PairMask(_counts(force, context.n_atoms)),
        Expression(force.getEnergyFunction(), dict(tables)),
        {name: values[:, k] for k, name in enumerate(parameter_names(force))}, computed,
        context.numbers, tables=tables, cutoff=_switched_cutoff(force),
    )  # fmt: skip


def _counts(force: openmm.CustomNonbondedForce, n_atoms: int) -> np.ndarray:
    """How often each pair counts: once, or as often as the interaction groups say."""
    excluded = {tuple(force.getExclusionParticles(k)) for k in range(force.getNumExclusions())}
    if force.getNumInteractionGroups() == 0:
        return upper(n_atoms, excluded)
    counts = np.zeros((n_atoms, n_atoms))
    for k in range(force.getNumInteractionGroups()):
        first, second = (set(group) for group in force.getInteractionGroupParameters(k))
        twice = first & second
        for i in first:
            for j in second:
                if i != j and not (i > j and i in twice and j in twice):
                    counts[i, j] += 1
    return counts * (ordered(n_atoms, excluded) != 0)
