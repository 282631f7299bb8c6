"""What a trained flow says at one point of a sweep, and along its grid."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.config import from_mapping, to_mapping
from boltzgen.random import spawn
from pipeline.memory import keep_freed_memory
from sweep.lattice import Lattice, LatticeConfig
from sweep.model import bounds_of, unpack
from sweep.models import open_lattice
from sweep.points import Point, Result, Setting
from sweep.settings import FlowConfig, SweepConfig

_CHUNK = 1000
_REVISION = 1
"""Of what a point's result holds and how it is made; raised when either changes."""
_FLOW_SEEDS = 1_000_003
"""Away from the seed of the run, whose streams are the first weights and the training."""


def flow_points(
    config: SweepConfig, values: Sequence[tuple[float, ...]], weights: str
) -> list[Point]:
    """Points of the flow: values of the controls, and the model itself."""
    n_shared = min(config.evaluation.n_shared, max(10_000 // len(values), 20))
    common = {
        "lattice": to_mapping(config.lattice), "revision": _REVISION, "bounds": bounds_of(config),
        "flow": to_mapping(config.flow), "weights": weights, "grid": values,
        "n_samples": config.evaluation.n_samples, "n_shared": n_shared,
    }  # fmt: skip
    return [
        Point(
            label="flow " + label_of(config.lattice, at),
            couplings=config.lattice.couplings(at),
            seed=config.seed + 7919 * number + _FLOW_SEEDS,
            settings=cast(Mapping[str, Setting], {**common, "at": at}),
        )
        for number, at in enumerate(values)
    ]


def label_of(lattice: LatticeConfig, values: Sequence[float]) -> str:
    """The point by its controls, such as kappa=0.25."""
    return ",".join(f"{k}={v:.12g}" for k, v in zip(lattice.controls, values, strict=True))


def flow_point(point: Point) -> Result:
    """Sample the flow at one point.

    Returns:
        "log_w" (N,), "measured" (N, M), and of the first samples "log_q" and "energy",
        (K, n_shared), at the couplings of all K points.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    settings = cast(Mapping[str, object], point.settings)
    lattice, density = _open(settings)
    sampling, spins = spawn(Generator().manual_seed(point.seed), 2)
    at = cast(Sequence[float], settings["at"])
    grid = np.array(settings["grid"], dtype=np.float64)
    n_samples, n_shared = (int(cast(int, settings[k])) for k in ("n_samples", "n_shared"))
    drawn = list(weighted_samples(lattice, density, at, n_samples, sampling, spins))
    x = torch.cat([part[0] for part in drawn])[:n_shared]
    target, log_q, energy = lattice.target(), [], []
    with torch.no_grad():
        for values in grid:
            c = torch.tensor(values).expand(len(x), -1)
            log_q.append(density.log_prob(x, c).numpy())
            energy.append(target.energy(x, c).numpy())
    return {
        "log_w": np.concatenate([part[1] for part in drawn]),
        "measured": np.concatenate([part[2] for part in drawn]),
        "log_q": np.stack(log_q),
        "energy": np.stack(energy),
    }


def _open(settings: Mapping[str, object]) -> tuple[Lattice, Density]:
    config = from_mapping(cast(Mapping[str, object], settings["lattice"]), LatticeConfig)
    flow = from_mapping(cast(Mapping[str, object], settings["flow"]), FlowConfig)
    bounds = [list(each) for each in cast(Sequence[Sequence[float]], settings["bounds"])]
    return open_lattice(config), unpack(str(settings["weights"]), config, bounds, flow)


@torch.no_grad()
def weighted_samples(
    lattice: Lattice,
    density: Density,
    at: Sequence[float],
    n_samples: int,
    sampling: Generator,
    spins: Generator,
) -> Iterator[tuple[Tensor, np.ndarray, np.ndarray]]:
    """Samples x, their log-weights and what is measured on them, in chunks; float64."""
    target = lattice.target()
    for start in range(0, n_samples, _CHUNK):
        n = min(_CHUNK, n_samples - start)
        c = torch.tensor(at, dtype=torch.float64).expand(n, -1)
        x, log_q = density.sample_and_log_prob(c, generator=sampling)
        log_w = -target.energy(x, c) - log_q
        yield x, log_w.numpy(), lattice.measure(x, c, generator=spins)


@torch.no_grad()
def log_weights_at(
    lattice: Lattice, density: Density, x: Tensor, at: Sequence[float]
) -> np.ndarray:
    """Log-weights of given fields, float64 (N,)."""
    target, found = lattice.target(), []
    for part in x.double().split(_CHUNK):
        c = torch.tensor(at, dtype=torch.float64).expand(len(part), -1)
        found.append((-target.energy(part, c) - density.log_prob(part, c)).numpy())
    return np.concatenate(found)


@torch.no_grad()
def slopes_on_grid(
    lattice: Lattice,
    density: Density,
    grid: np.ndarray,
    *,
    n_samples: int,
    n_tables: int,
    generator: Generator,
) -> np.ndarray:
    """Sums of w and of w dE/dc on a grid of one control, in n_tables parts: (n_tables, K, 2).

    Their ratio is what TRADE's table holds while it trains, made anew with the finished flow. The
    weights of one grid point have a common scale.
    """
    target, sums = lattice.target(), np.empty((n_tables, grid.size, 2))
    for column, value in enumerate(grid):
        c = torch.full((n_samples * n_tables, 1), float(value), dtype=torch.float64)
        x, log_q = density.sample_and_log_prob(c, generator=generator)
        energy, slope = target.energy_and_denergy_dc(x, c)
        log_w = -energy - log_q
        weights = (log_w - log_w.max()).exp().reshape(n_tables, n_samples)
        slopes = torch.where(weights > 0, slope.reshape(n_tables, n_samples), 0.0)
        sums[:, column, 0] = weights.sum(1).numpy()
        sums[:, column, 1] = (weights * slopes).sum(1).numpy()
    return sums
