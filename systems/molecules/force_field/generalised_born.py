"""Forces in which atoms first get computed values: implicit solvents of the generalised Born kind.

References:
    Onufriev, Bashford and Case, Proteins 55, 383 (2004): OBC1 and OBC2.
    OpenMM User Guide, sections "CustomGBForce" and "GBSAOBCForce".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import openmm
import torch
from torch import Tensor, nn

from systems.molecules.force_field import geometry
from systems.molecules.force_field.expressions import Expression, Function, Value
from systems.molecules.force_field.nonbonded import COULOMB, cutoff_distance
from systems.molecules.force_field.reading import (
    Context,
    Numbers,
    check_particles,
    parameter_names,
    plain,
    table_functions,
)
from systems.molecules.force_field.terms import Constants, Pairs, Quantities, Term

_SINGLE = openmm.CustomGBForce.SingleParticle
_PAIR = openmm.CustomGBForce.ParticlePair
_PAIR_NO_EXCLUSIONS = openmm.CustomGBForce.ParticlePairNoExclusions


class Stage(NamedTuple):
    """One computed value or energy: its name, expression, and over what it runs."""

    name: str
    text: str
    kind: int


@dataclass(frozen=True)
class Definition:
    """What a force of this kind consists of.

    Args:
        n_atoms: Number of atoms.
        values: Computed values, in order.
        energies: Energy terms; their names do not matter.
        parameters: Of the atoms, each (n_atoms,).
        numbers: Global parameters.
        excluded: Pairs i < j left out of stages of the kind ParticlePair.
        cutoff: nm, or None.
    """

    n_atoms: int
    values: Sequence[Stage]
    energies: Sequence[Stage]
    parameters: Mapping[str, np.ndarray]
    numbers: Numbers
    excluded: frozenset[tuple[int, int]]
    cutoff: float | None


class PairMask(nn.Module):
    """Which ordered pairs of atoms count.

    Args:
        used: Shape (n, n), false on the diagonal.
    """

    used: Tensor

    def __init__(self, used: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("used", torch.from_numpy(np.array(used, dtype=bool)[..., None]))

    def within(self, r: Tensor, cutoff: float | None) -> tuple[Tensor, Tensor]:
        """Which pairs count at these distances, and distances that are harmless where not."""
        if cutoff is None:
            return self.used, torch.where(self.used, r, 1.0)
        near = self.used & (r <= cutoff)
        return near, torch.where(near, r, 0.5 * cutoff)


class ComputedValues(Term):
    """Energy as a function of values that are themselves sums over pairs.

    Args:
        definition: The stages.
        tables: Tabulated functions by name.
    """

    is_large = True

    def __init__(self, definition: Definition, tables: nn.ModuleDict) -> None:
        super().__init__()
        known: dict[str, Function] = dict(tables)
        self._values = [(s, Expression(s.text, known)) for s in definition.values]
        self._energies = [(s, Expression(s.text, known)) for s in definition.energies]
        self.numbers, self.tables = dict(definition.numbers), tables
        self.constants, self.cutoff = Constants(definition.parameters), definition.cutoff
        stages = [*self._values, *self._energies]
        self._uses_places = any(
            set("xyz") & set(expression.variables)
            for stage, expression in stages
            if stage.kind == _SINGLE
        )
        self.n_quantities = 2 if self._uses_places else 1
        excluded = {_PAIR: definition.excluded, _PAIR_NO_EXCLUSIONS: frozenset[tuple[int, int]]()}
        both = {kind: ordered(definition.n_atoms, pairs) for kind, pairs in excluded.items()}
        self._both_ways = {kind: PairMask(mask) for kind, mask in both.items()}
        self._each = {kind: PairMask(np.triu(mask)) for kind, mask in both.items()}
        self.masks = nn.ModuleList([*self._each.values(), *self._both_ways.values()])

    def measure(self, x: Tensor) -> Quantities:
        """Squared distances of all pairs, 1 on the diagonal, (n, n, B); positions if needed."""
        v = x[:, None] - x[:, :, None]
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[..., None]
        squared = geometry.dot(v, v) + eye
        return (squared, x) if self._uses_places else (squared,)

    def energy(self, quantities: Quantities) -> Tensor:
        """Energy of all stages."""
        r = geometry.root(quantities[0])
        x = quantities[1] if self._uses_places else r.new_zeros(3, *r.shape[1:])
        of_atoms: dict[str, Value] = dict(self.constants.like(r))
        for stage, expression in self._values:
            if stage.kind == _SINGLE:
                of_atoms[stage.name] = self._singles(expression, of_atoms, x)
            else:
                pairs = self._pairs(expression, of_atoms, r, self._both_ways[stage.kind])
                of_atoms[stage.name] = _kept(pairs.sum(1))
        total = r.new_zeros(r.shape[2])
        for stage, expression in self._energies:
            if stage.kind == _SINGLE:
                energy = self._singles(expression, of_atoms, x)
            else:
                energy = self._pairs(expression, of_atoms, r, self._each[stage.kind]).sum(1)
            total = total + energy.sum(0)
        return total

    def carry_back(self, x: Tensor, slopes: Quantities) -> Tensor:
        """From the pairs to the atoms: each collects its own row and column."""
        both = slopes[0] + slopes[0].transpose(0, 1)
        found = 2 * (both * (x[:, None] - x[:, :, None])).sum(1)
        return found + slopes[1] if self._uses_places else found

    def _singles(self, expression: Expression, of_atoms: Mapping[str, Value], x: Tensor) -> Tensor:
        """An expression of each atom, of its position too: (n, B)."""
        places = dict(zip("xyz", x, strict=True))
        return expression({**self.numbers, **places, **of_atoms}, like=x).expand_as(x[0])

    def _pairs(
        self, expression: Expression, of_atoms: Mapping[str, Value], r: Tensor, mask: PairMask
    ) -> Tensor:
        """An expression of pairs, 0 at those that do not count: (n, n, B)."""
        near, r = mask.within(r, self.cutoff)
        return torch.where(near, of_pairs(expression, of_atoms, self.numbers, r), 0.0)


def ordered(n_atoms: int, excluded: Pairs) -> np.ndarray:
    """Pairs i != j but for the excluded ones, given in either order, as (n, n)."""
    used = ~np.eye(n_atoms, dtype=bool)
    for i, j in excluded:
        used[i, j] = used[j, i] = False
    return used


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


def _kept(values: Tensor) -> Tensor:
    """The same (n, B), through a product that a compiler of CPU code has to carry out.

    It then keeps the derivatives in these values, one for each atom, which it would else work out
    anew, transcendental functions and all, for every pair.
    """
    if values.is_cuda or not torch.compiler.is_compiling():
        return values
    return torch.eye(len(values), dtype=values.dtype, device=values.device) @ values


def custom_generalised_born(force: openmm.CustomGBForce, context: Context) -> list[Term]:
    """Any CustomGBForce, hence HCT, OBC1, OBC2, GBn and GBn2 as OpenMM writes them.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    count = context.n_atoms
    rows = np.array([force.getParticleParameters(k) for k in range(count)], dtype=np.float64)
    rows = rows.reshape(count, -1)
    exclusions = (force.getExclusionParticles(k) for k in range(force.getNumExclusions()))
    definition = Definition(
        n_atoms=context.n_atoms,
        values=[
            Stage(*force.getComputedValueParameters(k)) for k in range(force.getNumComputedValues())
        ],
        energies=[
            Stage("", *force.getEnergyTermParameters(k)) for k in range(force.getNumEnergyTerms())
        ],
        parameters={name: rows[:, k] for k, name in enumerate(parameter_names(force))},
        numbers=context.numbers,
        excluded=frozenset((min(i, j), max(i, j)) for i, j in exclusions),
        cutoff=cutoff_distance(force),
    )
    return [ComputedValues(definition, table_functions(force))]


