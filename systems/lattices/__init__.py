"""Lattice models: the scalar field in three conventions, the Ising model, observables."""

from systems.lattices.conventions import Conversion, convert, scalar_action
from systems.lattices.coupled import CoupledTarget
from systems.lattices.ising import ContinuousIsing, Ising
from systems.lattices.phi4 import CanonicalPhi4, HoppingPhi4, KineticPhi4, ScalarField

__all__ = [
    "CanonicalPhi4",
    "ContinuousIsing",
    "Conversion",
    "CoupledTarget",
    "HoppingPhi4",
    "Ising",
    "KineticPhi4",
    "ScalarField",
    "convert",
    "scalar_action",
]
