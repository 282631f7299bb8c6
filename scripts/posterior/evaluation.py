"""Every number of a run on a posterior; nothing is clipped."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator as RandomGenerator
from numpy.random import default_rng
from torch import Generator

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import (
    Estimate,
    Moments,
    classifier_two_sample_test,
    forward_ess,
    log_evidence,
    pareto_khat,
    reliable,
    resample,
    reverse_ess,
    slope_table,
    thermodynamic_integration,
    weighted_moments,
)
from boltzgen.objectives import log_spaced_grid
from boltzgen.plots.series import EXACT
from boltzgen.random import spawn
from pipeline.console import ProgressBar
from pipeline.ladders import Ladders
from pipeline.mixture import mixture_log_z
from pipeline.routes import Route
from posterior.chain_evidence import chain_evidence
from posterior.exact import exact_draws, exact_log_z
from posterior.random import stream_for
from posterior.results import AtBeta, Covariances, Reference, Samples
from posterior.sampling import Model
from posterior.settings import PosteriorConfig

INTEGRAL, MIXTURE, SAMPLING = "integral of log L", "mixture of flows", "importance sampling"
CHAINS = "MBAR of the chains"
_N_COMPARED = 2000
_FEWEST_DIFFERENT = 20
_N_RESAMPLES = 100


@dataclass(frozen=True)
class Surroundings:
    """What an evaluation is made of.

    Args:
        model: The posterior and its flow.
        config: Settings.
        ladders: Draws by Monte Carlo, if any.
        show_progress: Whether to show bars.
    """

    model: Model
    config: PosteriorConfig
    ladders: Ladders | None
    show_progress: bool

    @property
    def y(self) -> tuple[float, ...]:
        """The observation of pictures and evidence."""
        return self.config.observation


def reported_betas(config: PosteriorConfig) -> np.ndarray:
    """Powers that are reported: even in log(beta + offset), with 1 where it is inside."""
    if config.low == config.high:
        return np.array([config.low])
    known = 1.0 if config.low <= 1 <= config.high else config.high
    grid = log_spaced_grid(
        config.low, config.high, config.evaluation.n_betas, known, offset=config.learn.offset
    )
    return np.array([float(f"{value:.10g}") for value in grid.values.tolist()])


def finer_grid(betas: np.ndarray, n_values: int, offset: float) -> np.ndarray:
    """The powers given and others between them, even in log(beta + offset), n_values or more."""
    n_parts = -(-(n_values - 1) // (len(betas) - 1))
    levels, shares = np.log(betas + offset), np.arange(1, n_parts) / n_parts
    inner = np.exp(levels[:-1, None] + shares * np.diff(levels)[:, None]) - offset
    return np.concatenate([np.column_stack([betas[:-1], inner]).ravel(), betas[-1:]])


def evaluate_points(around: Surroundings) -> tuple[AtBeta, ...]:
    """Weights, evidence, moments and comparison with reference draws at each power."""
    config, model = around.config, around.model
    betas = reported_betas(config)
    streams = spawn(stream_for("points", config.seed), len(betas))
    found = []
    with ProgressBar("samples", unit="power", enabled=around.show_progress) as progress:
        for number, (beta, stream) in enumerate(zip(betas, streams, strict=True)):
            progress(number, len(betas))
            drawing, exact = spawn(stream, 2)
            samples = model.draw(
                float(beta), around.y, config.evaluation.n_samples, generator=drawing
            )
            reference = reference_at(around, float(beta), generator=exact)
            rng = default_rng([config.seed, number])
            compared = number == int(np.abs(betas - 1).argmin())
            try:
                found.append(_at_beta(around, samples, reference, rng, compared=compared))
            except NonFiniteError as error:
                raise NonFiniteError(f"beta = {beta:.4g}: {error}") from error
        progress(len(betas), len(betas))
    return tuple(found)


def reference_at(around: Surroundings, beta: float, *, generator: Generator) -> Reference | None:
    """Draws to compare with: exact ones, or those of the chains."""
    model = around.model
    n = around.config.evaluation.n_samples
    x = exact_draws(model.posterior, beta, around.y, n, generator=generator)
    source, blocks = "exact draws", None
    if x is None and around.ladders is not None:
        chains = around.ladders.held_out(beta)
        if chains is not None:
            source, x = "replica exchange", chains.reshape(-1, chains.shape[-1])
            blocks = np.repeat(np.arange(len(chains)), chains.shape[1])
    if x is None:
        return None
    theta = model.components(torch.from_numpy(x))
    moments = weighted_moments(theta, blocks=blocks)
    mean_error, spread_error = known_errors(moments)
    return Reference(
        source, x, theta, blocks, moments.mean, mean_error, moments.spread, spread_error,
        Covariances(moments.mean_covariance, moments.spread_covariance),
    )  # fmt: skip


def _at_beta(
    around: Surroundings,
    samples: Samples,
    reference: Reference | None,
    rng: RandomGenerator,
    *,
    compared: bool,
) -> AtBeta:
    moments = weighted_moments(samples.theta, samples.log_w)
    mean_error, spread_error = known_errors(moments)
    return AtBeta(
        samples=samples,
        ess_reverse=reverse_ess(samples.log_w, rng=rng, n_resamples=_N_RESAMPLES),
        ess_forward=_forward(around, samples.beta, reference, rng),
        khat=pareto_khat(samples.log_w),
        log_z=log_evidence(samples.log_w),
        mean=moments.mean, mean_error=mean_error, spread=moments.spread,
        spread_error=spread_error, reference=reference,
        c2st=None if reference is None or not compared else _classifier(samples, reference, rng),
        covariances=Covariances(moments.mean_covariance, moments.spread_covariance),
    )  # fmt: skip


def known_errors(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Errors of means and standard deviations, (P,); NaN where the tail is too heavy for one."""
    return (
        np.where([reliable(float(k)) for k in moments.mean_khat], moments.mean_error, np.nan),
        np.where([reliable(float(k)) for k in moments.spread_khat], moments.spread_error, np.nan),
    )


