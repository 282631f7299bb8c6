"""Monte Carlo at the points of a sweep, and on the way to where log Z is known."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.config import from_mapping, to_mapping
from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import gamma_method
from boltzgen.random import spawn
from sweep.flow_points import label_of
from sweep.lattice import ChainSettings, Couplings, Lattice, LatticeConfig
from sweep.models import open_lattice
from sweep.points import Point, Result, Setting
from sweep.settings import DataConfig, SweepConfig

_STEPS_PER_ROOT = 0.6
"""Steps on the way to the known end, for each square root of a site: a fluctuation each."""
_DATA_BURN_IN = 300
_BLOCK = 16
_REVISION = 1
"""Of what a point's result holds and how it is made; raised when either changes."""


def reference_points(config: SweepConfig, values: Sequence[tuple[float, ...]]) -> list[Point]:
    """Points of the sweep, then those of the way to the known end, and that end last."""
    lattice = open_lattice(config.lattice)
    own = config.monte_carlo
    couplings = [config.lattice.couplings(at) for at in values]
    labels = ["mc " + label_of(config.lattice, at) for at in values]
    start = couplings[lattice.nearest_to_known_end(couplings)]
    for number, step in enumerate(path_to_known_end(lattice, start)):
        couplings.append(step)
        labels.append(f"mc path {number + 1}")
    settings = {
        "lattice": to_mapping(config.lattice), "revision": _REVISION, "n_chains": own.n_chains,
        "n_burn_in": own.n_burn_in, "n_records": own.n_records, "n_kept": own.n_kept,
        "n_between": own.n_between(config.lattice.n_sites),
    }  # fmt: skip
    return [
        Point(
            label=label, couplings=at, seed=config.seed + 104_729 * (number + 1),
            settings=cast(Mapping[str, Setting], settings),
        )
        for number, (label, at) in enumerate(zip(labels, couplings, strict=True))
    ]  # fmt: skip


def path_to_known_end(lattice: Lattice, start: Couplings) -> list[dict[str, float]]:
    """Couplings in equal steps from a point, itself left out, to the known end, included."""
    end, _ = lattice.known_end(start)
    n_steps = max(3, math.ceil(_STEPS_PER_ROOT * lattice.config.n_sites**0.5))
    shares = np.arange(1, n_steps + 1) / n_steps
    return [{name: float((1 - s) * start[name] + s * end[name]) for name in start} for s in shares]


def monte_carlo_point(point: Point) -> Result:
    """Run chains at one point.

    Returns:
        "series" (n_chains, n_blocks, M): means of what was measured over blocks of records;
        "statistics" (n_chains n_records, K): those of every record in which the energy is linear,
        in float32, and "inefficiency", how many of these records are worth an independent one;
        "tau", autocorrelation times of the observables in records; NaN where they are unknown;
        "configurations" (n_kept, *shape), in float32.
    """
    torch.set_num_threads(1)
    settings = cast(Mapping[str, int], point.settings)
    config = from_mapping(cast(Mapping[str, object], point.settings["lattice"]), LatticeConfig)
    lattice = open_lattice(config)
    per_chain = max(1, settings["n_kept"] // settings["n_chains"])
    chains = ChainSettings(
        n_chains=settings["n_chains"], n_burn_in=settings["n_burn_in"],
        n_records=settings["n_records"], n_between=settings["n_between"],
        store_every=max(1, settings["n_records"] // per_chain),
    )  # fmt: skip
    found = lattice.chains(point.couplings, chains, generator=Generator().manual_seed(point.seed))
    n_blocks = settings["n_records"] // _BLOCK
    blocks = found.measured[:, : n_blocks * _BLOCK].reshape(
        settings["n_chains"], n_blocks, _BLOCK, -1
    )
    statistics = lattice.statistics_of(found.measured)
    return {
        "series": blocks.mean(2),
        "statistics": statistics.reshape(-1, statistics.shape[-1]).astype(np.float32),
        "inefficiency": 2 * max(_times(np.moveaxis(statistics, -1, 0)), key=_or_infinite),
        "tau": np.array(
            [
                _time(found.measured, observable.at(point.couplings))
                for observable in lattice.observables
            ]
        ),
        "configurations": found.stored.reshape(-1, *config.shape).astype(np.float32),
    }


def _times(series: Iterable[np.ndarray]) -> list[float]:
    return [_time(each, None) for each in series]


def _time(series: np.ndarray, function: Callable[[np.ndarray], float] | None) -> float:
    """Integrated autocorrelation time; NaN for what never changes or changes too slowly."""
    try:
        return gamma_method(series, function).tau_int
    except (NonFiniteError, NotConvergedError):
        return math.nan


def _or_infinite(time: float) -> float:
    return math.inf if math.isnan(time) else time


def training_data(
    lattice: Lattice, data: DataConfig, *, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Fields of the target at the boundaries, (N, *shape), and their controls, (N, C); float64."""
    fields, controls = [], []
    for at, stream in zip(data.boundaries, spawn(generator, len(data.boundaries)), strict=True):
        chains = ChainSettings(
            n_chains=data.n_chains, n_burn_in=_DATA_BURN_IN, n_records=data.n_kept, n_between=4,
            store_every=1,
        )  # fmt: skip
        running, drawing = spawn(stream, 2)
        found = lattice.chains(lattice.config.couplings(at), chains, generator=running)
        stored = torch.from_numpy(found.stored.astype(np.float64))
        x = stored.reshape(-1, *lattice.config.shape)
        c = torch.tensor(at, dtype=torch.float64).expand(len(x), -1)
        fields.append(lattice.field_of(x, c, generator=drawing))
        controls.append(c)
    return torch.cat(fields), torch.cat(controls)


def reference_fields(
    lattice: Lattice, at: Sequence[float], result: Result, *, generator: Generator
) -> Tensor:
    """Fields of the target from the configurations kept at a point, float64 (n_kept, *shape)."""
    x = torch.from_numpy(np.asarray(result["configurations"], dtype=np.float64))
    c = torch.tensor(at, dtype=torch.float64).expand(len(x), -1)
    return lattice.field_of(x, c, generator=generator)
