"""All settings of a sweep, and the presets."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from boltzgen.training import TrainConfig
from sweep.lattice import LatticeConfig

ObjectiveName = Literal["trade", "backward-kl", "nll", "nll+backward-kl"]
OBJECTIVES: tuple[ObjectiveName, ...] = ("trade", "backward-kl", "nll", "nll+backward-kl")


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The flow: `boltzgen.flows.lattice.lattice_flow`.

    Args:
        transform: The map of a site: "sinh-arcsinh" for one broad peak, "tanh-step" for sites
            between two values, as the continuous form of spins has them.
        n_couplings: Checkerboard couplings.
        n_channels: Width of their networks.
        n_blocks: Residual blocks of their networks.
        kernel: Size of their convolutions.
    """

    transform: Literal["sinh-arcsinh", "tanh-step"] = "sinh-arcsinh"
    n_couplings: int = 2
    n_channels: int = 16
    n_blocks: int = 1
    kernel: int = 3


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """How the flow is trained.

    Args:
        objective: "trade": data at the boundaries, carried along the coupling by the derivative of
            the log-density; "backward-kl": the action alone; "nll": data alone; or both.
        batch_size: Configurations of a step, of each term.
        warm_up: Steps of maximum likelihood alone, before TRADE.
        ramp: Steps over which it comes in.
        n_grid: Couplings of its grid.
        table_samples: Samples of each and refresh of its table.
        table_every: Steps between refreshes.
        huber: Where its penalty turns linear.
    """

    objective: ObjectiveName
    batch_size: int = 512
    warm_up: int = 200
    ramp: int = 200
    n_grid: int = 41
    table_samples: int = 400
    table_every: int = 100
    huber: float = 2.0


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Training data by Monte Carlo.

    Args:
        boundaries: Values of the controls where there are data.
        n_chains: Independent chains at each.
        n_kept: Configurations of each chain.
    """

    boundaries: tuple[tuple[float, ...], ...]
    n_chains: int = 64
    n_kept: int = 400


@dataclass(frozen=True, kw_only=True)
class MonteCarloConfig:
    """Reference Monte Carlo at every point of the sweep.

    Args:
        n_chains: Independent chains.
        n_burn_in: Sweeps of each before the first record.
        n_records: Records of each chain.
        n_sites_swept: Sweeps from one record to the next times sites, at least one sweep and at
            most five.
        n_kept: Configurations kept at every point, for the forward ESS.
    """

    n_chains: int = 16
    n_burn_in: int = 500
    n_records: int = 16_000
    n_sites_swept: int = 1280
    n_kept: int = 2000

    def n_between(self, n_sites: int) -> int:
        """Sweeps from one record to the next."""
        return max(1, min(5, self.n_sites_swept // n_sites))


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is drawn from the flow.

    Args:
        n_samples: At every point of the sweep.
        n_shared: How many of them are evaluated at the couplings of all other points, for MBAR.
        n_table: Samples at each point of the grid for the integral of <dE/dc>.
        n_tables: Independent repetitions of that, for its error.
    """

    n_samples: int = 5000
    n_shared: int = 250
    n_table: int = 300
    n_tables: int = 8


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """A sweep.

    Args:
        lattice: The model.
        values: Values of each control, increasing.
        method: Whether points are computed by the flow, by Monte Carlo, or by both.
        preset: Name of the preset.
        seed: Of everything random.
        flow: The flow.
        learn: Its training.
        data: Its data.
        train: The optimiser.
        monte_carlo: The reference.
        evaluation: Samples of the flow.
        checkpoint_every: Steps between checkpoints.
        start: Run whose flow the training starts from, of any lattice; None for a new flow.
        flow_of: Run whose flow is taken as it is; None where one is trained.
        reference_of: Run whose Monte Carlo is taken; None where it is run.
    """

    lattice: LatticeConfig
    values: tuple[tuple[float, ...], ...]
    method: Literal["flow", "mc", "both"]
    preset: str
    seed: int
    flow: FlowConfig
    learn: LearnConfig
    data: DataConfig
    train: TrainConfig
    monte_carlo: MonteCarloConfig
    evaluation: EvaluationConfig
    checkpoint_every: int = 100
    start: Path | None = None
    flow_of: Path | None = None
    reference_of: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Sizes of everything but the model; spins take more steps."""

    n_steps: int
    n_steps_of_spins: int
    batch_size: int = 512
    learning_rate: float = 3e-3
    flow: FlowConfig = field(default_factory=FlowConfig)
    n_chains: int = 64
    n_kept: int = 400
    monte_carlo: MonteCarloConfig = field(default_factory=MonteCarloConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def learn(self, objective: ObjectiveName, n_steps: int) -> LearnConfig:
        """Settings of the objective."""
        start = min(200, n_steps // 5)
        return LearnConfig(
            objective=objective, batch_size=self.batch_size, warm_up=start, ramp=start
        )


_DEFAULT = Preset(n_steps=1200, n_steps_of_spins=2000)
PRESETS = {
    "smoke": Preset(
        n_steps=40, n_steps_of_spins=40, batch_size=128,
        flow=FlowConfig(n_couplings=2, n_channels=8),
        n_chains=16, n_kept=50,
        monte_carlo=MonteCarloConfig(
            n_chains=4, n_burn_in=200, n_records=800, n_sites_swept=1, n_kept=200
        ),
        evaluation=EvaluationConfig(n_samples=1000, n_shared=100, n_table=50, n_tables=4),
    ),
    "default": _DEFAULT,
    "long": replace(
        _DEFAULT, n_steps=5000, n_steps_of_spins=8000, flow=FlowConfig(n_couplings=4)),
}  # fmt: skip
