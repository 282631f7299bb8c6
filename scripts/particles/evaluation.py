"""Every number of a run on particles; nothing is clipped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import default_rng
from torch import Generator, Tensor

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import (
    Estimate,
    Thermodynamics,
    eubo,
    forward_ess,
    log_evidence,
    pareto_khat,
    reverse_ess,
    thermodynamics,
    wasserstein_2,
    weighted_moments,
)
from boltzgen.flows.free_form import FreeFormFlow, round_trip
from boltzgen.random import spawn
from particles.random import stream_for
from particles.reference import autocorrelation, ladder_evidence, potential_of
from particles.results import AtTemperature, Distances, Draws, Reference
from particles.settings import ParticleConfig
from pipeline.console import ProgressBar
from pipeline.ladders import Ladders
from pipeline.mixture import mixture_log_z
from pipeline.routes import Route
from systems.counting import CountedTarget
from systems.particles import ParticleCluster

SAMPLING, MIXTURE = "importance sampling", "mixture of flows"
CHAINS = "MBAR of the chains"
_CHUNK = 500
_N_RESAMPLES = 200


@dataclass(frozen=True)
class Surroundings:
    """What an evaluation is made of.

    Args:
        cluster: The system.
        target: The same, counting its calls.
        flow: In float64.
        config: Settings.
        ladders: Draws by replica exchange.
        show_progress: Whether to show bars.
    """

    cluster: ParticleCluster
    target: CountedTarget
    flow: FreeFormFlow
    config: ParticleConfig
    ladders: Ladders
    show_progress: bool


def reported_temperatures(config: ParticleConfig) -> np.ndarray:
    """Temperatures that are reported: even in log T, with that of the data among them.

    It takes the place of an inner one that is nearer than a quarter of their distance.
    """
    if config.low == config.high:
        return np.array([config.low])
    n, at = config.evaluation.n_temperatures, config.learn.at
    grid = np.geomspace(config.low, config.high, n)
    close = np.abs(np.log(grid / at)) < 0.25 * np.log(config.high / config.low) / (n - 1)
    close[[0, -1]] = False
    found = np.union1d(grid[~close], at)
    rounded = np.array([float(f"{value:.6g}") for value in found])
    rounded[[0, -1]] = config.low, config.high
    rounded[np.abs(found - at).argmin()] = at
    return np.unique(rounded)


def evaluate_points(around: Surroundings) -> tuple[AtTemperature, ...]:
    """Weights, likelihood, certificate and structure at each temperature."""
    temperatures = reported_temperatures(around.config)
    streams = spawn(stream_for("points", around.config.seed), len(temperatures))
    found = []
    with ProgressBar("samples", unit="temperature", enabled=around.show_progress) as progress:
        for number, (T, stream) in enumerate(zip(temperatures, streams, strict=True)):
            progress(number, len(temperatures))
            found.append(_at(around, float(T), stream))
        progress(len(temperatures), len(temperatures))
    return tuple(found)


def _at(around: Surroundings, T: float, generator: Generator) -> AtTemperature:
    own, rng = around.config.evaluation, default_rng(around.config.seed)
    drawing, certifying = spawn(generator, 2)
    draws, log_w = _draw(around, T, own.n_samples, generator=drawing)
    reference = _reference(around, T)
    rows = np.linspace(0, len(reference.blocks) - 1, own.n_compared).astype(np.int64)
    rows = np.unique(rows)
    x, blocks = torch.from_numpy(reference.draws.x[rows]), reference.blocks[rows]
    log_q = log_density(around.flow, x, T)
    n_lost = int(np.isneginf(log_q).sum())
    at_reference = -reference.draws.potential[rows] / T - log_q
    moments = weighted_moments(draws.potential[:, None], log_w)
    few = x[:: max(1, len(x) // own.n_certified)][: own.n_certified]
    return AtTemperature(
        T=T, draws=draws, log_w=log_w,
        ess_reverse=reverse_ess(log_w, rng=rng, n_resamples=_N_RESAMPLES),
        ess_forward=Estimate(0.0, float("nan")) if n_lost
        else forward_ess(at_reference, rng=rng, n_resamples=_N_RESAMPLES, blocks=blocks),
        khat=pareto_khat(log_w), log_z=log_evidence(log_w),
        energy=Estimate(float(moments.mean[0]), float(moments.mean_error[0])),
        nll=Estimate(float("inf"), float("nan")) if n_lost else eubo(-log_q, blocks=blocks),
        n_compared=len(rows), n_lost=n_lost,
        round_trip=round_trip(around.flow, few, _controls(T, len(few)), generator=certifying),
        reference=reference,
        pair=_distances(draws.distances, log_w, reference, reference.draws.distances),
        potential=_distances(
            draws.potential[:, None], log_w, reference, reference.draws.potential[:, None]
        ),
    )  # fmt: skip


def _controls(T: float, n: int) -> Tensor:
    return torch.full((n, 1), T, dtype=torch.float64)


@torch.no_grad()
def _draw(
    around: Surroundings, T: float, n: int, *, generator: Generator
) -> tuple[Draws, np.ndarray]:
    """Samples of the flow and their log-weights."""
    parts = []
    for count in [_CHUNK] * (n // _CHUNK) + [n % _CHUNK] * (n % _CHUNK > 0):
        c = _controls(T, count)
        x, log_q = around.flow.sample_and_log_prob(c, generator=generator)
        energy = around.target.energy(x, c)
        parts.append((x, T * energy, around.cluster.distances(x), -energy - log_q))
    columns = [torch.cat(each).numpy() for each in zip(*parts, strict=True)]
    return Draws(*columns[:3]), columns[3]


@torch.no_grad()
def log_density(flow: FreeFormFlow, x: Tensor, T: float) -> np.ndarray:
    """Log q of configurations, (M,); -inf where no latent was found."""
    parts = [flow.log_prob(each, _controls(T, len(each))) for each in x.split(_CHUNK)]
    return torch.cat(parts).numpy()


def _reference(around: Surroundings, T: float) -> Reference:
    ladders, cluster = around.ladders, around.cluster
    everything, x = ladders.at(T), ladders.held_out(T)
    if x is None or everything is None:
        raise ValueError(f"T: expected a rung of the ladder, got {T:g}")
    potential = potential_of(cluster, x)
    means = potential.mean(1)
    energy = Estimate(float(means.mean()), float(means.std(ddof=1) / np.sqrt(len(means))))
    rows = x.reshape(-1, *x.shape[2:])
    return Reference(
        draws=Draws(rows, potential.ravel(), cluster.distances(torch.from_numpy(rows)).numpy()),
        blocks=np.repeat(np.arange(len(x)), x.shape[1]),
        energy=energy,
        tau=autocorrelation(potential_of(cluster, everything), around.config.chains.n_between),
        acceptance=float(ladders.acceptance[np.abs(ladders.values - T).argmin()]),
    )  # fmt: skip


def _distances(
    ours: np.ndarray, log_w: np.ndarray, reference: Reference, theirs: np.ndarray
) -> Distances:
    """Of all columns of (M, P) together; the floor is that between halves of the ladders."""
    flat = ours.ravel()
    half = reference.blocks < (reference.blocks.max() + 1) // 2
    return Distances(
        raw=_finite_distance(flat, theirs.ravel(), None),
        weighted=_finite_distance(flat, theirs.ravel(), np.repeat(log_w, ours.shape[1])),
        floor=wasserstein_2(theirs[half].ravel(), theirs[~half].ravel()),
    )


def _finite_distance(x: np.ndarray, y: np.ndarray, log_w: np.ndarray | None) -> float:
    """As `wasserstein_2`; infinite where a sample with weight is."""
    counted = np.ones(x.size, dtype=bool) if log_w is None else np.isfinite(log_w)
    if not np.isfinite(x[counted]).all():
        return float("inf")
    return wasserstein_2(x[counted], y, log_w=None if log_w is None else log_w[counted])


def evidence_routes(
    around: Surroundings, points: Sequence[AtTemperature]
) -> tuple[dict[str, Route], list[str]]:
    """Log Z over the temperatures, by routes that share as little as possible; what failed."""
    routes = {
        SAMPLING: Route(
            np.array([p.log_z.value for p in points]), np.array([p.log_z.error for p in points])
        )
    }
    failed = []
    if len(points) > 1:
        try:
            routes[CHAINS] = _chains(around, points)
        except NotConvergedError as error:
            failed.append(f"No free energies by {CHAINS}: {error}.")
        try:
            routes[MIXTURE], n_lost = _mixture(around, points)
        except NonFiniteError as error:
            failed.append(f"No free energies by {MIXTURE}: {error}.")
            n_lost = 0
        if n_lost:
            failed.append(
                f"Free energies by {MIXTURE}: for {n_lost} pairs of a sample and the flow of "
                "another temperature no latent was found; the density there counts as 0."
            )
    return routes, failed


def _chains(around: Surroundings, points: Sequence[AtTemperature]) -> Route:
    """By MBAR of the chains, from the temperature of the data on, where the flow says log Z."""
    temperatures = np.array([point.T for point in points])
    anchor = int(np.abs(temperatures - around.config.learn.at).argmin())
    found = ladder_evidence(around.cluster, around.ladders, temperatures, anchor=anchor)
    fixed = points[anchor].log_z
    return Route(found.values + fixed.value, np.hypot(found.errors, fixed.error))


def _mixture(around: Surroundings, points: Sequence[AtTemperature]) -> tuple[Route, int]:
    """All samples of all temperatures together, by their known mixture density.

    Samples know their density under their own flow; those of other flows have to be found. The
    second is how many were not.
    """
    n = min(around.config.evaluation.n_shared, len(points[0].log_w))
    x = torch.from_numpy(np.concatenate([p.draws.x[:n] for p in points]))
    potential = np.concatenate([p.draws.potential[:n] for p in points])
    u_model = np.empty((len(points), len(x)))
    for k, point in enumerate(points):
        own = np.arange(k * n, (k + 1) * n)
        others = np.setdiff1d(np.arange(len(x)), own)
        u_model[k, own] = point.draws.potential[:n] / point.T + point.log_w[:n]
        u_model[k, others] = -log_density(around.flow, x[others], point.T)
    u_target = np.stack([potential / p.T for p in points])
    found = mixture_log_z(u_model, u_target, np.full(len(points), n))
    return Route(found.values, found.errors), int(np.isposinf(u_model).sum())


def thermodynamics_of(points: Sequence[AtTemperature], seed: int) -> Thermodynamics:
    """F, U, S and C_v, each temperature by its own samples."""
    return thermodynamics(
        np.array([p.T for p in points]), [p.draws.potential for p in points],
        [p.log_w for p in points], k_b=1.0, rng=default_rng(seed),
    )  # fmt: skip
