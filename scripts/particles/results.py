"""What is known of a trained flow of particles: numbers with errors, arrays for pictures."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from boltzgen.estimators import Estimate, Thermodynamics
from boltzgen.flows.free_form import RoundTrip
from particles.settings import ParticleConfig
from pipeline.routes import Route


@dataclass(frozen=True)
class Draws:
    """Configurations at one temperature.

    Args:
        x: Centred, float64 (M, *E).
        potential: (M,).
        distances: Of all pairs, (M, P).
    """

    x: np.ndarray
    potential: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Reference:
    """Held-out draws by replica exchange at one temperature.

    Args:
        draws: All of them.
        blocks: Ladder of each, (M,).
        energy: Mean potential with its error.
        tau: Integrated autocorrelation time of the potential, in steps.
        acceptance: Of the trajectories.
    """

    draws: Draws
    blocks: np.ndarray
    energy: Estimate
    tau: Estimate
    acceptance: float


@dataclass(frozen=True)
class Distances:
    """Two-Wasserstein distances from the reference.

    Args:
        raw: Of the samples as the flow draws them.
        weighted: Of the weighted samples.
        floor: Of one half of the ladders from the other: what two perfect sets differ by.
    """

    raw: float
    weighted: float
    floor: float


@dataclass(frozen=True)
class AtTemperature:
    """Everything at one temperature.

    Args:
        T: The temperature.
        draws: Samples of the flow.
        log_w: Their log-weights, -U / T - log q, (M,).
        ess_reverse: ESS / N on them.
        ess_forward: ESS / N on reference draws.
        khat: Pareto k-hat of the weights.
        log_z: By importance sampling.
        energy: Mean potential, reweighted.
        nll: Mean of -log q over reference draws, in nats; infinite where one has no density.
        n_compared: Reference draws that these two are taken from.
        n_lost: Of these, without a latent.
        round_trip: Certificate of encoder and decoder.
        reference: What it is compared with.
        pair: Distances of the distribution of pair distances, in units of x.
        potential: Of that of the potential, in its unit.
    """

    T: float
    draws: Draws
    log_w: np.ndarray
    ess_reverse: Estimate
    ess_forward: Estimate
    khat: float
    log_z: Estimate
    energy: Estimate
    nll: Estimate
    n_compared: int
    n_lost: int
    round_trip: RoundTrip
    reference: Reference
    pair: Distances
    potential: Distances

    @property
    def z(self) -> float:
        """Difference of the mean potential from the reference, in standard errors.

        The error of the reference comes from few ladders: the quotient follows Student's t (Welch
        and Satterthwaite), and what is given is the normal number that is as unlikely.
        """
        ours, theirs = self.energy, self.reference.energy
        error = float(np.hypot(ours.error, theirs.error))
        quotient = (ours.value - theirs.value) / error
        n_ladders = len(np.unique(self.reference.blocks))
        dof = (n_ladders - 1) * (error / theirs.error) ** 4
        return float(np.sign(quotient) * stats.norm.isf(stats.t.sf(abs(quotient), dof)))


@dataclass(frozen=True)
class ParticleResults:
    """All of it.

    Args:
        points: One for each temperature, rising.
        log_z: Log Z by routes, by name.
        thermodynamics: F, U, S, C_v.
        n_parameters: Of encoder and decoder.
        warnings: What not to trust, one sentence each.
    """

    points: tuple[AtTemperature, ...]
    log_z: dict[str, Route]
    thermodynamics: Thermodynamics
    n_parameters: int
    warnings: tuple[str, ...]

    @property
    def temperatures(self) -> np.ndarray:
        """(K,)."""
        return np.array([point.T for point in self.points])


@dataclass(frozen=True)
class ParticleStory:
    """What the report tells.

    Args:
        title: The system.
        unit: Of its energy.
        config: Settings of the run.
        results: The numbers.
        history: Metrics of all steps of the training.
        energy_calls: Evaluations of the energy by stage.
        seconds: Wall time by stage.
        command: The command line.
    """

    title: str
    unit: str
    config: ParticleConfig
    results: ParticleResults
    history: list[dict[str, float]]
    energy_calls: dict[str, int]
    seconds: dict[str, float]
    command: str
