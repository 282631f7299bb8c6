"""All settings of a run, and the presets."""

from dataclasses import dataclass, replace

from boltzgen.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class ChainsConfig:
    """Hamiltonian Monte Carlo at the top temperature, many chains at once (backend "tensor").

    Args:
        n_chains: Independent chains.
        n_held_out: How many of them are kept for testing.
        n_frames: Frames of each, one after every trajectory.
        n_leapfrog: Mean number of steps of a trajectory.
        n_tuning: Trajectories in which the step size is tuned.
        n_discarded: Trajectories after that and before the first frame.
        n_tasks: Equal shares of the chains, each the work of one process.
    """

    n_chains: int
    n_held_out: int
    n_frames: int
    n_leapfrog: int = 50
    n_tuning: int = 60
    n_discarded: int = 100
    n_tasks: int = 4

    def __post_init__(self) -> None:
        _check_held_out(self.n_held_out, self.n_chains)


@dataclass(frozen=True, kw_only=True)
class DynamicsConfig:
    """Molecular dynamics by OpenMM at the top temperature (backend "openmm").

    Args:
        n_trajectories: Independent trajectories.
        n_held_out: How many of them are kept for testing.
        n_frames: Frames of each.
        spacing_steps: Steps between frames.
        equilibration_steps: Steps before the first frame.
    """

    n_trajectories: int
    n_held_out: int
    n_frames: int
    spacing_steps: int
    equilibration_steps: int

    def __post_init__(self) -> None:
        _check_held_out(self.n_held_out, self.n_trajectories)


def _check_held_out(n_held_out: int, n_all: int) -> None:
    if not 1 <= n_held_out < n_all:
        raise ValueError(f"n_held_out: expected 1 to {n_all - 1}, got {n_held_out}")


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """The coupling flow: affine layers for whitened numbers, circular splines for torsions."""

    n_layers: int
    n_hidden: int
    n_blocks: int = 1
    n_bins: int = 8
    n_spline_layers: int = 0


@dataclass(frozen=True, kw_only=True)
class FreeFormConfig:
    """A free-form flow in place of the coupling flow: two dense networks, backward KL below HIGH.

    Args:
        n_hidden: Width of encoder and decoder.
        n_blocks: Their residual blocks.
        reconstruction: Weight of the squared reconstruction error.
        start: Share of it at the first step; all of it from half of the steps on.
        carry_weight: Weight of the backward KL beside the likelihood.
        n_carried: Its samples a step.
        ceiling: Reduced energy from which on it sees a logarithm.
    """

    n_hidden: int = 256
    n_blocks: int = 3
    reconstruction: float = 100.0
    start: float = 0.1
    carry_weight: float = 0.05
    n_carried: int = 64
    ceiling: float = 200.0


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Forward KL at the data temperature, TRADE on a grid, log-variance on the same grid.

    Args:
        batch_size: Data frames a step.
        warm_up: Steps of forward KL alone.
        ramp: Steps over which the other terms come in.
        data_weight: Weight of forward KL; the other terms are balanced to its unweighted gradient.
            Low weights overfit less and lose rare basins more easily.
        n_grid: Temperatures of the grid.
        trade_weight: Weight of TRADE after its gradient is balanced against forward KL's.
        trade_points: Evaluation points a step.
        trade_reach: Greatest distance, in grid points, to the warmer one the points come from.
        trade_noise: Noise on them, in whitened units at the data temperature.
        exact_derivative: Whether d log q / d log T is by autograd; else by central difference.
        huber: Where the penalties turn linear.
        causality: Strength of the causal weights.
        table_samples: Samples of each grid temperature and refresh of the table.
        table_every: Steps between refreshes.
        spread_weight: Weight of the log-variance term, balanced as well; 0 leaves it out.
        spread_controls: Temperatures it uses a step.
        spread_samples: Samples at each.
        spread_candidates: Samples of which these are chosen, those that the flow undervalues first
            (`MissingPoints`); as many as `spread_samples` for no choice.
        spread_reach: Greatest distance, in grid points, to the warmer one the samples come from.
        energy_weight: Weight of the log-variance on data frames, balanced as well; 0 leaves it out.
        energy_points: Frames it uses a step.
        energy_cap: In training, energies grow only like a logarithm from so many kT above the mean
            of the data, at their temperature; None for exact ones. Weights are always exact.
    """

    batch_size: int
    warm_up: int
    ramp: int
    data_weight: float = 0.2
    n_grid: int = 25
    trade_weight: float = 0.5
    trade_points: int = 256
    trade_reach: int = 8
    trade_noise: float = 3e-4
    exact_derivative: bool = True
    huber: float = 4.0
    causality: float = 0.1
    table_samples: int = 200
    table_every: int = 200
    spread_weight: float = 1.0
    spread_controls: int = 4
    spread_samples: int = 64
    spread_candidates: int = 512
    spread_reach: int = 8
    energy_weight: float = 1.0
    energy_points: int = 128
    energy_cap: float | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured at the end: temperatures of the grid, samples at each, resamples."""

    n_temperatures: int = 7
    n_samples: int = 10_000
    n_resamples: int = 100


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides the outcome of a run, and the name of its molecule.

    `backend` says what samples the data and evaluates energies: "tensor" (`TensorTarget`) or
    "openmm" (`OpenMMTarget`, and molecular dynamics). With `free_form` the flow is that one.
    """

    system: str
    system_hash: str
    low: float
    high: float
    seed: int
    preset: str
    backend: str
    chains: ChainsConfig
    dynamics: DynamicsConfig
    flow: FlowConfig
    objective: ObjectiveConfig
    train: TrainConfig
    evaluation: EvaluationConfig
    checkpoint_every: int
    compiled: bool
    free_form: FreeFormConfig | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The part of a run's settings that a preset decides."""

    checkpoint_every: int
    chains: ChainsConfig
    dynamics: DynamicsConfig
    flow: FlowConfig
    objective: ObjectiveConfig
    train: TrainConfig
    evaluation: EvaluationConfig
    compiled: bool = True


