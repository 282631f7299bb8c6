"""Frames sampled over a ladder of temperatures, and how they lie in the cache.

Whatever samples them leaves the same columns: a directory for each repeat with consecutive chunks,
and a manifest that says what they are.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from systems.cache import ChunkStore, CorruptCacheError, settings_key
from systems.checks import check_positive
from systems.molecules.definition import MolecularSystem
from systems.molecules.workers import Job, Progress, Task, run_all

_FORMAT = 2
_COLUMNS = ("x", "potential", "state", "replica", "iteration")
_MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Frames of a reference, N in all, one row each.

    Args:
        sampler: What made them, in words.
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

    sampler: str
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sampler is to leave in the cache.

    Args:
        sampler: Its name in words.
        temperatures: The ladder in K, rising.
        n_tasks: Pieces of work that run side by side, each with a directory of chunks.
        n_ladders: Independent repeats that a piece advances together; its chunks then have a
            column `ladder`, from 0 to n_ladders - 1.
        n_chunks: Chunks of each piece when all is done.
        calls_before: Energy calls of a piece before its first chunk.
        calls_per_chunk: Energy calls of a chunk.
        stream: Hash of all that decides the frames; lengths do not, they extend it.
    """

    sampler: str
    temperatures: tuple[float, ...]
    n_tasks: int
    n_ladders: int = 1
    n_chunks: int
    calls_before: int
    calls_per_chunk: int
    stream: str

    def calls(self, n_chunks: int) -> int:
        """Energy calls of a piece with so many chunks."""
        return self.calls_before + n_chunks * self.calls_per_chunk if n_chunks else 0