_INTEGRAL = """
select(step(r+s2-o1), 0.5*(1/L-1/U+0.25*(r-s2*s2/r)*(1/(U*U)-1/(L*L))+0.5*log(L/U)/r+C), 0);
U=r+s2; C=2*(1/o1-1/L)*step(s2-r-o1); L=max(o1, D); D=abs(r-s2)"""
_RADIUS = "1/(1/o-tanh(u-0.8*u^2+4.85*u^3)/radius); u=I*o"
_SELF = "-0.5*k*charge^2/B"
_SURFACE = "surface*12.566370614359172*(radius+0.14)^2*(radius/B)^6"
_PAIRS = "-k*charge1*charge2/sqrt(r^2+B1*B2*exp(-r^2/(4*B1*B2)))"
_SHIFTED = f"{_PAIRS}+k*charge1*charge2*shift"
_OFFSET = 0.009


def obc2(force: openmm.GBSAOBCForce, context: Context) -> list[Term]:
    """GBSAOBCForce: OBC2 with a surface term, written as computed values.

    Raises:
        ValueError: The method is a periodic one.
    """
    check_particles(force, context.n_atoms)
    count = context.n_atoms
    charge, radius, scale = np.array(
        [plain(force.getParticleParameters(k)) for k in range(count)]
    ).T
    cutoff = cutoff_distance(force)
    constants = {
        "k": COULOMB * (1 / force.getSoluteDielectric() - 1 / force.getSolventDielectric()),
        "surface": plain([force.getSurfaceAreaEnergy()])[0],
        "shift": 0.0 if cutoff is None else 1 / cutoff,
    }
    definition = Definition(
        n_atoms=context.n_atoms,
        values=[Stage("I", _INTEGRAL, _PAIR_NO_EXCLUSIONS), Stage("B", _RADIUS, _SINGLE)],
        energies=[
            Stage("", _SELF, _SINGLE), Stage("", _SURFACE, _SINGLE),
            Stage("", _PAIRS if cutoff is None else _SHIFTED, _PAIR_NO_EXCLUSIONS),
        ],
        parameters={
            "charge": charge, "radius": radius, "o": radius - _OFFSET,
            "s": scale * (radius - _OFFSET),
        },
        numbers={**context.numbers, **constants},
        excluded=frozenset(),
        cutoff=cutoff,
    )  # fmt: skip
    return [ComputedValues(definition, nn.ModuleDict())]
