"""Conditional normalizing flows: coupling layers, splines, bases, ready-made recipes."""

from boltzgen.flows.conditioners import Features, ResidualMLP
from boltzgen.flows.coupling import Chain, Coupling, Part, VectorLayout
from boltzgen.flows.densities import CentredNormal, Flow, ScaledBase, StandardNormal, centred
from boltzgen.flows.encodings import ControlEncoding, Joined, LogRatio, Standardised
from boltzgen.flows.recipes import conditional_flow, coupling_flow, coupling_layers
from boltzgen.flows.transforms import (
    AffineTransform,
    CircularSplineTransform,
    SplineTransform,
    Transform,
    VolumePreservingTransform,
)
from boltzgen.flows.whitening import Whitening

__all__ = [
    "AffineTransform",
    "CentredNormal",
    "Chain",
    "CircularSplineTransform",
    "ControlEncoding",
    "Coupling",
    "Features",
    "Flow",
    "Joined",
    "LogRatio",
    "Part",
    "ResidualMLP",
    "ScaledBase",
    "SplineTransform",
    "StandardNormal",
    "Standardised",
    "Transform",
    "VectorLayout",
    "VolumePreservingTransform",
    "Whitening",
    "centred",
    "conditional_flow",
    "coupling_flow",
    "coupling_layers",
]
