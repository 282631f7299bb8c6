"""What is read from OpenMM's objects: plain numbers, names of parameters, tables, globals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import openmm
from openmm import unit
from torch import nn

from systems.molecules.force_field.tables import tabulated

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Context:
    """What translating one force takes from the whole system.

    Args:
        n_atoms: Number of particles.
        numbers: Values of all global parameters.
    """

    n_atoms: int
    numbers: Numbers


_KINDS_OF_PARAMETER = ("Bond", "Angle", "Torsion", "Particle")


def check_particles(force: openmm.Force, n_atoms: int) -> None:
    """Require parameters for every particle of the system.

    Raises:
        ValueError: The force has more or fewer.
    """
    count = force.getNumParticles()
    if count != n_atoms:
        raise ValueError(
            f"system: expected {type(force).__name__} with {n_atoms} particles as in the system, "
            f"got {count}"
        )


def plain(values: Iterable[object]) -> list[float]:
    """Numbers in nm, ps, dalton, radians, kJ/mol and elementary charges, units stripped."""
    return [
        float(v.value_in_unit_system(unit.md_unit_system)) if unit.is_quantity(v) else float(v)  # type: ignore[arg-type, attr-defined]
        for v in values
    ]


def parameter_names(force: openmm.Force) -> tuple[str, ...]:
    """Names of the parameters of each bond, angle, torsion or particle of a custom force."""
    for kind in _KINDS_OF_PARAMETER:
        if hasattr(force, f"getNumPer{kind}Parameters"):
            count = getattr(force, f"getNumPer{kind}Parameters")()
            return tuple(getattr(force, f"getPer{kind}ParameterName")(k) for k in range(count))
    raise TypeError(f"force: {type(force).__name__} has no parameters of its own")


def table_functions(force: openmm.Force) -> nn.ModuleDict:
    """Tabulated functions of a force by name."""
    return nn.ModuleDict(
        {
            force.getTabulatedFunctionName(k): tabulated(force.getTabulatedFunction(k))
            for k in range(force.getNumTabulatedFunctions())
        }
    )


def global_parameters(system: openmm.System) -> dict[str, float]:
    """Default values of the global parameters of all forces, as a new Context would have them.

    Raises:
        ValueError: Two forces give the same parameter different values.
    """
    found: dict[str, float] = {}
    for force in system.getForces():
        if not hasattr(force, "getNumGlobalParameters"):
            continue
        for k in range(force.getNumGlobalParameters()):
            name, value = force.getGlobalParameterName(k), force.getGlobalParameterDefaultValue(k)
            if found.setdefault(name, value) != value:
                raise ValueError(
                    f"system: global parameter {name!r} has the values {found[name]} and {value}"
                )
    return found
