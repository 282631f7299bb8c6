"""Free-form flows: any pair of networks that are trained to be each other's inverse."""

from boltzgen.flows.free_form.density import FreeFormFlow, Preimage
from boltzgen.flows.free_form.networks import EquivariantGraph, ResidualField
from boltzgen.flows.free_form.round_trip import Errors, RoundTrip, round_trip

__all__ = [
    "EquivariantGraph",
    "Errors",
    "FreeFormFlow",
    "Preimage",
    "ResidualField",
    "RoundTrip",
    "round_trip",
]