class ReferenceStore:
    """The chunks of one reference on disk.

    Args:
        directory: Where they lie; see `place`.
        plan: What is to be there.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        self.directory, self.plan = directory, plan

    @classmethod
    def place(
        cls, kind: str, system: MolecularSystem, plan: Plan, cache_dir: Path
    ) -> "ReferenceStore":
        """The store of a plan in the cache.

        Args:
            kind: "reference" if `find_reference` is to find it.
            system: The molecule.
            plan: The plan.
            cache_dir: Directory of all caches.
        """
        key = settings_key(_FORMAT, plan.stream)
        return cls(Path(cache_dir) / f"{kind}-{system.content_hash[:16]}-{key[:16]}", plan)

    @classmethod
    def open(cls, directory: Path) -> "ReferenceStore":
        """Read the manifest.

        Raises:
            CorruptCacheError: It is damaged.
        """
        path = directory / _MANIFEST
        try:
            found = json.loads(path.read_text())["plan"]
            plan = Plan(**{**found, "temperatures": tuple(found["temperatures"])})
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptCacheError(f"{path} is damaged ({error}); delete its directory") from error
        return cls(directory, plan)

    def write_manifest(self, system: MolecularSystem, settings: object) -> None:
        """Say what is here; the settings are for people."""
        self.directory.mkdir(parents=True, exist_ok=True)
        content = {"system": system.name, "plan": asdict(self.plan), "settings": settings}
        temporary = self.directory / ".manifest.tmp"
        temporary.write_text(json.dumps(content, indent=1))
        temporary.replace(self.directory / _MANIFEST)

    def chunks(self, task: int) -> ChunkStore:
        """Chunks of one piece of work."""
        return ChunkStore(self.directory / f"repeat_{task:03d}")

    @property
    def unfinished(self) -> list[int]:
        """Pieces of work that lack chunks."""
        return [task for task, n in enumerate(self._counts()) if n < self.plan.n_chunks]

    def fill(
        self, job: Job[Task], tasks: Sequence[Task], *, n_processes: int, progress: Progress | None
    ) -> None:
        """Run the tasks, which write chunks, side by side and report energy calls."""

        def poll() -> None:
            if progress is not None:
                progress(self.calls_done, self.calls_total)

        poll()
        run_all(job, tasks, n_processes=n_processes, poll=poll)
        poll()

    @property
    def n_chunks(self) -> int:
        """Chunks of all pieces of work together."""
        return sum(self._counts())

    @property
    def calls_done(self) -> int:
        """Energy calls spent on what is there."""
        plan = self.plan
        return sum(
            plan.calls(n) if n else min(self.chunks(task).noted, plan.calls_before)
            for task, n in enumerate(self._counts())
        )

    @property
    def calls_total(self) -> int:
        """Energy calls of the whole plan."""
        return self.plan.n_tasks * self.plan.calls(self.plan.n_chunks)

    def load(self) -> ReferenceSet:
        """Read all frames, as many as there are.

        Raises:
            CorruptCacheError: A chunk is damaged.
        """
        plan, counts = self.plan, self._counts()
        columns: dict[str, list[np.ndarray]] = {name: [] for name in (*_COLUMNS, "repeat")}
        for task, n_chunks in enumerate(counts):
            for index in range(n_chunks):
                chunk = self.chunks(task).read(index)
                ladder = chunk.get("ladder", np.zeros(chunk["potential"].size, dtype=np.int64))
                chunk["repeat"] = task * plan.n_ladders + ladder
                for name, parts in columns.items():
                    parts.append(chunk[name])
        merged = {name: np.concatenate(parts) for name, parts in columns.items()}
        return ReferenceSet(
            sampler=plan.sampler,
            temperatures=np.array(plan.temperatures),
            n_energy_calls=self.calls_done,
            complete=all(n == plan.n_chunks for n in counts),
            **merged,
        )

    def mean(self, name: str) -> np.ndarray:
        """Mean over all chunks of an array that they have besides the frames."""
        rows = [
            self.chunks(task).read(index)[name]
            for task, n_chunks in enumerate(self._counts())
            for index in range(n_chunks)
        ]
        return np.asarray(np.mean(rows, axis=0))

    def _counts(self) -> list[int]:
        """Chunks of each piece, at most as many as are planned."""
        return [
            min(self.chunks(task).n_chunks, self.plan.n_chunks) for task in range(self.plan.n_tasks)
        ]


def find_reference(system: MolecularSystem, cache_dir: Path) -> ReferenceSet | None:
    """Return the reference of this system in the cache that cost most, finished or not, or None.

    Raises:
        CorruptCacheError: A manifest or a chunk is damaged.
    """
    pattern = f"reference-{system.content_hash[:16]}-*/{_MANIFEST}"
    stores = [ReferenceStore.open(path.parent) for path in sorted(Path(cache_dir).glob(pattern))]
    best = max(stores, key=lambda store: store.calls_done, default=None)
    return best.load() if best is not None and best.n_chunks else None


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
    found = []
    for low, high in zip(fixed, fixed[1:], strict=False):
        n = max(1, int(np.ceil(np.log(high / low) / np.log(ratio) - 1e-9)))
        found += [float(low * (high / low) ** (i / n)) for i in range(n)]
    return (*found, fixed[-1])


def rungs(low: float, high: float, count: int, *, first: Sequence[float]) -> tuple[float, ...]:
    """So many temperatures from low to high: `first` if they fit, and then the widest gaps halved.

    Without room for all of `first` the temperatures are evenly spaced in log T.

    Args:
        low: K.
        high: K.
        count: At least 2.
        first: Temperatures to have before others, K.

    Example:
        >>> [round(t) for t in rungs(300.0, 600.0, 4, first=(450.0,))]
        [300, 367, 450, 600]
    """
    found = sorted({low, high, *(t for t in first if low < t < high)})
    if len(found) > count:
        return tuple(float(t) for t in np.geomspace(low, high, count))
    while len(found) < count:
        ratios = np.array(found[1:]) / np.array(found[:-1])
        widest = int(ratios.argmax())
        found.insert(widest + 1, float(np.sqrt(found[widest] * found[widest + 1])))
    return tuple(found)


def check_ladder(temperatures: Sequence[float], *, least: int) -> tuple[float, ...]:
    """Require rising temperatures, at least so many, and return them as floats."""
    found = tuple(float(t) for t in temperatures)
    for t in found:
        check_positive("temperatures", t)
    if len(found) < least or list(found) != sorted(set(found)):
        number = {1: "at least one", 2: "at least two"}[least]
        raise ValueError(f"temperatures: expected {number} rising values, got {found}")
    return found
