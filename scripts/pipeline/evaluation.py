"""Every number of a run: weights, free energies, thermodynamics, surfaces; nothing is clipped."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator as RandomGenerator
from numpy.random import default_rng
from torch import Generator

from boltzgen.estimators import (
    ALANINE_BASINS,
    ConditionalFreeEnergies,
    Estimate,
    Populations,
    Profile,
    Surface,
    Thermodynamics,
    angle_profile,
    basin_populations,
    block_labels,
    conditional_free_energies,
    elbo,
    eubo,
    evidence_gap,
    forward_ess,
    free_energy_surface,
    mixture_free_energies,
    pareto_khat,
    reverse_ess,
    thermodynamics,
)
from boltzgen.storage import ReducedEnergies
from pipeline.angles import AnglePair
from pipeline.console import ProgressBar
from pipeline.generation import WeightedSamples, draw, log_density, log_weights_of_frames
from pipeline.model import Model
from systems.charts import ChartedTarget
from systems.units import GAS_CONSTANT

_MANY = 16


@dataclass(frozen=True)
class Frames:
    """Frames of a simulation at one temperature, with labels of independent blocks.

    Args:
        source: What they come from, in words.
        temperature: K.
        x: Positions in nm, shape (N, n, 3).
        potential: kJ/mol, shape (N,).
        blocks: Labels, shape (N,).
    """

    source: str
    temperature: float
    x: np.ndarray
    potential: np.ndarray
    blocks: np.ndarray


@dataclass(frozen=True)
class Torsions:
    """Reweighted surface, profile of the first torsion and basins; None where there are none."""

    surface: Surface | None
    profile: Profile | None
    basins: Populations | None


@dataclass(frozen=True)
class AtTemperature:
    """What is known of the model at one temperature; None where no frames exist.

    Args:
        samples: The samples.
        ess_reverse: ESS / N on samples of the model.
        ess_forward: ESS / N on frames of a simulation.
        frames: Where those come from.
        n_outside: Frames outside the chart's domain, left out of the forward numbers.
        n_lost: Frames inside it at which the model has no density: the forward ESS is 0.
        khat: Pareto k-hat of the weights.
        elbo, eubo, gap: Bounds on log Z in the chart, and their distance.
        torsions: Surfaces over the two torsions.
    """

    samples: WeightedSamples
    ess_reverse: Estimate
    ess_forward: Estimate | None
    frames: str | None
    n_outside: int
    n_lost: int
    khat: float
    elbo: Estimate
    eubo: Estimate | None
    gap: Estimate | None
    torsions: Torsions

    @property
    def temperature(self) -> float:
        """K."""
        return self.samples.temperature


@dataclass(frozen=True)
class Evaluation:
    """All temperatures together."""

    points: tuple[AtTemperature, ...]
    free: ConditionalFreeEnergies
    mixture: ConditionalFreeEnergies
    thermodynamics: Thermodynamics
    u_kn: ReducedEnergies

    @property
    def temperatures(self) -> np.ndarray:
        """K, shape (M,)."""
        return np.array([point.temperature for point in self.points])

    @property
    def free_energy_errors(self) -> np.ndarray:
        """The larger of MBAR's asymptotic and bootstrap errors, kT, shape (M,)."""
        return np.fmax(self.free.errors, self.free.bootstrap_errors)


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    Args:
        temperatures: K.
        n_samples: At each temperature.
        n_resamples: Of every bootstrap.
        angles: The two torsions, if the molecule has them.
        frames: Simulations to compare with, by temperature.
        seed: Of samples and bootstrap.
        show_progress: Whether to show a bar.
    """

    temperatures: tuple[float, ...]
    n_samples: int
    n_resamples: int
    angles: AnglePair | None
    frames: dict[float, Frames]
    seed: int
    show_progress: bool


def evaluate(model: Model, target: ChartedTarget, request: Request) -> Evaluation:
    """Sample the model at every temperature and estimate everything."""
    rng = default_rng([request.seed, 1])
    samples = _draw_all(model, target, request)
    energies = cross_energies(model, samples, show_progress=request.show_progress)
    n_models = len(samples)
    arguments = (energies.u_kn[:n_models], energies.u_kn[n_models:], energies.n_k[:n_models])
    mixture = mixture_free_energies(*arguments, rng=rng, n_resamples=request.n_resamples)
    pooled = _pool(samples, mixture, request.angles)
    return Evaluation(
        points=tuple(
            _at_temperature(model, one, torsions, request, rng)
            for one, torsions in zip(samples, pooled, strict=True)
        ),
        free=conditional_free_energies(*arguments, rng=rng, n_resamples=request.n_resamples),
        mixture=mixture,
        thermodynamics=thermodynamics(
            np.array(request.temperatures),
            [one.potential for one in samples],
            [one.log_w for one in samples],
            k_b=GAS_CONSTANT, rng=rng, n_resamples=request.n_resamples,
        ),
        u_kn=energies,
    )  # fmt: skip


def _pool(
    samples: tuple[WeightedSamples, ...],
    mixture: ConditionalFreeEnergies,
    angles: AnglePair | None,
) -> list[Torsions]:
    """Surfaces at each temperature from the samples of all, by the balance heuristic.

    A basin that the model visits too rarely at one temperature is covered by its samples at the
    others, so that its population does not hang on a handful of large weights.
    """
    if angles is None:
        return [Torsions(None, None, None)] * len(samples)
    first, second = (
        np.concatenate(parts)
        for parts in zip(*(angles.measure(one.x) for one in samples), strict=True)
    )
    found = []
    for column in mixture.weights.T:
        with np.errstate(divide="ignore"):
            log_w = np.log(column)
        basins = None
        if angles.is_alanine:
            basins = basin_populations(first, second, log_w, basins=ALANINE_BASINS)
        surface = free_energy_surface(first, second, log_w)
        found.append(Torsions(surface, angle_profile(first, log_w), basins))
    return found


def _draw_all(model: Model, target: ChartedTarget, request: Request) -> tuple[WeightedSamples, ...]:
    generator = Generator().manual_seed(request.seed)
    found = []
    with ProgressBar("samples", unit="T", enabled=request.show_progress) as progress:
        for count, temperature in enumerate(request.temperatures):
            progress(count, len(request.temperatures))
            found.append(draw(model, target, temperature, request.n_samples, generator=generator))
        progress(len(found), len(found))
    return tuple(found)


def cross_energies(
    model: Model, samples: tuple[WeightedSamples, ...], *, show_progress: bool
) -> ReducedEnergies:
    """Reduced energies of all samples in all model states, then in all target states."""
    temperatures = [one.temperature for one in samples]
    rows = []
    with ProgressBar("u_kn", unit="T", enabled=show_progress) as progress:
        for count, temperature in enumerate(temperatures):
            progress(count, len(temperatures))
            rows.append(
                np.concatenate(
                    [
                        -(one.log_q if one.temperature == temperature
                          else log_density(model, one.z, temperature))
                        for one in samples
                    ]
                )
            )  # fmt: skip
        progress(len(temperatures), len(temperatures))
    for temperature in temperatures:
        rows.append(np.concatenate([one.reduced_energy(temperature) for one in samples]))
    counts = [one.log_q.size for one in samples] + [0] * len(samples)
    return ReducedEnergies(
        u_kn=np.stack(rows),
        n_k=np.array(counts),
        temperatures=np.array(temperatures * 2),
        state_names=tuple(
            f"{kind} {temperature:g} K"
            for kind in ("model", "target")
            for temperature in temperatures
        ),
        attributes={"system": model.config.system, "seed": model.config.seed},
    )


def _at_temperature(
    model: Model,
    samples: WeightedSamples,
    torsions: Torsions,
    request: Request,
    rng: RandomGenerator,
) -> AtTemperature:
    log_w = samples.log_w
    frames = request.frames.get(samples.temperature)
    forward, upper, n_outside, n_lost = None, None, 0, 0
    if frames is not None:
        at_frames = log_weights_of_frames(model, frames.x, frames.potential, frames.temperature)
        inside = ~np.isneginf(at_frames)
        n_outside = int((~inside).sum())
        n_lost = int(np.isposinf(at_frames).sum())
        blocks = frames.blocks[inside]
        if n_lost:  # the model has no density there
            forward = Estimate(0.0, np.nan)
        elif np.unique(blocks).size > 1:
            forward = forward_ess(
                at_frames[inside], rng=rng, n_resamples=request.n_resamples, blocks=blocks
            )
            upper = eubo(at_frames[inside], blocks=blocks)
        else:  # too short a simulation for an error: the value stands without one
            forward = Estimate(forward_ess(at_frames[inside], rng=rng).value, np.nan)
            upper = Estimate(eubo(at_frames[inside]).value, np.nan)
    lower = elbo(log_w)
    return AtTemperature(
        samples=samples,
        ess_reverse=reverse_ess(log_w, rng=rng, n_resamples=request.n_resamples),
        ess_forward=forward,
        frames=None if frames is None else frames.source,
        n_outside=n_outside,
        n_lost=n_lost,
        khat=pareto_khat(log_w),
        elbo=lower,
        eubo=upper,
        gap=None if upper is None else evidence_gap(upper, lower),
        torsions=torsions,
    )


def blocks_of(x: np.ndarray, potential: np.ndarray, angles: AnglePair | None) -> np.ndarray:
    """Labels of independent blocks of frames of several chains, one chain after the other.

    Where there are many chains, each is a block, however slow the slowest motion is. Few chains
    are cut into blocks longer than their correlation.

    Args:
        x: Positions, shape (M, N, n, 3).
        potential: Shape (M, N).
        angles: Torsions whose sines and cosines count as observables.

    Returns:
        Shape (M N,).
    """
    n_chains, n_frames = potential.shape
    if n_chains >= _MANY:
        return np.repeat(np.arange(n_chains), n_frames)
    found, n_blocks = [], 0
    for chain, u in zip(x, potential, strict=True):
        labels = chain_blocks(chain, u, angles)
        found.append(labels + n_blocks)
        n_blocks += int(labels[-1]) + 1
    return np.concatenate(found)


def chain_blocks(x: np.ndarray, potential: np.ndarray, angles: AnglePair | None) -> np.ndarray:
    """Labels of blocks of five correlation times of the slowest observable of one chain.

    Args:
        x: Positions along the chain, shape (N, n, 3).
        potential: Shape (N,).
        angles: Torsions whose sines and cosines count as observables.
    """
    series = [potential.astype(np.float64)]
    if angles is not None:
        for theta in angles.measure(x):
            series += [np.cos(theta), np.sin(theta)]
    labels = [block_labels(values) for values in series]
    return min(labels, key=lambda found: int(found[-1]))
