"""Markov kernels that keep a target stationary: chains and ladders in batches, state as a value."""

from boltzgen.kernels.adaptation import AveragingState, DualAveraging, tune
from boltzgen.kernels.common import Info
from boltzgen.kernels.hmc import HMC, HMCState
from boltzgen.kernels.langevin import Langevin, LangevinState
from boltzgen.kernels.mala import MALA, MALAState
from boltzgen.kernels.tempering import (
    ExchangeInfo,
    ExchangeRecord,
    ExchangeState,
    ReplicaExchange,
    balanced_ladder,
    communication_barrier,
)

__all__ = [
    "HMC",
    "MALA",
    "AveragingState",
    "DualAveraging",
    "ExchangeInfo",
    "ExchangeRecord",
    "ExchangeState",
    "HMCState",
    "Info",
    "Langevin",
    "LangevinState",
    "MALAState",
    "ReplicaExchange",
    "balanced_ladder",
    "communication_barrier",
    "tune",
]
