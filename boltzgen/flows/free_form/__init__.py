"""Free-form flows: any pair of networks that are trained to be each other's inverse."""

from boltzgen.flows.free_form.density import FreeFormFlow, Preimage
from boltzgen.flows.free_form.networks import EquivariantGraph, ResidualField

__all__ = ["EquivariantGraph", "FreeFormFlow", "Preimage", "ResidualField"]
