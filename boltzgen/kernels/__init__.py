"""Markov kernels that keep a target stationary: chains and ladders in batches, state as a value."""

from boltzgen.kernels.adaptation import AveragingState, DualAveraging, tune
from boltzgen.kernels.common import ChainState, Info
from boltzgen.kernels.fourier import FourierScale
from boltzgen.kernels.hmc import HMC
from boltzgen.kernels.langevin import Langevin, LangevinState
from boltzgen.kernels.mala import MALA
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
    "ChainState",
    "DualAveraging",
    "ExchangeInfo",
    "ExchangeRecord",
    "ExchangeState",
    "FourierScale",
    "Info",
    "Langevin",
    "LangevinState",
    "ReplicaExchange",
    "balanced_ladder",
    "communication_barrier",
    "tune",
]
