"""What is known of a trained posterior flow: numbers with errors, arrays for pictures."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from boltzgen.estimators import Coverage, Estimate, Uniformity, split_rhat
from pipeline.routes import Route
from posterior.settings import PosteriorConfig


@dataclass(frozen=True)
class Samples:
    """Weighted samples of the flow at one power and one observation.

    Args:
        beta: The power.
        x: Free numbers, (N, D).
        theta: All components of the parameters on their supports, (N, P).
        log_w: -E - log q, (N,).
        log_likelihood: (N,).
        energy: (N,); empty where it is not kept.
    """

    beta: float
    x: np.ndarray
    theta: np.ndarray
    log_w: np.ndarray
    log_likelihood: np.ndarray
    energy: np.ndarray = field(default_factory=lambda: np.empty(0))


class Covariances(NamedTuple):
    """Covariances of the estimated means and of the estimated standard deviations, (P, P)."""

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Reference:
    """Draws of the posterior at one power by Monte Carlo or exactly.

    Args:
        source: What they come from, in words.
        x: Free numbers, (N, D).
        theta: (N, P).
        blocks: Labels of correlated groups, (N,); None where all are independent.
        mean: Of each component with its error, (P,) each.
        mean_error: (P,).
        spread: Standard deviation of each component, (P,).
        spread_error: (P,).
        covariances: Of these estimates; None where they are not known.
    """

    source: str
    x: np.ndarray
    theta: np.ndarray
    blocks: np.ndarray | None
    mean: np.ndarray
    mean_error: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray
    covariances: Covariances | None = None


@dataclass(frozen=True)
class AtBeta:
    """Everything at one power.

    Args:
        samples: Of the flow.
        ess_reverse: ESS / N on samples of the flow.
        ess_forward: ESS / N on reference draws; None where there are none.
        khat: Pareto k-hat of the weights.
        log_z: Log evidence by importance sampling.
        mean, mean_error: Reweighted, with errors, of each component, (P,).
        spread, spread_error: The same of the standard deviation.
        reference: Draws to compare with.
        c2st: Accuracy of a classifier between flow (resampled) and reference with its error and
            p-value, at the power nearest to 1; None elsewhere.
        covariances: Of the estimates; None where they are not known.
    """

    samples: Samples
    ess_reverse: Estimate
    ess_forward: Estimate | None
    khat: float
    log_z: Estimate
    mean: np.ndarray
    mean_error: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray
    reference: Reference | None
    c2st: tuple[Estimate, float] | None
    covariances: Covariances | None = None

    @property
    def beta(self) -> float:
        """The power."""
        return self.samples.beta


@dataclass(frozen=True)
class OverObservations:
    """An amortised flow over many observations.

    Args:
        betas: Powers, (K,).
        observations: (M, n).
        ess: Reverse ESS / N, (M, K).
        ess_forward: Forward ESS / N on exact draws, (M, K); None where there are none.
        khat: (M, K).
        log_z: (M, K), with errors.
        log_z_error: (M, K).
        exact_log_z: (M, K); None where unknown.
    """

    betas: np.ndarray
    observations: np.ndarray
    ess: np.ndarray
    ess_forward: np.ndarray | None
    khat: np.ndarray
    log_z: np.ndarray
    log_z_error: np.ndarray
    exact_log_z: np.ndarray | None


@dataclass(frozen=True)
class Calibration:
    """Simulation-based calibration at beta = 1.

    Args:
        labels: Of the components that are ranked, (P,).
        n_draws: L, the draws that each truth is ranked among.
        ranks: By source ("flow, raw", "flow, reweighted"), whole numbers 0 to L, (M, P).
        uniformity: By source, one for each component.
        coverage: By source, one for each component.
        n_effective: Smallest and median effective sample size of the weighted samples.
    """

    labels: tuple[str, ...]
    n_draws: int
    ranks: dict[str, np.ndarray]
    uniformity: dict[str, list[Uniformity]]
    coverage: dict[str, list[Coverage]]
    n_effective: tuple[float, float]


@dataclass(frozen=True)
class ProposalChains:
    """Chains with the flow as proposal, at beta = 1 (or the power nearest to it).

    Args:
        beta: The power.
        acceptance: Share of accepted proposals.
        tau: Largest integrated autocorrelation time of a component, in steps, with its error.
        label: Of that component.
        theta: Draws, (n_chains, n_steps, P).
    """

    beta: float
    acceptance: float
    tau: Estimate
    label: str
    theta: np.ndarray

    @property
    def rhat(self) -> float:
        """Largest split R-hat of a component."""
        return max(
            split_rhat(np.ascontiguousarray(each)) for each in np.moveaxis(self.theta, -1, 0)
        )

    @property
    def n_effective(self) -> float:
        """Independent draws that all chains stand for, of the slowest component."""
        return self.theta[..., 0].size / max(1.0, 2 * self.tau.value)


@dataclass(frozen=True)
class PosteriorResults:
    """All of it.

    Args:
        labels: Of the components of the parameters.
        points: One for each power.
        evidence: Routes by name.
        over: Over many observations, where the flow is amortised.
        calibration: Where data can be simulated.
        chains: With the flow as proposal.
        warnings: What not to trust, one sentence each.
    """

    labels: tuple[str, ...]
    points: tuple[AtBeta, ...]
    evidence: dict[str, Route]
    over: OverObservations | None
    calibration: Calibration | None
    chains: ProposalChains | None
    warnings: tuple[str, ...]

    @property
    def betas(self) -> np.ndarray:
        """Powers, (K,)."""
        return np.array([point.beta for point in self.points])


@dataclass(frozen=True)
class PosteriorStory:
    """What the report tells.

    Args:
        title: The model.
        config: Settings of the run.
        results: The numbers.
        history: Metrics of all steps of the training.
        energy_calls: Evaluations of the energy by stage.
        seconds: Wall time by stage.
        command: The command line.
    """

    title: str
    config: PosteriorConfig
    results: PosteriorResults
    history: list[dict[str, float]]
    energy_calls: dict[str, int]
    seconds: dict[str, float]
    command: str
