"""All settings of a run on a posterior, and the presets."""

from dataclasses import dataclass, field, replace
from typing import Literal

from boltzgen.training import TrainConfig
from pipeline.ladders import LadderConfig

ObjectiveName = Literal["simulations", "prior", "draws", "backward-kl"]
OBJECTIVES: tuple[ObjectiveName, ...] = ("simulations", "prior", "draws", "backward-kl")


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The flow: `boltzgen.flows.conditional_flow` with splines.

    Args:
        n_layers: Coupling layers.
        n_hidden: Width of their networks.
        n_blocks: Residual blocks of their networks.
        n_bins: Bins of the splines; those of every component by itself have twice as many.
        half_width: Half the interval that they bend, in standard deviations.
        marginal_half_width: The same of those of every component by itself.
    """

    n_layers: int = 6
    n_hidden: int = 64
    n_blocks: int = 2
    n_bins: int = 16
    half_width: float = 5.0
    marginal_half_width: float = 10.0


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """How the flow is trained.

    Args:
        objective: "simulations": pairs of parameters and data at beta = 1; "prior": draws of the
            prior at beta = 0, whatever the lowest power is; "draws": draws of the posterior at
            beta = 1 by Monte Carlo; each carried to the other powers by TRADE; "backward-kl": the
            energy alone.
        n_data: Pairs or draws to train on.
        batch_size: Of a step.
        offset: Added to beta before its logarithm is taken.
        n_controls: Controls of a step of TRADE.
        n_samples: Samples for each.
        reach: Greatest share of the way to the data from which samples are taken.
        trade_weight: Weight of TRADE beside the log-likelihood.
        spread_weight: Weight of the log-variance of the weights; 0 leaves it out.
        huber: Where both penalties turn linear.
        warm_up: Steps of maximum likelihood alone.
        ramp: Steps over which the others come in.
    """

    objective: ObjectiveName
    n_data: int = 200_000
    batch_size: int = 512
    offset: float = 0.0
    n_controls: int = 32
    n_samples: int = 8
    reach: float = 0.0
    trade_weight: float = 0.05
    spread_weight: float = 0.0
    huber: float = 1.0
    warm_up: int = 1000
    ramp: int = 500


@dataclass(frozen=True, kw_only=True)
class ChainConfig(LadderConfig):
    """Replica exchange over the powers.

    Args:
        n_rungs: Powers from 0 to the highest, besides those that are reported.
    """

    n_rungs: int = 16


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is drawn and estimated.

    Args:
        n_betas: Powers at which everything is reported.
        n_samples: Samples at each.
        n_grid: Powers of the integral.
        n_shared: Samples at each power that all powers share, for MBAR.
        n_observations: Observations over which an amortised flow is averaged.
        n_calibration: Simulated pairs of the calibration; 0 leaves it out.
        n_ranks: Draws that a true parameter is ranked among.
        n_weighted: Weighted samples from which these are taken.
        n_chain_steps: Steps of the chains with the flow as proposal.
    """

    n_betas: int = 9
    n_samples: int = 10_000
    n_grid: int = 33
    n_shared: int = 500
    n_observations: int = 100
    n_calibration: int = 1000
    n_ranks: int = 99
    n_weighted: int = 2000
    n_chain_steps: int = 500


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig:
    """A run.

    Args:
        model: Name of a shipped model, or "file.py:name".
        model_hash: SHA-256 of that file; empty for a shipped model.
        low: Smallest power.
        high: Largest power.
        observation: y of the pictures and of the evidence; empty where y is no control.
        preset: Name of the preset.
        seed: Of everything random.
        flow: The flow.
        learn: Its training.
        train: The optimiser.
        chains: Monte Carlo, as data or as reference.
        with_chains: Whether it is run.
        evaluation: What is estimated.
        checkpoint_every: Steps between checkpoints.
    """

    model: str
    model_hash: str
    low: float
    high: float
    observation: tuple[float, ...]
    preset: str
    seed: int
    flow: FlowConfig
    learn: LearnConfig
    train: TrainConfig
    chains: ChainConfig
    with_chains: bool
    evaluation: EvaluationConfig
    checkpoint_every: int = 500


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Sizes of everything but the model."""

    n_steps: int
    learning_rate: float = 1e-3
    n_data: int = 200_000
    flow: FlowConfig = field(default_factory=FlowConfig)
    chains: ChainConfig = field(default_factory=ChainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def learn(self, objective: ObjectiveName, n_steps: int, offset: float) -> LearnConfig:
        """Settings of the objective; pairs lie between the powers, other data at an end."""
        is_inner = objective == "simulations"
        return LearnConfig(
            objective=objective, n_data=self.n_data, offset=offset,
            reach=1.0 if is_inner else 0.3, spread_weight=0.0 if is_inner else 1.0,
            huber=1.0 if is_inner else 3.0, warm_up=3 * n_steps // 10, ramp=n_steps // 5,
        )  # fmt: skip


_DEFAULT = Preset(n_steps=8000)
PRESETS = {
    "smoke": Preset(
        n_steps=60, n_data=2000, flow=FlowConfig(n_layers=4, n_hidden=32, n_blocks=1, n_bins=8),
        chains=ChainConfig(
            n_ladders=16, n_tuning=50, n_burn_in=50, n_steps=100, n_between=2, n_leapfrog=4,
            n_rungs=6,
        ),
        evaluation=EvaluationConfig(
            n_betas=4, n_samples=1000, n_grid=9, n_shared=100, n_observations=4, n_calibration=40,
            n_ranks=19, n_weighted=200, n_chain_steps=50,
        ),
    ),
    "default": _DEFAULT,
    "long": replace(_DEFAULT, n_steps=32_000, n_data=1_000_000),
}  # fmt: skip
