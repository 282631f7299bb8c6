"""Free-form flows: any pair of networks that are trained to be each other's inverse."""

from boltzgen.flows.free_form.angles import AngleCut, Rolled, Unrolled
from boltzgen.flows.free_form.density import FreeFormFlow, Preimage
from boltzgen.flows.free_form.networks import EquivariantGraph, ResidualField
from boltzgen.flows.free_form.round_trip import Errors, RoundTrip, round_trip

__all__ = [
    "AngleCut",
    "EquivariantGraph",
    "Errors",
    "FreeFormFlow",
    "Preimage",
    "ResidualField",
    "Rolled",
    "RoundTrip",
    "Unrolled",
    "round_trip",
]
