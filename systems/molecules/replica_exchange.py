"""An independent reference: temperature replica exchange by OpenMM's own ReplicaExchangeSampler.

Several repeats, each from its own random stream, run in chunks that are kept; the same call goes
on where it stopped, and with more iterations or repeats it extends what there is.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from openmm.app import replicaexchangesampler

from systems.checks import check_positive
from systems.molecules.cache import ChunkStore, derive_seed, settings_key
from systems.molecules.definition import MolecularSystem
from systems.molecules.errors import CorruptCacheError, SimulationError
from systems.molecules.workers import Progress, run_all

# OpenMM's sampler draws its exchanges from the random module: its state is set here for a repeat,
# kept with each chunk, and given back.
_exchange_random = replicaexchangesampler.random
_FORMAT = 1
_STATE = ("checkpoint", "positions", "velocities", "state_index", "previous_index", "random_state")


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings:
    """How the reference is sampled; lengths are per replica.

    Args:
        temperatures: The ladder in K, rising; `ladder` makes one.
        n_repeats: Independent repeats.
        n_iterations: Exchange attempts of each repeat; each leaves one frame per temperature.
        steps_per_iteration: Steps between exchanges.
        equilibration_steps: Steps at fixed temperature before anything.
        equilibration_iterations: Exchange attempts that are thrown away.
        timestep_fs: 1, or 2 where bonds to hydrogen are constrained.
        friction_per_ps: Collision rate of the Langevin thermostat.
        chunk_iterations: Exchange attempts between two writes to disk.
        seed: Seed of all repeats together.
    """

    temperatures: tuple[float, ...]
    n_repeats: int = 4
    n_iterations: int = 4000
    steps_per_iteration: int = 500
    equilibration_steps: int = 50_000
    equilibration_iterations: int = 500
    timestep_fs: float = 1.0
    friction_per_ps: float = 1.0
    chunk_iterations: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperatures", tuple(float(t) for t in self.temperatures))
        for t in self.temperatures:
            check_positive("temperatures", t)
        if len(self.temperatures) < 2 or list(self.temperatures) != sorted(set(self.temperatures)):
            raise ValueError(
                f"temperatures: expected at least two rising values, got {self.temperatures}"
            )
        for name in ("n_repeats", "n_iterations", "steps_per_iteration", "chunk_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("timestep_fs", "friction_per_ps"):
            check_positive(name, getattr(self, name))

    @property
    def n_chunks(self) -> int:
        """Chunks of one repeat; iterations are rounded up to whole chunks."""
        return -(-self.n_iterations // self.chunk_iterations)

    @property
    def equilibration_calls(self) -> int:
        """Energy calls of one repeat before its first frame."""
        per_replica = (
            self.equilibration_steps + self.equilibration_iterations * self.steps_per_iteration
        )
        return len(self.temperatures) * per_replica

    def key(self) -> str:
        """Hash of all that decides the stream of frames; lengths do not, they extend it."""
        kept = {k: v for k, v in asdict(self).items() if k not in ("n_repeats", "n_iterations")}
        return settings_key(_FORMAT, kept)


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Frames of a replica-exchange reference, N in all, one row each.

    Args:
        temperatures: The ladder in K, shape (K,).
        x: Positions in nm, float32, shape (N, n_atoms, 3).
        potential: Potential energy in kJ/mol, shape (N,).
        state: Index into `temperatures` at which the frame was sampled, shape (N,).
        repeat: Independent repeat, shape (N,).
        replica: Walker within the repeat, shape (N,).
        iteration: Exchange attempt before which the frame was taken, shape (N,).
        n_energy_calls: Steps taken for all this, equilibration included.
        complete: Whether all that was asked for is there.
    """

    temperatures: np.ndarray
    x: np.ndarray
    potential: np.ndarray
    state: np.ndarray
    repeat: np.ndarray
    replica: np.ndarray
    iteration: np.ndarray
    n_energy_calls: int
    complete: bool

    @property
    def n_repeats(self) -> int:
        """Independent repeats that have at least one frame."""
        return int(np.unique(self.repeat).size)


def ladder(
    lo: float, hi: float, *, include: Sequence[float] = (), ratio: float = 1.2
) -> tuple[float, ...]:
    """Temperatures from lo to hi that contain `include`; neighbours differ by at most `ratio`.

    Gaps wider than `ratio` are filled with geometric steps.

    Example:
        >>> ladder(300.0, 600.0, include=(450.0,), ratio=1.3)
        (300.0, 367.4234614174767, 450.0, 519.6152422706632, 600.0)

    Raises:
        ValueError: The range is not rising or not positive.
    """
    check_positive("lo", lo)
    if not lo < hi:
        raise ValueError(f"hi: expected more than lo = {lo}, got {hi}")
    fixed = sorted({float(lo), float(hi), *(float(t) for t in include if lo < t < hi)})
    rungs = []
    for low, high in zip(fixed, fixed[1:], strict=False):
        n = max(1, int(np.ceil(np.log(high / low) / np.log(ratio) - 1e-9)))
        rungs += [float(low * (high / low) ** (i / n)) for i in range(n)]
    return (*rungs, fixed[-1])


