"""Forces between all pairs of atoms: Lennard-Jones, Coulomb, and custom expressions."""

from collections.abc import Iterable, Mapping

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Value
from systems.molecules.force_field.reading import Numbers, parameter_names, plain, table_functions
from systems.molecules.force_field.terms import Columns, Indices, Term, all_pairs, without

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
        return energy * (1 + t**3 * (-10 + t * (15 - 6 * t)))

    def cut(self, energy: Tensor, r: Tensor) -> Tensor:
        """Energy, or 0 beyond the cutoff."""
        return energy if self.distance is None else torch.where(r <= self.distance, energy, 0.0)


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
        return 1 / r if self.c == 0 else 1 / r + self.k * r.square() - self.c


class PairPotential(Term):
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
        super().__init__()
        self.pairs, self.columns = Indices(pairs), Columns(parameters)
        self.cutoff, self.field = cutoff, field

    def forward(self, x: Tensor) -> Tensor:
        """Energy of all pairs."""
        r = geometry.distance(x, *self.pairs)
        found = self.columns.like(x)
        sixth = (found["sigma"] / r) ** 6
        vdw = 4 * found["epsilon"] * (sixth * (sixth - 1))
        energy = self.cutoff.switched(vdw, r) + found["charge"] * self.field(r)
        return self.cutoff.cut(energy, r).sum(0)


class Sum(Term):
    """Several terms that are one force of OpenMM."""

    def __init__(self, terms: Iterable[Term]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)

    def forward(self, x: Tensor) -> Tensor:
        """Sum of their energies."""
        return torch.stack([term(x) for term in self.terms]).sum(0)


def nonbonded(force: openmm.NonbondedForce, numbers: Numbers) -> Term:
    """Lennard-Jones and Coulomb forces with exceptions and offsets.

    Raises:
        ValueError: The method is a periodic one.
    """
    distance = cutoff_distance(force)
    switch = None
    if force.getUseSwitchingFunction() and distance is not None:
        switch = plain([force.getSwitchingDistance()])[0]
    field = ReactionField(distance, force.getReactionFieldDielectric())
    particles, exceptions = _particles(force, numbers), _exceptions(force, numbers)
    pairs = all_pairs(force.getNumParticles())
    pairs = without(pairs, {(min(i, j), max(i, j)) for i, j in exceptions})
    i, j = pairs.T
    charge, sigma, epsilon = particles.T
    parameters = {
        "charge": COULOMB * charge[i] * charge[j],
        "sigma": 0.5 * (sigma[i] + sigma[j]),
        "epsilon": np.sqrt(epsilon[i] * epsilon[j]),
    }
    used = (parameters["charge"] != 0) | (parameters["epsilon"] != 0)
    parameters = {name: values[used] for name, values in parameters.items()}
    terms = [PairPotential(pairs[used], parameters, Cutoff(distance, switch), field)]
    kept = {pair: row for pair, row in exceptions.items() if row[0] != 0 or row[2] != 0}
    if kept:
        charge, sigma, epsilon = np.array(list(kept.values())).T
        own = {"charge": COULOMB * charge, "sigma": sigma, "epsilon": epsilon}
        plain_coulomb = ReactionField(None, 1.0)
        terms.append(PairPotential(np.array(list(kept)), own, Cutoff(), plain_coulomb))
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
    """Sum over listed pairs of an expression of r and of the parameters of both atoms.

    Args:
        pairs: Shape (M, 2).
        expression: Of r, name1 and name2 for each parameter or computed value, and globals.
        parameters: Of the atoms, each (n_atoms,).
        computed: Expressions of single atoms' parameters, by name, in order.
        numbers: Global parameters.
        functions: Tables by name.
        cutoff: Cutoff with its switch.
    """

    def __init__(  # noqa: PLR0913
        self,
        pairs: np.ndarray,
        expression: Expression,
        parameters: Mapping[str, np.ndarray],
        computed: Mapping[str, Expression],
        numbers: Numbers,
        *,
        functions: nn.ModuleDict,
        cutoff: Cutoff,
    ) -> None:
        super().__init__()
        self.pairs, self.columns = Indices(pairs), Columns(parameters)
        self.expression, self.computed = expression, dict(computed)
        self.numbers, self.functions, self.cutoff = dict(numbers), functions, cutoff

    def forward(self, x: Tensor) -> Tensor:
        """Energy of all pairs."""
        of_atoms: dict[str, Value] = {**self.numbers, **self.columns.like(x)}
        n_atoms = x.shape[1]
        for name, expression in self.computed.items():
            values = dict(zip("xyz", x, strict=True)) | of_atoms
            of_atoms[name] = expression(values, like=x).expand(n_atoms, -1)
        r = geometry.distance(x, *self.pairs)
        values = {**self.numbers, "r": r, **both(of_atoms, self.pairs, self.numbers)}
        energy = self.expression(values, like=x).expand_as(r)
        return self.cutoff.cut(self.cutoff.switched(energy, r), r).sum(0)


def both(of_atoms: Mapping[str, Value], pairs: Indices, numbers: Numbers) -> dict[str, Tensor]:
    """Values of both atoms of each pair: name -> name1, name2, each (M, B) or (M, 1)."""
    found = {}
    for name, value in of_atoms.items():
        if name not in numbers and isinstance(value, Tensor):
            for k, index in enumerate(pairs):
                found[f"{name}{k + 1}"] = value.index_select(0, index)
    return found


def custom_nonbonded(force: openmm.CustomNonbondedForce, numbers: Numbers) -> Term:
    """An expression of r and the parameters of both atoms, over all pairs or groups of them.

    Raises:
        ValueError: The method is a periodic one.
    """
    count = force.getNumParticles()
    excluded = {
        (min(i, j), max(i, j))
        for i, j in (force.getExclusionParticles(k) for k in range(force.getNumExclusions()))
    }
    pairs = without(_interacting(force), excluded)
    values = np.array([force.getParticleParameters(k) for k in range(count)], dtype=np.float64)
    names = parameter_names(force)
    tables = table_functions(force)
    computed = {}
    for k in range(force.getNumComputedValues()):
        name, text = force.getComputedValueParameters(k)
        computed[name] = Expression(text, dict(tables))
    distance = cutoff_distance(force)
    switch = None
    if force.getUseSwitchingFunction() and distance is not None:
        switch = plain([force.getSwitchingDistance()])[0]
    return CustomPairs(
        pairs, Expression(force.getEnergyFunction(), dict(tables)),
        {name: values[:, k] for k, name in enumerate(names)}, computed, numbers,
        functions=tables, cutoff=Cutoff(distance, switch),
    )  # fmt: skip


def _interacting(force: openmm.CustomNonbondedForce) -> np.ndarray:
    """Pairs of a force: all, or those of its interaction groups, each as often as OpenMM counts."""
    if force.getNumInteractionGroups() == 0:
        return all_pairs(force.getNumParticles())
    pairs: list[tuple[int, int]] = []
    for k in range(force.getNumInteractionGroups()):
        first, second = (set(group) for group in force.getInteractionGroupParameters(k))
        twice = first & second
        pairs += [
            (i, j)
            for i in sorted(first)
            for j in sorted(second)
            if i != j and not (i > j and i in twice and j in twice)
        ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
