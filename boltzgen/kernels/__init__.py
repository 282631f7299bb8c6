"""Markov kernels that keep a target stationary: chains and ladders in batches, state as a value."""

from boltzgen.kernels.adaptation import AveragingState, DualAveraging, tune
from boltzgen.kernels.chains import ChainRun, run_chain
from boltzgen.kernels.common import ChainState, Info
from boltzgen.kernels.fourier import FourierScale
from boltzgen.kernels.hmc import HMC
from boltzgen.kernels.independence import FlowProposal, ProposalState
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
    "ChainRun",
    "ChainState",
    "DualAveraging",
    "ExchangeInfo",
    "ExchangeRecord",
    "ExchangeState",
    "FlowProposal",
    "FourierScale",
    "Info",
    "Langevin",
    "LangevinState",
    "ProposalState",
    "ReplicaExchange",
    "balanced_ladder",
    "communication_barrier",
    "run_chain",
    "tune",
]
