"""All settings of a run on a cluster of particles, and the presets."""

from dataclasses import dataclass, replace
from typing import Literal

from boltzgen.training import TrainConfig
from pipeline.ladders import LadderConfig

CarryName = Literal["backward-kl", "trade", "samples", "none"]
CARRIES: tuple[CarryName, ...] = ("backward-kl", "trade", "samples", "none")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Encoder and decoder, two networks of one shape.

    Args:
        n_layers: Layers of the graph network.
        n_hidden: Width of features and messages.
    """

    n_layers: int = 8
    n_hidden: int = 32


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """How the flow is trained: maximum likelihood at one temperature, carried to the others.

    Args:
        at: Temperature of the data.
        carry: How the other temperatures are learnt: from energies, or from draws of their own.
        batch_size: Data of a step.
        reconstruction: Weight of the squared reconstruction error, in units of the spread of x.
        start: Share of it at the first step; all of it from half of the steps on.
        carry_weight: Weight of the other objective beside the likelihood.
        n_carried: Samples of a step for it.
        warm_up: Steps of maximum likelihood alone.
        ramp: Steps over which the other comes in.
        n_watched: Held-out data whose exact likelihood is looked at while training.
        n_looks: How often.
    """

    at: float
    carry: CarryName
    batch_size: int
    reconstruction: float
    start: float
    carry_weight: float
    n_carried: int
    warm_up: int
    ramp: int
    n_watched: int
    n_looks: int


@dataclass(frozen=True, kw_only=True)
class ParticleChains(LadderConfig):
    """Replica exchange over the temperatures.

    Args:
        n_rungs: Temperatures from the lowest to the hottest, besides those that are reported.
        hottest: Highest temperature, or that of the range if it is higher.
    """

    n_rungs: int = 6
    hottest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is drawn and estimated.

    Args:
        n_temperatures: At which everything is reported.
        n_samples: Samples of the flow at each.
        n_compared: Reference draws at each whose density is worked out.
        n_certified: Points of each certificate.
        n_shared: Samples at each temperature that all temperatures share, for the mixture.
    """

    n_temperatures: int
    n_samples: int
    n_compared: int
    n_certified: int
    n_shared: int


@dataclass(frozen=True, kw_only=True)
class ParticleConfig:
    """A run.

    Args:
        system: Name of the cluster.
        low: Lowest temperature.
        high: Highest.
        preset: Name of the preset.
        seed: Of everything random but the reference.
        network: Encoder and decoder.
        learn: The objective.
        train: The optimiser.
        chains: The reference, and the data.
        evaluation: What is estimated.
        checkpoint_every: Steps between checkpoints.
    """

    system: str
    low: float
    high: float
    preset: str
    seed: int
    network: NetworkConfig
    learn: LearnConfig
    train: TrainConfig
    chains: ParticleChains
    evaluation: EvaluationConfig
    checkpoint_every: int = 250


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Sizes that depend on the system and on the time there is."""

    n_steps: int
    learning_rate: float
    batch_size: int
    reconstruction: float
    carry_weight: float
    n_carried: int
    n_watched: int
    network: NetworkConfig
    chains: ParticleChains
    evaluation: EvaluationConfig
    start: float = 0.1
    n_looks: int = 10

    def learn(self, at: float, carry: CarryName, n_steps: int) -> LearnConfig:
        """Settings of the objective."""
        return LearnConfig(
            at=at, carry=carry, batch_size=self.batch_size, reconstruction=self.reconstruction,
            start=self.start, carry_weight=self.carry_weight, n_carried=self.n_carried,
            warm_up=n_steps // 3, ramp=n_steps // 6, n_watched=self.n_watched,
            n_looks=self.n_looks,
        )  # fmt: skip


_DW4 = Preset(
    n_steps=6000, learning_rate=2e-3, batch_size=256, reconstruction=200.0, carry_weight=0.1,
    n_carried=64, n_watched=200, network=NetworkConfig(),
    chains=ParticleChains(n_ladders=64, n_steps=6000, n_between=10, n_leapfrog=10, hottest=4.5),
    evaluation=EvaluationConfig(
        n_temperatures=5, n_samples=10_000, n_compared=2000, n_certified=300, n_shared=500
    ),
)  # fmt: skip
_LJ13 = Preset(
    n_steps=2000, learning_rate=2e-3, batch_size=128, reconstruction=200.0, carry_weight=0.1,
    n_carried=32, n_watched=50, network=NetworkConfig(n_layers=6),
    chains=ParticleChains(n_ladders=32, n_steps=6000, n_between=10, n_leapfrog=10, hottest=2.0),
    evaluation=EvaluationConfig(
        n_temperatures=3, n_samples=600, n_compared=120, n_certified=24, n_shared=24
    ),
)  # fmt: skip
_LJ55 = Preset(
    n_steps=300, learning_rate=2e-3, batch_size=16, reconstruction=500.0, carry_weight=0.1,
    n_carried=4, n_watched=2, n_looks=2, network=NetworkConfig(n_layers=4),
    chains=ParticleChains(n_ladders=8, n_steps=1000, n_between=10, n_leapfrog=10, hottest=2.0),
    evaluation=EvaluationConfig(
        n_temperatures=2, n_samples=30, n_compared=4, n_certified=2, n_shared=2
    ),
)  # fmt: skip
_SMOKE = Preset(
    n_steps=40, learning_rate=2e-3, batch_size=16, reconstruction=200.0, carry_weight=0.3,
    n_carried=8, n_watched=8, n_looks=2, network=NetworkConfig(n_layers=2, n_hidden=8),
    chains=ParticleChains(
        n_ladders=8, n_tuning=100, n_burn_in=50, n_steps=160, n_between=4, n_leapfrog=5,
        n_rungs=4, hottest=2.0,
    ),
    evaluation=EvaluationConfig(
        n_temperatures=3, n_samples=64, n_compared=32, n_certified=8, n_shared=16
    ),
)  # fmt: skip


def presets(system: str) -> dict[str, Preset]:
    """Presets of a system, by name."""
    default = {"dw4": _DW4, "lj13": _LJ13, "lj55": _LJ55}[system]
    return {
        "smoke": _SMOKE,
        "default": default,
        "long": replace(default, n_steps=4 * default.n_steps),
    }
