"""An independent reference: temperature replica exchange by OpenMM's own ReplicaExchangeSampler.

Several repeats, each from its own random stream, run in chunks that are kept; the same call goes
on where it stopped, and with more iterations or repeats it extends what there is.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from openmm.app import replicaexchangesampler

from systems.cache import ChunkStore, derive_seed, settings_key
from systems.checks import check_positive
from systems.molecules.definition import MolecularSystem
from systems.molecules.errors import SimulationError
from systems.molecules.evaluation import fastest_platform, platform_properties
from systems.molecules.reference_set import Plan, ReferenceSet, ReferenceStore, check_ladder
from systems.molecules.workers import Progress

# OpenMM's sampler draws its exchanges from the random module: its state is set here for a repeat,
# kept with each chunk, and given back.
_exchange_random = replicaexchangesampler.random
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
        temperatures = check_ladder(self.temperatures, least=2)
        object.__setattr__(self, "temperatures", temperatures)
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

    @property
    def plan(self) -> Plan:
        """What this leaves in the cache."""
        kept = {k: v for k, v in asdict(self).items() if k not in ("n_repeats", "n_iterations")}
        steps = self.chunk_iterations * self.steps_per_iteration
        return Plan(
            sampler="replica exchange by OpenMM",
            temperatures=self.temperatures,
            n_tasks=self.n_repeats,
            n_chunks=self.n_chunks,
            calls_before=self.equilibration_calls,
            calls_per_chunk=len(self.temperatures) * steps,
            stream=settings_key(kept),
        )


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
    plan = settings.plan
    store = ReferenceStore.place("reference", system, plan, cache_dir)
    store.write_manifest(system, asdict(settings))
    tasks = [_Task(system, settings, store.chunks(r), r) for r in store.unfinished]
    store.fill(_run_repeat, tasks, n_processes=n_processes, progress=progress)
    return store.load()


@dataclass(frozen=True)
class _Task:
    system: MolecularSystem
    settings: ReferenceSettings
    store: ChunkStore
    repeat: int


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
    name = fastest_platform(task.system)
    platform = openmm.Platform.getPlatformByName(name)
    simulation = app.Simulation(
        task.system.topology,
        task.system.system,
        integrator,
        platform,
        platform_properties(name),
    )
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
