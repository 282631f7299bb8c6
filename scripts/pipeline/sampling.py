"""Sampling a molecule by Hamiltonian Monte Carlo, many chains at once, without OpenMM's loop.

Chains at one temperature, or ladders of temperatures that exchange. Everything is kept in the
cache as it is sampled; the same call goes on where it stopped, and asking for more frames extends
what there is.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.kernels import HMC, ChainState, DualAveraging, ExchangeState, ReplicaExchange, tune
from systems.cache import ChunkStore, derive_seed, settings_key
from systems.molecules import (
    MolecularSystem,
    Plan,
    Progress,
    ReferenceSet,
    ReferenceStore,
    SimulationError,
    TensorTarget,
    TrajectorySet,
    check_ladder,
    minimised_positions,
)
from systems.units import GAS_CONSTANT

_TARGETS: dict[tuple[str, bool], TensorTarget] = {}
_SHIFTED = 1e-6
"""kJ/mol by which an energy may change when the whole molecule is shifted; rounding remains."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How a molecule is sampled.

    Momenta are drawn with the masses of the atoms, but `hydrogen_mass` for hydrogen: masses do not
    enter the distribution of positions, and heavier hydrogens allow longer steps. The step size of
    each temperature is tuned first.

    Args:
        temperatures: K, rising; more than one exchange configurations.
        n_ladders: Independent ladders, or chains if there is one temperature.
        n_frames: Frames kept of each ladder at each temperature.
        n_tuning: Trajectories in which the step sizes are tuned.
        n_hot: Trajectories of all replicas at the highest temperature after that, from which they
            start in different basins; none if there is one temperature.
        n_discarded: Trajectories, with exchanges, after that and before the first frame.
        n_leapfrog: Mean number of steps of a trajectory.
        spacing: Trajectories, each followed by exchanges, between frames.
        first_step_fs: Where tuning starts.
        acceptance: What it aims at.
        hydrogen_mass: Dalton.
        compiled: Whether energies are compiled, which pays from some millions of them on.
        n_tasks: Equal shares of the ladders, each the work of one process.
        chunk_frames: Frames between two writes to disk.
        seed: Seed of all together.
    """

    temperatures: tuple[float, ...]
    n_ladders: int = 64
    n_frames: int = 1000
    n_tuning: int = 60
    n_hot: int = 100
    n_discarded: int = 300
    n_leapfrog: int = 50
    spacing: int = 1
    first_step_fs: float = 1.5
    acceptance: float = 0.8
    hydrogen_mass: float = 4.0
    compiled: bool = True
    n_tasks: int = 4
    chunk_frames: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperatures", check_ladder(self.temperatures, least=1))
        names = ("n_frames", "n_tuning", "n_leapfrog", "spacing", "n_tasks", "chunk_frames")
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.n_ladders < 1 or self.n_ladders % self.n_tasks:
            raise ValueError(
                f"n_ladders: expected a multiple of n_tasks = {self.n_tasks}, got {self.n_ladders}"
            )

    @property
    def _n_hot(self) -> int:
        return self.n_hot if len(self.temperatures) > 1 else 0

    @property
    def plan(self) -> Plan:
        """What this leaves in the cache; energy calls are those of trajectories of mean length."""
        own = self.n_ladders // self.n_tasks
        kept = {k: v for k, v in asdict(self).items() if k != "n_frames"}
        per_trajectory = own * len(self.temperatures) * self.n_leapfrog
        return Plan(
            sampler="Hamiltonian Monte Carlo",
            temperatures=self.temperatures,
            n_tasks=self.n_tasks,
            n_ladders=own,
            n_chunks=-(-self.n_frames // self.chunk_frames),
            calls_before=(self.n_tuning + self._n_hot + self.n_discarded) * per_trajectory,
            calls_per_chunk=self.chunk_frames * self.spacing * per_trajectory,
            stream=settings_key(kept),
        )


@dataclass(frozen=True)
class Sampled:
    """What came out of sampling.

    Args:
        frames: The frames.
        acceptance: Mean acceptance of trajectories at each temperature, (K,); None if dynamics
            made the frames, or if they were found in the cache.
        step_fs: Their step sizes, (K,).
    """

    frames: ReferenceSet
    acceptance: np.ndarray | None = None
    step_fs: np.ndarray | None = None


def sample_molecule(
    system: MolecularSystem,
    settings: SamplingSettings,
    *,
    cache_dir: Path,
    n_processes: int = 2,
    progress: Progress | None = None,
) -> Sampled:
    """Sample, or take from the cache what is there.

    With n_processes above 1 the calling script needs `if __name__ == "__main__":`.

    Args:
        system: The molecule, without constraints.
        settings: Temperatures and lengths.
        cache_dir: Directory of all caches.
        n_processes: Tasks that run side by side.
        progress: Called with energy calls done (those found in the cache included) and in all.

    Raises:
        ValueError: The system has constraints, or a force without translation to tensor code.
        SimulationError: No trajectory was accepted, or a worker died.
        CorruptCacheError: A cached chunk is damaged.
    """
    if system.n_constraints:
        raise ValueError(
            f"system: {system.name} has {system.n_constraints} rigid bonds, which Hamiltonian "
            "Monte Carlo in Cartesian coordinates would stretch; sample it through OpenMM "
            "(--backend openmm)"
        )
    TensorTarget(system)  # refuses forces that it does not know before any process starts
    kind = "reference" if len(settings.temperatures) > 1 else "chains"
    store = ReferenceStore.place(kind, system, settings.plan, cache_dir)
    store.write_manifest(system, asdict(settings))
    tasks = [_Task(system, settings, store.chunks(k), k) for k in store.unfinished]
    store.fill(_run_task, tasks, n_processes=n_processes, progress=progress)
    return Sampled(store.load(), store.mean("acceptance"), store.mean("step_fs"))


def as_trajectories(frames: ReferenceSet) -> TrajectorySet:
    """Chains at one temperature as trajectories."""
    order = np.lexsort((frames.iteration, frames.repeat))
    shape = (frames.n_repeats, -1)
    x = frames.x[order]
    return TrajectorySet(
        x=x.reshape(*shape, *x.shape[1:]),
        potential=frames.potential[order].reshape(shape),
        temperature=float(frames.temperatures[0]),
        n_steps=frames.n_energy_calls,
    )


@dataclass(frozen=True)
class _Task:
    system: MolecularSystem
    settings: SamplingSettings
    store: ChunkStore
    number: int


def _run_task(task: _Task, on_chunk: Callable[[], None]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the other cores have tasks of their own
    try:
        walkers = _Walkers(task)
        first = task.store.n_chunks
        if first:
            walkers.restore(task.store.read(first - 1))
        else:
            walkers.start(on_chunk)
        for index in range(first, task.settings.plan.n_chunks):
            task.store.write(index, walkers.run_chunk(index))
            on_chunk()
    finally:
        torch.set_num_threads(threads)


def _target(system: MolecularSystem, *, compiled: bool) -> TensorTarget:
    """The target, the same for all tasks of a process, so that graphs are compiled once."""
    key = (system.content_hash, compiled)
    if key not in _TARGETS:
        _TARGETS[key] = TensorTarget(system, compiled=compiled)
    return _TARGETS[key]


class _Walkers:
    """The ladders of one task: rows of a batch, the rungs of a ladder together."""

    def __init__(self, task: _Task) -> None:
        settings, system = task.settings, task.system
        self.settings, self.system, self.store = settings, system, task.store
        self.n_rungs = len(settings.temperatures)
        self.n_ladders = settings.plan.n_ladders
        self.target = _target(system, compiled=settings.compiled)
        rungs = torch.tensor(settings.temperatures, dtype=torch.float32)
        self.c = rungs.repeat(self.n_ladders)[:, None]
        self.speed = (GAS_CONSTANT * self.c[:, 0]).sqrt()  # nm/ps of a mass of 1 dalton
        masses = torch.tensor(system.masses, dtype=torch.float32)
        light = torch.tensor([element == "H" for element in system.elements])
        self.scale = masses.where(~light, settings.hydrogen_mass).rsqrt()[:, None]
        self.generator = Generator().manual_seed(derive_seed(settings.seed, task.number))
        self.recentres = _is_free(self.target, torch.tensor(system.positions))

    def start(self, on_progress: Callable[[], None]) -> None:
        """Tune and equilibrate from the minimum."""
        settings = self.settings
        x = torch.from_numpy(minimised_positions(self.system)).float()
        x = x.expand(len(self.c), -1, -1).clone()
        replica = torch.arange(self.n_rungs).repeat(self.n_ladders)
        kernel = self._kernel(settings.first_step_fs * 1e-3 * self.speed)
        self._say(0, on_progress)
        found = tune(
            kernel, kernel.init(x, self.c), self.c, n_steps=settings.n_tuning,
            generator=self.generator,
            averaging=DualAveraging(settings.acceptance, groups=replica),
        )  # fmt: skip
        done = settings.n_tuning
        x = found.x
        if self.n_rungs > 1:
            hot = self.c.amax().expand_as(self.c)
            top = found.step_size[self.n_rungs - 1].expand_as(found.step_size)
            warm = self._kernel(top).init(x, hot)
            for _ in range(settings.n_hot):
                self._say(done, on_progress)
                warm, _ = kernel.step(warm, hot, generator=self.generator)
                done += 1
            x = warm.x
        self._begin(x, found.step_size, replica, 0)
        for _ in range(settings.n_discarded):
            self._say(done, on_progress)
            self._advance()
            done += 1

    def _say(self, n_trajectories: int, on_progress: Callable[[], None]) -> None:
        """Note progress on the way to the first chunk, now and then."""
        if n_trajectories % self.settings.chunk_frames == 0:
            self.store.note(n_trajectories * len(self.c) * self.settings.n_leapfrog)
            on_progress()

    def restore(self, chunk: dict[str, np.ndarray]) -> None:
        """Go on after a chunk."""
        self.generator.set_state(torch.from_numpy(chunk["generator"]))
        x, step_size, replica = (
            torch.from_numpy(chunk[name]) for name in ("last_x", "step_size", "last_replica")
        )
        self._begin(x, step_size, replica, int(chunk["parity"]))

    def run_chunk(self, index: int) -> dict[str, np.ndarray]:
        """Frames of chunk `index`, statistics, and all that is needed to go on."""
        settings = self.settings
        n_rows, n_frames = len(self.c), settings.chunk_frames
        frames: dict[str, list[np.ndarray]] = {"x": [], "potential": [], "replica": []}
        moves = []
        for _ in range(n_frames):
            for _ in range(settings.spacing):
                moves.append(self._advance().numpy())
            frames["x"].append(self.chains.x.numpy().copy())
            frames["potential"].append((self.chains.energy * self.speed**2).double().numpy())
            frames["replica"].append(self.replica.numpy().copy())
        if not np.any(moves):
            raise SimulationError(
                f"Hamiltonian Monte Carlo: no trajectory of {self.system.name} was accepted"
            )
        row, first = np.arange(n_rows), index * n_frames + 1
        return {
            **{name: np.concatenate(parts) for name, parts in frames.items()},
            "state": np.tile(row % self.n_rungs, n_frames),
            "ladder": np.tile(row // self.n_rungs, n_frames),
            "iteration": np.repeat(np.arange(first, first + n_frames), n_rows) * settings.spacing,
            "acceptance": np.mean(moves, axis=0),
            "step_fs": (self.chains.step_size / self.speed)[: self.n_rungs].numpy() * 1e3,
            "step_size": self.chains.step_size.numpy(),
            "last_x": self.chains.x.numpy(),
            "last_replica": self.replica.numpy(),
            "parity": np.array(self.parity),
            "generator": self.generator.get_state().numpy(),
        }

    def _kernel(self, step_size: Tensor) -> HMC:
        return HMC(
            self.target, step_size=step_size, n_leapfrog=self.settings.n_leapfrog, scale=self.scale
        )

    def _begin(self, x: Tensor, step_size: Tensor, replica: Tensor, parity: int) -> None:
        self.kernel = self._kernel(step_size)
        self.chains, self.replica, self.parity = self.kernel.init(x, self.c), replica, parity

    def _advance(self) -> Tensor:
        """Move once, and exchange; return the mean acceptance at each temperature, (K,)."""
        if self.recentres:
            x = self.chains.x
            self.chains = self.chains._replace(x=x - x.mean(1, keepdim=True))
        if self.n_rungs == 1:
            self.chains, info = self.kernel.step(self.chains, self.c, generator=self.generator)
            return info.acceptance.mean()[None]
        exchange = ReplicaExchange[ChainState](self.target, self.kernel, n_rungs=self.n_rungs)
        state = ExchangeState(self.chains.x, self.chains, self.replica, self.parity)
        state, swapped = exchange.step(state, self.c, generator=self.generator)
        self.chains, self.replica, self.parity = state.inner, state.replica, state.parity
        return swapped.inner.reshape(-1, self.n_rungs).mean(0)


def _is_free(target: TensorTarget, x: Tensor) -> bool:
    """Whether the energy depends on where the molecule is not at all."""
    both = target.potential(torch.stack([x, x + torch.tensor([0.7, -0.4, 1.1])]).double())
    return bool((both[0] - both[1]).abs() < _SHIFTED)
