"""Exact answers for lattice models: the ground that samplers and flows are tested on."""

from systems.lattices.exact.enumeration import IsingStates, enumerate_ising
from systems.lattices.exact.errors import CancellationError, ConvergenceError
from systems.lattices.exact.free_field import FreeField
from systems.lattices.exact.ising_transfer import IsingTransfer
from systems.lattices.exact.kaufman import TorusAverages, torus_averages
from systems.lattices.exact.onsager import (
    critical_temperature,
    onsager_energy,
    onsager_free_energy,
    onsager_log_partition,
    onsager_specific_heat,
    spontaneous_magnetisation,
)
from systems.lattices.exact.quadrature import QuadratureResult, ScalarMoments, scalar_moments
from systems.lattices.exact.scalar_action import ScalarAction
from systems.lattices.exact.scalar_transfer import ScalarTransfer

__all__ = [
    "CancellationError",
    "ConvergenceError",
    "FreeField",
    "IsingStates",
    "IsingTransfer",
    "QuadratureResult",
    "ScalarAction",
    "ScalarMoments",
    "ScalarTransfer",
    "TorusAverages",
    "critical_temperature",
    "enumerate_ising",
    "onsager_energy",
    "onsager_free_energy",
    "onsager_log_partition",
    "onsager_specific_heat",
    "scalar_moments",
    "spontaneous_magnetisation",
    "torus_averages",
]
