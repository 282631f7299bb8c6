"""Molecules through OpenMM: systems, targets, molecular dynamics, replica-exchange references.

The only package here that imports openmm.
"""

from systems.cache import CorruptCacheError, default_cache_dir
from systems.molecules.definition import MolecularSystem
from systems.molecules.dynamics import DynamicsSettings, simulate
from systems.molecules.errors import SimulationError
from systems.molecules.evaluation import fastest_platform, minimised_positions
from systems.molecules.loading import from_amber, from_pdb, from_xml
from systems.molecules.mixing import MixingReport, check_mixing
from systems.molecules.named import DEFAULT_SYSTEM, named, system_names
from systems.molecules.reference_set import (
    Plan,
    ReferenceSet,
    ReferenceStore,
    check_ladder,
    find_reference,
    ladder,
    rungs,
)
from systems.molecules.replica_exchange import ReferenceSettings, reference
from systems.molecules.target import OpenMMTarget
from systems.molecules.tensor_target import TensorTarget
from systems.molecules.trajectories import TrajectorySet
from systems.molecules.workers import Progress

__all__ = [
    "DEFAULT_SYSTEM",
    "CorruptCacheError",
    "DynamicsSettings",
    "MixingReport",
    "MolecularSystem",
    "OpenMMTarget",
    "Plan",
    "Progress",
    "ReferenceSet",
    "ReferenceSettings",
    "ReferenceStore",
    "SimulationError",
    "TensorTarget",
    "TrajectorySet",
    "check_ladder",
    "check_mixing",
    "default_cache_dir",
    "fastest_platform",
    "find_reference",
    "from_amber",
    "from_pdb",
    "from_xml",
    "ladder",
    "minimised_positions",
    "named",
    "reference",
    "rungs",
    "simulate",
    "system_names",
]
