"""From an OpenMM System to its energy as tensor code."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import openmm
import torch
from torch import Tensor, nn

from systems.checks import check_event
from systems.molecules.force_field import bonded, compound, generalised_born, nonbonded
from systems.molecules.force_field.geometry import Vector
from systems.molecules.force_field.reading import Context, Numbers, global_parameters
from systems.molecules.force_field.terms import Rows, Term, Vectors, at_atoms, kept, members

_Translator = Callable[[Any, Context], list[Term]]

_TRANSLATORS: dict[str, tuple[_Translator, str | None]] = {
    "HarmonicBondForce": (bonded.harmonic_bond, "getNumBonds"),
    "HarmonicAngleForce": (bonded.harmonic_angle, "getNumAngles"),
    "PeriodicTorsionForce": (bonded.periodic_torsion, "getNumTorsions"),
    "RBTorsionForce": (bonded.ryckaert_bellemans, "getNumTorsions"),
    "CMAPTorsionForce": (bonded.torsion_map, "getNumTorsions"),
    "CustomBondForce": (bonded.custom_bond, "getNumBonds"),
    "CustomAngleForce": (bonded.custom_angle, "getNumAngles"),
    "CustomTorsionForce": (bonded.custom_torsion, "getNumTorsions"),
    "CustomCompoundBondForce": (compound.custom_compound, "getNumBonds"),
    "CustomExternalForce": (compound.custom_external, "getNumParticles"),
    "NonbondedForce": (nonbonded.nonbonded, None),
    "CustomNonbondedForce": (nonbonded.custom_nonbonded, None),
    "GBSAOBCForce": (generalised_born.obc2, None),
    "CustomGBForce": (generalised_born.custom_generalised_born, None),
}
_WITHOUT_ENERGY = ("CMMotionRemover",)


class ForceField(nn.Module):
    """Energy of a System at many configurations, differentiable as often as one likes.

    Made by `compile_system`. It computes in the dtype and on the device of its argument; move it
    with `.to(device)`, but leave its constants in float64.
    """

    def __init__(
        self, n_atoms: int, terms: Iterable[tuple[str, int, Term]], numbers: Numbers
    ) -> None:
        super().__init__()
        rows = list(terms)
        self.n_atoms = n_atoms
        self.names = tuple(name for name, _, _ in rows)
        self.groups = tuple(group for _, group, _ in rows)
        self.terms = nn.ModuleList(term for _, _, term in rows)
        self.global_parameters = dict(numbers)
        vectors = [own for term in self._parts() for own in members(term.vectors, Vectors)]
        self.n_vectors = sum(len(own.ends) for own in vectors)
        self._at_atoms = at_atoms(vectors, n_atoms)

    def forward(self, x: Tensor) -> Tensor:
        """Potential energy.

        Args:
            x: Positions in nm, shape (B, n_atoms, 3).

        Returns:
            kJ/mol, shape (B,); as IEEE arithmetic gives it where atoms coincide.

        Raises:
            ValueError: x has the wrong shape or is not floating-point.
        """
        check_event("x", x, (self.n_atoms, 3))
        with torch.autocast(x.device.type, enabled=False):
            return self.energy(inside_out(x))

    def by_group(self, x: Tensor) -> dict[int, Tensor]:
        """Potential energy of each force group, kJ/mol, each (B,)."""
        check_event("x", x, (self.n_atoms, 3))
        places, parts = inside_out(x), list(zip(self.groups, self._parts(), strict=True))
        return {
            group: sum((t(places) for own, t in parts if own == group), x.new_zeros(len(x)))
            for group in sorted(set(self.groups))
        }

    def energy(self, x: Vector) -> Tensor:
        """Potential energy of positions as `inside_out` gives them: (B,)."""
        return sum((term(x) for term in self._parts()), _zero(x))

    def energy_and_gradient(self, x: Vector) -> tuple[Tensor, Vector]:
        """Potential energy (B,) and its gradient, each (n_atoms, B), written out: no autograd.

        Args:
            x: Positions as `inside_out` gives them.
        """
        energies: Rows = []
        slopes: list[Vector] = []
        for term in self._parts():
            rows, own = term.slopes(*term.measure(x))
            energies += rows
            slopes += own
        if not energies:
            zeros = torch.zeros_like(x[0])
            return _zero(x), (zeros, zeros, zeros)
        energy = _zero(x) + kept(torch.cat(energies)).sum(0)
        first, second, third = (
            self._at_atoms(kept(torch.cat([slope[k] for slope in slopes]))) for k in range(3)
        )
        return energy, (first, second, third)

    def _parts(self) -> list[Term]:
        return [term for term in self.terms if isinstance(term, Term)]


def _zero(x: Vector) -> Tensor:
    """Zero for each configuration, (B,); NaN where a position is not finite."""
    return (0 * x[0] + 0 * x[1] + 0 * x[2]).sum(0)


def inside_out(x: Tensor) -> Vector:
    """Positions with the batch innermost: (B, n_atoms, 3) -> three components, (n_atoms, B)."""
    rows = kept(x.flatten(1).t())
    first, second, third = rows.unflatten(0, (-1, 3)).unbind(1)
    return first, second, third


def outside_in(rows: Vector) -> Tensor:
    """The reverse: three components, each (n_atoms, B) -> (B, n_atoms, 3)."""
    together = kept(torch.stack(rows, 1).flatten(0, 1))
    return together.t().contiguous().unflatten(1, (-1, 3))


def compile_system(
    system: openmm.System, *, parameters: Mapping[str, float] | None = None
) -> ForceField:
    """Translate all forces of a System.

    Args:
        system: Without box, virtual sites and Drude particles.
        parameters: Global parameters that differ from the System's default values.

    Raises:
        ValueError: A force, a method or a site that has no translation, by name; a global
            parameter that no force has.
    """
    numbers = global_parameters(system)
    unknown = sorted(set(parameters or {}) - set(numbers))
    if unknown:
        raise ValueError(f"parameters: expected names among {sorted(numbers)}, got {unknown}")
    numbers |= dict(parameters or {})
    sites = [k for k in range(system.getNumParticles()) if system.isVirtualSite(k)]
    if sites:
        raise ValueError(f"system: expected no virtual sites, got particles {sites[:4]}")
    context = Context(system.getNumParticles(), numbers)
    terms = []
    for force in system.getForces():
        kind = type(force).__name__
        if kind in _WITHOUT_ENERGY:
            continue
        if kind not in _TRANSLATORS:
            raise ValueError(
                f"system: no translation of {kind}; known are {', '.join(_TRANSLATORS)}. "
                "OpenMMTarget evaluates any System, one configuration at a time"
            )
        translate, count = _TRANSLATORS[kind]
        if force.usesPeriodicBoundaryConditions():
            raise ValueError(
                f"system: expected forces without periodic boundary conditions, got a periodic "
                f"{kind}; there is no box here"
            )
        if count is None or getattr(force, count)() > 0:
            group = force.getForceGroup()
            terms += [(kind, group, term) for term in translate(force, context)]
    return ForceField(context.n_atoms, terms, numbers)
