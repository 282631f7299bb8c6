"""Conditional normalizing flows: coupling layers, splines, bases, ready-made recipes."""

from boltzgen.flows.conditioners import Features, ResidualMLP
from boltzgen.flows.coupling import Chain, Coupling, Part, VectorLayout
from boltzgen.flows.densities import Flow, ScaledBase
from boltzgen.flows.recipes import coupling_flow
from boltzgen.flows.transforms import (
    AffineTransform,
    CircularSplineTransform,
    SplineTransform,
    Transform,
    VolumePreservingTransform,
)

__all__ = [
    "AffineTransform",
    "Chain",
    "CircularSplineTransform",
    "Coupling",
    "Features",
    "Flow",
    "Part",
    "ResidualMLP",
    "ScaledBase",
    "SplineTransform",
    "Transform",
    "VectorLayout",
    "VolumePreservingTransform",
    "coupling_flow",
]