def reference(
    system: MolecularSystem,
    settings: ReferenceSettings,
    *,
    cache_dir: Path,
    n_processes: int = 2,
    progress: Progress | None = None,
) -> ReferenceSet:
    """Sample the reference, or take from the cache what is there.

    Args:
        system: The molecule.
        settings: Ladder and lengths.
        cache_dir: Directory of all caches.
        n_processes: Repeats that run side by side.
        progress: Called with energy calls done and in all.

    Raises:
        SimulationError: An energy came out non-finite, or a worker died.
        CorruptCacheError: A cached chunk is damaged.
    """
    directory = _directory(system, settings, Path(cache_dir))
    _write_manifest(directory, system, settings)
    tasks = [_Task(system, settings, directory, r) for r in range(settings.n_repeats)]
    tasks = [t for t in tasks if t.store.n_chunks < settings.n_chunks]
    total = settings.n_repeats * _calls(settings, settings.n_chunks)

    def poll() -> None:
        if progress is not None:
            progress(_calls_done(directory, settings), total)

    poll()
    run_all(_run_repeat, tasks, n_processes=n_processes, poll=poll)
    poll()
    return _load(directory, settings)


def find_reference(system: MolecularSystem, cache_dir: Path) -> ReferenceSet | None:
    """Return the longest reference of this system in the cache, finished or not, or None.

    Raises:
        CorruptCacheError: A cached chunk is damaged.
    """
    best: tuple[int, Path, ReferenceSettings] | None = None
    for manifest in sorted(Path(cache_dir).glob(f"reference-{system.content_hash[:16]}-*/*.json")):
        settings = _read_manifest(manifest)
        n_frames = sum(
            ChunkStore(manifest.parent / _repeat_name(r)).n_chunks * settings.chunk_iterations
            for r in range(settings.n_repeats)
        )
        if n_frames and (best is None or n_frames > best[0]):
            best = (n_frames, manifest.parent, settings)
    return None if best is None else _load(best[1], best[2])


@dataclass(frozen=True)
class _Task:
    system: MolecularSystem
    settings: ReferenceSettings
    directory: Path
    repeat: int

    @property
    def store(self) -> ChunkStore:
        return ChunkStore(self.directory / _repeat_name(self.repeat))


def _repeat_name(repeat: int) -> str:
    return f"repeat_{repeat:03d}"


def _directory(system: MolecularSystem, settings: ReferenceSettings, cache_dir: Path) -> Path:
    return cache_dir / f"reference-{system.content_hash[:16]}-{settings.key()[:16]}"


def _write_manifest(directory: Path, system: MolecularSystem, settings: ReferenceSettings) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"system": system.name, "settings": asdict(settings)}, indent=1)
    temporary = directory / ".manifest.tmp"
    temporary.write_text(text)
    temporary.replace(directory / "manifest.json")


