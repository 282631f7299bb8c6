"""Molecular dynamics at one temperature: in parallel, checked, cached, resumable.

A run that is cut off goes on from its last chunk. On the Reference platform OpenMM's checkpoint
holds the random-number generator too, so that the frames are the same as without the
interruption; on others they are another sample of the same distribution.
"""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm

from systems.cache import (
    ChunkStore,
    CorruptCacheError,
    derive_seed,
    read_arrays,
    settings_key,
    write_arrays,
)
from systems.checks import check_positive
from systems.molecules.definition import MolecularSystem
from systems.molecules.errors import SimulationError
from systems.molecules.evaluation import check_platform, platform_properties
from systems.molecules.trajectories import TrajectorySet, check_temperature, mean_and_error
from systems.molecules.workers import Progress, run_all
from systems.units import GAS_CONSTANT

_FORMAT = 1
_MAX_TIMESTEP_FS = 2.0
_MAX_FREE_TIMESTEP_FS = 1.0
_HYDROGEN = "H"
_SERIES = ("potential", "kinetic")


@dataclass(frozen=True, kw_only=True)
class DynamicsSettings:
    """How data are made: Langevin dynamics (LangevinMiddleIntegrator) from the minimum.

    Args:
        temperature: K.
        n_trajectories: Independent trajectories.
        n_frames: Frames kept of each.
        spacing_steps: Steps between frames.
        timestep_fs: At most 1; at most 2 where all bonds to hydrogen are constrained.
        friction_per_ps: Collision rate.
        equilibration_steps: Steps thrown away before the first frame.
        scramble_steps: Steps at scramble_factor times the temperature before that, so that
            trajectories start in different basins; 0 for none. Hot enough, peptide bonds turn
            cis and stay: the mixing checks show it.
        scramble_factor: See scramble_steps.
        chunk_frames: Frames between two writes to disk.
        platform: OpenMM platform; see `evaluation.fastest_platform`.
        seed: Seed of all trajectories together.
    """

    temperature: float
    n_trajectories: int
    n_frames: int
    spacing_steps: int
    timestep_fs: float = 1.0
    friction_per_ps: float = 1.0
    equilibration_steps: int = 50_000
    scramble_steps: int = 0
    scramble_factor: float = 2.0
    chunk_frames: int = 1000
    platform: str = "Reference"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature", "timestep_fs", "friction_per_ps", "scramble_factor"):
            check_positive(name, getattr(self, name))
        for name in ("n_trajectories", "n_frames", "spacing_steps", "chunk_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("equilibration_steps", "scramble_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        check_platform(self.platform)

    @property
    def n_chunks(self) -> int:
        """Chunks of one trajectory."""
        return -(-self.n_frames // self.chunk_frames)

    @property
    def n_steps(self) -> int:
        """Steps of all trajectories together."""
        return self.n_trajectories * self.steps_until(self.n_chunks)

    def frames_until(self, n_chunks: int) -> int:
        """Frames of one trajectory in its first n_chunks."""
        return min(n_chunks * self.chunk_frames, self.n_frames)

    def steps_until(self, n_chunks: int) -> int:
        """Steps of one trajectory up to the end of its first n_chunks."""
        if n_chunks == 0:
            return 0
        before = self.scramble_steps + self.equilibration_steps
        return before + self.frames_until(n_chunks) * self.spacing_steps


def simulate(
    system: MolecularSystem,
    settings: DynamicsSettings,
    *,
    cache_dir: Path,
    n_processes: int = 1,
    progress: Progress | None = None,
) -> TrajectorySet:
    """Run the trajectories, or take from the cache what is there.

    With n_processes above 1 the calling script needs `if __name__ == "__main__":`.

    Args:
        system: The molecule.
        settings: Temperature and lengths.
        cache_dir: Directory of all caches; see `cache.default_cache_dir`.
        n_processes: Trajectories that run side by side.
        progress: Called with steps done (those found in the cache included) and steps in all.

    Raises:
        ValueError: The time step is too long for this system.
        SimulationError: Positions or energies became non-finite, the temperature is off, or a
            worker process died.
        CorruptCacheError: A cached file is damaged.
    """
    _check_timestep(system, settings)
    key = settings_key(_FORMAT, system.content_hash, system.positions.tolist(), asdict(settings))
    directory = Path(cache_dir) / f"dynamics-{key[:32]}"
    merged = directory.with_suffix(".h5")
    if not merged.exists():
        tasks = [_Task(system, settings, directory, i) for i in range(settings.n_trajectories)]
        _run(tasks, n_processes, progress)
        chunks = [[t.store.read(i) for i in range(settings.n_chunks)] for t in tasks]
        label = json.dumps({"system": system.name, "settings": asdict(settings)})
        write_arrays(merged, _join(chunks), attributes={"made_by": label})
        shutil.rmtree(directory, ignore_errors=True)
    return _summarise(merged, system, settings)


@dataclass(frozen=True)
class _Task:
    system: MolecularSystem
    settings: DynamicsSettings
    directory: Path
    trajectory: int

    @property
    def store(self) -> ChunkStore:
        return ChunkStore(self.directory / f"trajectory_{self.trajectory:04d}")

    def seed(self, *path: int) -> int:
        return derive_seed(self.settings.seed, self.trajectory, *path)


def _run(tasks: list[_Task], n_processes: int, progress: Progress | None) -> None:
    settings = tasks[0].settings

    def poll() -> None:
        if progress is not None:
            done = sum(settings.steps_until(task.store.n_chunks) for task in tasks)
            progress(done, settings.n_steps)

    poll()
    unfinished = [task for task in tasks if task.store.n_chunks < settings.n_chunks]
    run_all(_run_trajectory, unfinished, n_processes=n_processes, poll=poll)
    poll()


def _run_trajectory(task: _Task, on_chunk: Callable[[], None]) -> None:
    try:
        _run_chunks(task, on_chunk)
    except openmm.OpenMMException as error:
        raise SimulationError(
            f"dynamics: OpenMM stopped trajectory {task.trajectory} at "
            f"{task.settings.temperature} K with a time step of {task.settings.timestep_fs} fs: "
            f"{error}"
        ) from error


def _run_chunks(task: _Task, on_chunk: Callable[[], None]) -> None:
    settings = task.settings
    first = task.store.n_chunks
    context = _context(task, first)
    if first:
        _restore(context, task, first)
    else:
        _start(context, task)
    for index in range(first, settings.n_chunks):
        n_frames = settings.frames_until(index + 1) - settings.frames_until(index)
        chunk = _run_frames(context, n_frames, settings.spacing_steps)
        _check_finite(chunk, settings)
        chunk["checkpoint"] = np.frombuffer(context.createCheckpoint(), dtype=np.uint8)
        task.store.write(index, chunk)
        on_chunk()


def _context(task: _Task, first: int) -> openmm.Context:
    settings = task.settings
    integrator = openmm.LangevinMiddleIntegrator(
        settings.temperature, settings.friction_per_ps, settings.timestep_fs * 1e-3
    )
    integrator.setRandomNumberSeed(task.seed(0, first))
    platform = openmm.Platform.getPlatformByName(settings.platform)
    return openmm.Context(
        task.system.system, integrator, platform, platform_properties(settings.platform)
    )


def _start(context: openmm.Context, task: _Task) -> None:
    settings = task.settings
    integrator = context.getIntegrator()
    context.setPositions(task.system.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    hot = settings.temperature * settings.scramble_factor
    for step, (temperature, n_steps) in enumerate(
        ((hot, settings.scramble_steps), (settings.temperature, settings.equilibration_steps))
    ):
        integrator.setTemperature(temperature)
        context.setVelocitiesToTemperature(temperature, task.seed(1, step))
        integrator.step(n_steps)


def _restore(context: openmm.Context, task: _Task, first: int) -> None:
    try:
        context.loadCheckpoint(task.store.read(first - 1)["checkpoint"].tobytes())
    except openmm.OpenMMException as error:
        raise CorruptCacheError(
            f"dynamics: OpenMM {openmm.__version__} cannot resume from {task.directory} "
            f"({error}); delete that directory and run again"
        ) from error


def _run_frames(
    context: openmm.Context, n_frames: int, spacing_steps: int
) -> dict[str, np.ndarray]:
    n_atoms = context.getSystem().getNumParticles()
    x = np.empty((n_frames, n_atoms, 3), dtype=np.float32)
    series = {name: np.empty(n_frames) for name in _SERIES}
    integrator = context.getIntegrator()
    for i in range(n_frames):
        integrator.step(spacing_steps)
        state = context.getState(positions=True, energy=True)
        with np.errstate(over="ignore"):  # what overflows is reported as non-finite
            x[i] = state.getPositions(asNumpy=True)._value
        series["potential"][i] = state.getPotentialEnergy()._value
        series["kinetic"][i] = state.getKineticEnergy()._value
    return {"x": x, **series}


def _check_finite(chunk: dict[str, np.ndarray], settings: DynamicsSettings) -> None:
    for name, values in chunk.items():
        if not np.isfinite(values).all():
            raise SimulationError(
                f"dynamics: {name} became non-finite at {settings.temperature} K with a time "
                f"step of {settings.timestep_fs} fs; use a shorter one"
            )


def _check_timestep(system: MolecularSystem, settings: DynamicsSettings) -> None:
    rigid = {(i, j) for i, j, _ in system.constraints}
    elements = system.elements
    free = [b for b in system.bonds if _HYDROGEN in (elements[b[0]], elements[b[1]])]
    free = [b for b in free if b not in rigid]
    limit = _MAX_FREE_TIMESTEP_FS if free or not rigid else _MAX_TIMESTEP_FS
    if settings.timestep_fs > limit:
        reason = f"{len(free)} bonds to hydrogen are free" if free else "for a stable integration"
        raise ValueError(
            f"timestep_fs: expected at most {limit} ({reason} in {system.name}), "
            f"got {settings.timestep_fs}"
        )


def _join(chunks: list[list[dict[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    return {
        name: np.stack([np.concatenate([chunk[name] for chunk in row]) for row in chunks])
        for name in ("x", *_SERIES)
    }


def _summarise(merged: Path, system: MolecularSystem, settings: DynamicsSettings) -> TrajectorySet:
    arrays = read_arrays(merged)
    expected = (settings.n_trajectories, settings.n_frames, system.n_atoms, 3)
    shapes = {name: arrays[name].shape for name in ("x", *_SERIES) if name in arrays}
    if shapes != {"x": expected, **dict.fromkeys(_SERIES, expected[:2])}:
        raise CorruptCacheError(
            f"{merged} holds {shapes}, expected x of shape {expected}; delete it and run again"
        )
    kinetic = arrays["kinetic"] * (2.0 / (system.n_degrees_of_freedom * GAS_CONSTANT))
    measured, error = mean_and_error(kinetic)
    error = max(error, _least_error(system, settings))
    check_temperature(measured, error, settings.temperature)
    return TrajectorySet(
        x=arrays["x"],
        potential=arrays["potential"],
        temperature=settings.temperature,
        kinetic_temperature=measured,
        kinetic_temperature_error=error,
        n_steps=settings.n_steps,
    )


def _least_error(system: MolecularSystem, settings: DynamicsSettings) -> float:
    """Error in K of a kinetic temperature whose memory is the thermostat's, 1/friction.

    A run of a few such times cannot tell its own correlation time, and would claim too much.
    """
    steps = settings.n_trajectories * settings.n_frames * settings.spacing_steps
    n_times = 1.0 + 0.5 * settings.friction_per_ps * steps * settings.timestep_fs * 1e-3
    return settings.temperature * math.sqrt(2.0 / (system.n_degrees_of_freedom * n_times))