BACKENDS = ("tensor", "openmm")
FLOWS = ("coupling", "free-form")
_CHAINS = ChainsConfig(n_chains=512, n_held_out=128, n_frames=600)
_DYNAMICS = DynamicsConfig(
    n_trajectories=8, n_held_out=2, n_frames=20_000, spacing_steps=100, equilibration_steps=30_000
)

PRESETS = {
    "smoke": Preset(
        checkpoint_every=20,
        compiled=False,
        chains=ChainsConfig(
            n_chains=32,
            n_held_out=8,
            n_frames=50,
            n_leapfrog=10,
            n_tuning=30,
            n_discarded=30,
            n_tasks=1,
        ),
        dynamics=DynamicsConfig(
            n_trajectories=4,
            n_held_out=1,
            n_frames=400,
            spacing_steps=20,
            equilibration_steps=2_000,
        ),
        flow=FlowConfig(n_layers=2, n_hidden=32),
        objective=ObjectiveConfig(
            batch_size=128,
            warm_up=20,
            ramp=10,
            n_grid=5,
            trade_points=32,
            table_samples=32,
            table_every=20,
            spread_controls=2,
            spread_samples=16,
            spread_candidates=32,
        ),
        train=TrainConfig(n_steps=60, learning_rate=2e-3, warm_up=10, average_decay=0.9),
        evaluation=EvaluationConfig(n_temperatures=3, n_samples=500, n_resamples=20),
    ),
    "default": Preset(
        checkpoint_every=250,
        chains=_CHAINS,
        dynamics=_DYNAMICS,
        flow=FlowConfig(n_layers=8, n_hidden=128),
        objective=ObjectiveConfig(batch_size=512, warm_up=1000, ramp=200),
        train=TrainConfig(n_steps=5000, learning_rate=2e-3, average_decay=0.995),
        evaluation=EvaluationConfig(),
    ),
    "full": Preset(
        checkpoint_every=250,
        chains=replace(_CHAINS, n_chains=1024, n_held_out=256),
        dynamics=replace(_DYNAMICS, n_frames=40_000),
        flow=FlowConfig(n_layers=8, n_hidden=128),
        objective=ObjectiveConfig(batch_size=512, warm_up=1000, ramp=200),
        train=TrainConfig(n_steps=20_000, learning_rate=2e-3, average_decay=0.999),
        evaluation=EvaluationConfig(),
    ),
}