def _read_manifest(path: Path) -> ReferenceSettings:
    try:
        return ReferenceSettings(**json.loads(path.read_text())["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptCacheError(f"{path} is damaged ({error}); delete its directory") from error


def _calls(settings: ReferenceSettings, n_chunks: int) -> int:
    if n_chunks == 0:
        return 0
    steps = settings.chunk_iterations * settings.steps_per_iteration
    return settings.equilibration_calls + n_chunks * len(settings.temperatures) * steps


def _calls_done(directory: Path, settings: ReferenceSettings) -> int:
    stores = [ChunkStore(directory / _repeat_name(r)) for r in range(settings.n_repeats)]
    return sum(_calls(settings, min(s.n_chunks, settings.n_chunks)) for s in stores)


def _load(directory: Path, settings: ReferenceSettings) -> ReferenceSet:
    columns: dict[str, list[np.ndarray]] = {}
    n_calls, complete = 0, True
    for repeat in range(settings.n_repeats):
        store = ChunkStore(directory / _repeat_name(repeat))
        n_chunks = min(store.n_chunks, settings.n_chunks)
        complete &= n_chunks == settings.n_chunks
        n_calls += _calls(settings, n_chunks)
        for index in range(n_chunks):
            chunk = store.read(index)
            n = chunk["potential"].size
            chunk["repeat"] = np.full(n, repeat, dtype=np.int64)
            for name in ("x", "potential", "state", "repeat", "replica", "iteration"):
                columns.setdefault(name, []).append(chunk[name])
    merged = {name: np.concatenate(parts) for name, parts in columns.items()}
    return ReferenceSet(
        temperatures=np.array(settings.temperatures),
        n_energy_calls=n_calls,
        complete=complete,
        **merged,
    )


def _run_repeat(task: _Task, on_chunk: Callable[[], None]) -> None:
    outer = _exchange_random.getstate()
    try:
        sampler = _sampler(task)
        first = task.store.n_chunks
        if first:
            _restore(sampler, task.store.read(first - 1))
        else:
            _equilibrate(sampler, task)
        for index in range(first, task.settings.n_chunks):
            task.store.write(index, _run_chunk(sampler, task.settings))
            on_chunk()
    finally:
        _exchange_random.setstate(outer)


def _sampler(task: _Task) -> app.ReplicaExchangeSampler:
    settings = task.settings
    integrator = openmm.LangevinMiddleIntegrator(
        settings.temperatures[0], settings.friction_per_ps, settings.timestep_fs * 1e-3
    )
    integrator.setRandomNumberSeed(derive_seed(settings.seed, task.repeat, 0))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(task.system.topology, task.system.system, integrator, platform)
    simulation.context.setPositions(task.system.positions)
    openmm.LocalEnergyMinimizer.minimize(simulation.context)
    simulation.context.setVelocitiesToTemperature(
        settings.temperatures[0], derive_seed(settings.seed, task.repeat, 1)
    )
    _exchange_random.seed(derive_seed(settings.seed, task.repeat, 2))
    states = [{"temperature": t * unit.kelvin} for t in settings.temperatures]
    return app.ReplicaExchangeSampler(states, simulation, settings.steps_per_iteration)


def _equilibrate(sampler: app.ReplicaExchangeSampler, task: _Task) -> None:
    for replica in range(len(task.settings.temperatures)):
        sampler.simulateReplica(replica, task.settings.equilibration_steps)
    sampler.simulate(task.settings.equilibration_iterations)
    sampler.currentIteration = 0


def _run_chunk(
    sampler: app.ReplicaExchangeSampler, settings: ReferenceSettings
) -> dict[str, np.ndarray]:
    frames: dict[str, list[np.ndarray]] = {
        name: [] for name in ("x", "potential", "state", "replica", "iteration")
    }

    def collect(sampler: app.ReplicaExchangeSampler) -> None:
        # Reporters run before the exchange: each frame goes with the state it was sampled in.
        n = len(settings.temperatures)
        energies = sampler.replicaStateEnergy.value_in_unit(unit.kilojoules_per_mole)
        frames["x"].append(_stack(sampler, "getPositions").astype(np.float32))
        frames["potential"].append(np.array([energies[i][0] for i in range(n)]))
        frames["state"].append(np.array(sampler.replicaStateIndex))
        frames["replica"].append(np.arange(n))
        frames["iteration"].append(np.full(n, sampler.currentIteration))

    sampler.reporters.append(collect)
    try:
        sampler.simulate(settings.chunk_iterations)
    finally:
        sampler.reporters.remove(collect)
    merged = {name: np.concatenate(parts) for name, parts in frames.items()}
    if not np.isfinite(merged["potential"]).all():
        raise SimulationError(
            f"replica exchange: non-finite energy at a time step of {settings.timestep_fs} fs; "
            "use a shorter one"
        )
    return {**merged, **_state(sampler)}


def _stack(sampler: app.ReplicaExchangeSampler, getter: str) -> np.ndarray:
    return np.stack([getattr(c, getter)(asNumpy=True)._value for c in sampler.replicaConformation])


def _state(sampler: app.ReplicaExchangeSampler) -> dict[str, np.ndarray]:
    context = sampler.simulation.context
    values = (
        np.frombuffer(context.createCheckpoint(), dtype=np.uint8),
        _stack(sampler, "getPositions"),
        _stack(sampler, "getVelocities"),
        np.array(sampler.replicaStateIndex),
        np.array(sampler._previousReplicaStateIndex),
        np.array(_exchange_random.getstate()[1], dtype=np.uint64),
    )
    return dict(zip(_STATE, values, strict=True))


def _restore(sampler: app.ReplicaExchangeSampler, chunk: dict[str, np.ndarray]) -> None:
    context = sampler.simulation.context
    for i, (x, v) in enumerate(zip(chunk["positions"], chunk["velocities"], strict=True)):
        context.setPositions(x)
        context.setVelocities(v)
        sampler.replicaConformation[i] = context.getState(
            positions=True, velocities=True, parameters=True, integratorParameters=True
        )
    sampler.replicaStateIndex = chunk["state_index"].tolist()
    sampler._previousReplicaStateIndex = chunk["previous_index"].tolist()
    sampler.currentIteration = int(chunk["iteration"][-1])
    _exchange_random.setstate((3, tuple(int(word) for word in chunk["random_state"]), None))
    try:
        context.loadCheckpoint(chunk["checkpoint"].tobytes())
    except openmm.OpenMMException as error:
        raise SimulationError(
            f"replica exchange: the cached state cannot be resumed by OpenMM "
            f"{openmm.__version__} ({error}); delete the cache directory of this reference"
        ) from error