def _forward(
    around: Surroundings, beta: float, reference: Reference | None, rng: RandomGenerator
) -> Estimate | None:
    if reference is None:
        return None
    log_w = around.model.log_weights(torch.from_numpy(reference.x), beta, around.y)
    return forward_ess(log_w, rng=rng, n_resamples=_N_RESAMPLES, blocks=reference.blocks)


def _classifier(
    samples: Samples, reference: Reference, rng: RandomGenerator
) -> tuple[Estimate, float] | None:
    """C2ST of resampled samples against reference draws.

    None without scikit-learn, which the program says, and where hardly any sample has weight.
    """
    if not has_classifier():
        return None
    n = min(_N_COMPARED, len(reference.x))
    ours = samples.x[resample(samples.log_w, n, rng=rng)]
    theirs = reference.x[rng.choice(len(reference.x), n, replace=False)]
    if min(len(np.unique(x, axis=0)) for x in (ours, theirs)) < _FEWEST_DIFFERENT:
        return None
    found = classifier_two_sample_test(ours, theirs, rng=rng)
    return Estimate(found.accuracy, found.corrected_error), found.p_value


def has_classifier() -> bool:
    """Whether scikit-learn is installed."""
    return importlib.util.find_spec("sklearn") is not None


def evidence_routes(
    around: Surroundings, points: Sequence[AtBeta]
) -> tuple[dict[str, Route], list[str]]:
    """Log Z over the powers, by routes that share as little as possible; and what failed."""
    betas = np.array([point.beta for point in points])
    exact = [exact_log_z(around.model.posterior, float(b), around.y) for b in betas]
    routes = {}
    if all(value is not None for value in exact):
        values = np.array([value for value in exact if value is not None])
        routes[EXACT] = Route(values, np.zeros(len(betas)))
    routes[SAMPLING] = Route(
        np.array([p.log_z.value for p in points]), np.array([p.log_z.error for p in points])
    )
    failed = []
    if around.ladders is not None:
        try:
            routes[CHAINS] = chain_evidence(around.ladders, around.model, betas)
        except (NonFiniteError, NotConvergedError) as error:
            failed.append(f"No evidence by {CHAINS}: {error}.")
    if len(betas) > 1:
        routes[MIXTURE] = _mixture(around, points)
        try:
            routes[INTEGRAL] = _integral(around, betas)
        except NonFiniteError as error:
            failed.append(f"No evidence by the integral of log L: {error}.")
    return routes, failed


def _mixture(around: Surroundings, points: Sequence[AtBeta]) -> Route:
    """All samples of all powers together, by their known mixture density (balance heuristic)."""
    n = min(around.config.evaluation.n_shared, len(points[0].samples.x))
    x = torch.from_numpy(np.concatenate([p.samples.x[:n] for p in points]))
    u_model = np.stack([-around.model.log_density(x, p.beta, around.y) for p in points])
    u_target = np.stack([around.model.energy(x, p.beta, around.y) for p in points])
    found = mixture_log_z(u_model, u_target, np.full(len(points), n))
    return Route(found.values, found.errors)


def _integral(around: Surroundings, betas: np.ndarray) -> Route:
    """Thermodynamic integration of the mean of log L over a finer grid, from fresh samples."""
    own, model = around.config.evaluation, around.model
    grid = finer_grid(betas, own.n_grid, around.config.learn.offset)
    streams = spawn(stream_for("integral", around.config.seed), len(grid))
    samples = []
    with ProgressBar("integral", unit="power", enabled=around.show_progress) as progress:
        for number, (beta, stream) in enumerate(zip(grid, streams, strict=True)):
            progress(number, len(grid))
            n = max(own.n_samples // 5, 100)
            samples.append(model.draw(float(beta), around.y, n, generator=stream))
        progress(len(grid), len(grid))
    table = slope_table(
        grid, [-one.log_likelihood for one in samples], [one.log_w for one in samples]
    )
    found = thermodynamic_integration(table)
    best = found.corrected or found.trapezoid
    at = np.searchsorted(grid, betas)
    return Route(  # Z(0) = 1, so that from there on nothing is relative
        best.values[at], best.errors[at], relative=bool(betas[0] > 0),
        discretisation=best.discretisation[at],
    )  # fmt: skip
