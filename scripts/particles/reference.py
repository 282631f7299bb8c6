"""Draws at all temperatures by replica exchange, kept in the cache; their autocorrelation."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import Estimate, gamma_method
from boltzgen.random import spawn
from particles.random import stream_for
from particles.settings import ParticleChains
from particles.systems import SYSTEMS, starts
from pipeline.ladder_log_z import N_DRAWS, ladder_log_z
from pipeline.ladders import Ladders, climb
from pipeline.routes import Route
from systems.cache import CorruptCacheError, read_arrays, settings_key, write_arrays
from systems.counting import CountedTarget
from systems.ledger import EnergyLedger
from systems.particles import ParticleCluster

_FORMAT = 2
"""Of the files; to be raised when the moves or the starts of the chains change."""
_BEYOND = 1.5
"""Hottest over the only temperature, where nothing hotter is asked for."""
_CALLS = "n_energy_calls"
_SEED = 0
"""The reference is the same for runs of all seeds."""


def rungs_of(config: ParticleChains, reported: np.ndarray) -> np.ndarray:
    """Temperatures of the ladder: those reported, and others up to the hottest, even in log T."""
    low, high = float(reported.min()), max(float(reported.max()), config.hottest)
    if low == high:
        high *= _BEYOND
    filling = np.geomspace(low, high, config.n_rungs)
    far = np.abs(filling[:, None] / reported - 1).min(1) > 0.02
    return np.union1d(reported, filling[far])


def reference_path(cache: Path, system: str, config: ParticleChains, rungs: np.ndarray) -> Path:
    """Where the draws lie, by all settings that they depend on."""
    cluster = SYSTEMS[system].build()
    numbers = {k: v for k, v in vars(cluster).items() if isinstance(v, int | float)}
    key = settings_key(
        _FORMAT, system, SYSTEMS[system].spacing, numbers, asdict(config), rungs.tolist(), _SEED
    )
    return cache / "particles" / f"{system}_{key[:16]}.h5"


def run_reference(  # noqa: PLR0913
    cache: Path,
    system: str,
    config: ParticleChains,
    rungs: np.ndarray,
    *,
    ledger: EnergyLedger,
    show_progress: bool,
) -> Ladders:
    """The draws from the cache, or by replica exchange.

    Args:
        cache: Directory of all caches.
        system: Name of the cluster.
        config: Sizes.
        rungs: Temperatures.
        ledger: Takes the energy calls, as "reference" or, from the cache, "reference (cached)".
        show_progress: Whether to show a bar.

    Raises:
        CorruptCacheError: The cached file is damaged.
    """
    path = reference_path(cache, system, config, rungs)
    if path.exists():
        return _read(path, ledger)
    own = EnergyLedger()
    target = CountedTarget(SYSTEMS[system].build(), own)
    starting, moving = spawn(stream_for("reference", _SEED), 2)
    x = starts(system, len(rungs) * config.n_ladders, generator=starting)
    found = climb(target, config, rungs, x, generator=moving, show_progress=show_progress)
    found = replace(found, x=found.x - found.x.mean(-2, keepdims=True))
    n_calls = sum(own.as_dict().values())
    ledger.add(n_calls, phase="reference")
    arrays = {k: np.asarray(v) for k, v in asdict(found).items() if k != "name"}
    arrays[_CALLS] = np.asarray(n_calls)
    write_arrays(path, arrays, attributes={"system": system, "control": found.name})
    return found


def _read(path: Path, ledger: EnergyLedger) -> Ladders:
    found = read_arrays(path)
    try:
        ledger.add(int(found.pop(_CALLS)), phase="reference (cached)")
        trips = float(found.pop("n_round_trips"))
        return Ladders(name="temperature", n_round_trips=trips, **found)
    except (KeyError, TypeError) as error:
        raise CorruptCacheError(f"{path}: {error}; delete it and run again") from error


def potential_of(cluster: ParticleCluster, draws: np.ndarray) -> np.ndarray:
    """Potential of draws (S, N, *E), (S, N)."""
    x = torch.from_numpy(draws)
    return cluster.potential(x.flatten(0, 1)).reshape(x.shape[:2]).numpy()


def autocorrelation(potential: np.ndarray, n_between: int) -> Estimate:
    """Integrated autocorrelation time of the potential, (S, N), in steps; infinite if unknown."""
    try:
        found = gamma_method(np.ascontiguousarray(potential))
    except (NonFiniteError, NotConvergedError, ValueError):
        return Estimate(float("inf"), float("nan"))
    return Estimate(n_between * found.tau_int, n_between * found.tau_int_error)


def ladder_evidence(
    cluster: ParticleCluster, ladders: Ladders, at: np.ndarray, *, anchor: int
) -> Route:
    """Log Z at temperatures of the ladder relative to one of them, from the chains alone."""
    step = -(-ladders.x.shape[2] // N_DRAWS)
    slopes = np.stack([potential_of(cluster, x[:, ::step]) for x in ladders.x])
    rungs = np.searchsorted(ladders.values, at * (1 - 1e-9))
    return ladder_log_z(slopes, 1 / ladders.values, rungs, anchor=anchor)
