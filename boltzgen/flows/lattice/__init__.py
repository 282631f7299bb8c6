"""Flows of fields on periodic lattices, exact under sign change and translations."""

from boltzgen.flows.lattice.checkerboard import CheckerboardCoupling
from boltzgen.flows.lattice.conditioners import ControlEmbedding, ParityNetwork
from boltzgen.flows.lattice.modes import SymmetricModeBase
from boltzgen.flows.lattice.recipes import LatticeLayout, lattice_flow
from boltzgen.flows.lattice.spectral import SpectralScaling
from boltzgen.flows.lattice.symmetry import TranslationAverage
from boltzgen.flows.lattice.transforms import ParityTransform, SinhArcsinh, TanhStep

__all__ = [
    "CheckerboardCoupling",
    "ControlEmbedding",
    "LatticeLayout",
    "ParityNetwork",
    "ParityTransform",
    "SinhArcsinh",
    "SpectralScaling",
    "SymmetricModeBase",
    "TanhStep",
    "TranslationAverage",
    "lattice_flow",
]
