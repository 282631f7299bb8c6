"""Points of a sweep as independent tasks, in this process, on its cores or on a cluster.

A point is a description without anything running in it (`Point`); a function of a module turns it
into arrays and numbers. Every result is written by this program as soon as it arrives, to a file of
its own, so that whatever happens later costs only what was running then: a killed worker, a lost
scheduler, Ctrl-C, a job at the end of its time. The same call goes on from there.

Without anything, workers are started on the cores of this machine: the program needs
`if __name__ == "__main__":`. With --workers 0 points are computed in this process, one after the
other, without dask. With --scheduler tcp://HOST:PORT they are computed by the workers of a
scheduler that runs already, which need the same packages, but not the same file system.

On a cluster with SLURM (pip install dask-jobqueue), a small process that stays alive asks for them:

    import dask
    from dask_jobqueue import SLURMCluster

    dask.config.set({"distributed.scheduler.worker-ttl": None})
    cluster = SLURMCluster(cores=1, memory="4GB", walltime="12:00:00")
    cluster.scale(20)
    print(cluster.scheduler_address, flush=True)
    input("Enter ends the workers")

and the sweep goes to the address that it printed, such as

    python scripts/sweep_lattice.py --scheduler tcp://10.1.2.3:40123

Points are computed as soon as the first of the workers is there, and on more as they come. A
worker-ttl of None lets a point hold the interpreter for longer than dask's five minutes.
"""

import argparse
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from boltzgen.errors import CorruptFileError
from pipeline.command_line import count
from pipeline.console import ProgressBar
from sweep.attempts import Failure, Function, ThisProcess, Workers
from sweep.connection import (
    DaskWorkers,
    SweepError,
    check_address,
    interrupts_held,
    local_client,
    remote_client,
)
from sweep.points import Finished, Point, PointStore, Result

_N_SHOWN = 5


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Where points are computed, and how often one is tried.

    Args:
        scheduler: tcp://HOST:PORT of a running scheduler of dask; None for this machine.
        n_workers: Workers to start on this machine, 0 for this process alone; None for all cores.
            It says nothing about a running scheduler.
        retries: Further attempts at a point that raised anything but a ValueError, and further
            workers for one whose worker died (at a running scheduler, what that one allows).
        timeout: Seconds in which a scheduler has to answer.

    Raises:
        ValueError: A malformed address, a negative number, or workers for a running scheduler.
    """

    scheduler: str | None = None
    n_workers: int | None = None
    retries: int = 2
    timeout: float = 10.0

    def __post_init__(self) -> None:
        for name, value in (("--workers", self.n_workers or 0), ("--retries", self.retries)):
            if value < 0:
                raise ValueError(f"{name}: expected a number of at least 0, got {value}")
        if not self.timeout > 0:
            raise ValueError(f"timeout: expected seconds above 0, got {self.timeout}")
        if self.scheduler is not None:
            check_address(self.scheduler)
            if self.n_workers is not None:
                raise ValueError(
                    "--workers: expected none with --scheduler, which has workers of its own, "
                    f"got {self.n_workers}"
                )


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where points are computed."""
    group = parser.add_argument_group("where points are computed")
    add = group.add_argument
    add("--workers", type=count, metavar="N",
        help="processes on this machine, one thread each; 0: this one, without dask "
        "(default: all cores)")  # fmt: skip
    add("--scheduler", metavar="ADDRESS",
        help="tcp://HOST:PORT of a running scheduler of dask, on a cluster for instance, whose "
        "workers are used instead")  # fmt: skip
    add("--retries", type=count, default=2, metavar="N",
        help="further attempts at a point that fails, before the others go on without it "
        "(default 2)")  # fmt: skip


def cluster_settings(arguments: argparse.Namespace) -> ClusterSettings:
    """What the command line asks for.

    Raises:
        ValueError: A malformed address, or --workers with --scheduler.
    """
    return ClusterSettings(
        scheduler=arguments.scheduler, n_workers=arguments.workers, retries=arguments.retries
    )


class FailedPointsError(SweepError):
    """Points without result; all others are on the disk.

    Args:
        reasons: Why, by label.
        store: The results and tracebacks.
        n_points: Number of all points.
    """

    def __init__(self, reasons: dict[str, str], store: PointStore, n_points: int) -> None:
        self.reasons = reasons
        shown = [f"{label}: {reason}" for label, reason in list(reasons.items())[:_N_SHOWN]]
        more = [f"and {', '.join(list(reasons)[_N_SHOWN:])}"] if len(reasons) > _N_SHOWN else []
        super().__init__(
            f"{len(reasons)} of {n_points} points failed, the others are kept in {store.path}, "
            f"with the tracebacks: {'; '.join(shown + more)}"
        )


def run_points(
    function: Function,
    points: Sequence[Point],
    *,
    store: Path,
    settings: ClusterSettings | None = None,
    resume: bool = True,
    show_progress: bool = True,
) -> list[Result]:
    """Compute points, or take from the store what is there.

    A worker that dies loses what it was computing, which another computes again. A point that
    raises is tried again, then given up, and the others go on.

    Args:
        function: What computes a point: a function of a module, which workers import.
        points: The points, each with a label of its own.
        store: Directory of finished points; made where it is missing.
        settings: Where, and how often.
        resume: Whether points may be in the store already.
        show_progress: Whether to show a bar.

    Returns:
        A result for each point, in their order.

    Raises:
        ValueError: Two points share a label, the function is none of a module, or the store holds
            results though this is no resumption.
        OSError: No scheduler answers, its connection is lost, or a file cannot be written.
        FailedPointsError: Points without result, after all others are done.
        SweepError: Dask is missing here, or the sweep's modules at the workers.
        KeyboardInterrupt: Ctrl-C; its text says what is kept.
    """
    sweep = _Sweep(function, points, store, settings or ClusterSettings())
    sweep.find(resume=resume)
    try:
        sweep.compute(show_progress=show_progress)
    except KeyboardInterrupt as stop:
        kept = sum(sweep.store.file_of(point).exists() for point in points)
        raise KeyboardInterrupt(
            f"stopped; {kept} of {len(points)} points are kept in {store}, --resume goes on"
        ) from stop
    for text in sweep.warnings:
        print(f"warning: {text}", file=sys.stderr)
    if sweep.failures:
        raise FailedPointsError(sweep.failures, sweep.store, len(points))
    return [sweep.results[point.label] for point in points]


@dataclass
class _Sweep:
    """What is done and what is not."""

    function: Function
    points: Sequence[Point]
    path: Path
    settings: ClusterSettings
    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shared = [k for k, n in Counter(point.label for point in self.points).items() if n > 1]
        if shared:
            raise ValueError(f"points: expected a label for each, got {', '.join(shared)} twice")
        self.store = PointStore(self.path, self.function)

    def find(self, *, resume: bool) -> None:
        """Take from the store what is there; a damaged file is as good as none."""
        for point in self.points:
            try:
                self.results[point.label] = self.store.read(point).result
            except FileNotFoundError:
                continue
            except CorruptFileError as error:
                print(f"warning: {error}; it is computed again", file=sys.stderr)
        if self.results and not resume:
            raise ValueError(
                f"store: {self.path} already holds {len(self.results)} of these points; give "
                "another directory, or --resume to go on"
            )

    def compute(self, *, show_progress: bool) -> None:
        """Compute what is missing."""
        missing = [point for point in self.points if point.label not in self.results]
        if not missing:
            return
        with (
            self._workers(len(missing)) as workers,
            ProgressBar("points", unit="point", enabled=show_progress) as bar,
        ):
            self._go_through(deque(missing), workers, bar)
            self.warnings = workers.warnings()

    def _go_through(self, waiting: deque[Point], workers: Workers, bar: ProgressBar) -> None:
        attempts: Counter[str] = Counter()
        bar(len(self.results), len(self.points))
        while waiting or workers.n_running:
            while waiting and workers.has_room():
                workers.submit(waiting.popleft())
            for point, answer in workers.wait():
                attempts[point.label] += 1
                if isinstance(answer, Finished):
                    self._keep(point, answer)
                    bar(len(self.results), len(self.points))
                elif answer.may_pass and attempts[point.label] <= self.settings.retries:
                    waiting.append(point)
                else:
                    self._give_up(point, answer)

    def _keep(self, point: Point, finished: Finished) -> None:
        self.store.write(point, finished)
        self.results[point.label] = finished.result

    def _give_up(self, point: Point, failure: Failure) -> None:
        self.store.write_traceback(point, failure.traceback)
        self.failures[point.label] = failure.reason

    @contextmanager
    def _workers(self, n_missing: int) -> Iterator[Workers]:
        settings = self.settings
        address, n_workers = settings.scheduler, settings.n_workers
        if address is None and n_workers == 0:
            yield ThisProcess(self.function)
        elif address is None:
            n_workers = min(n_workers or n_cores(), n_missing)
            with (
                local_client(n_workers, n_deaths=settings.retries) as client,
                interrupts_held() as check,
            ):
                yield DaskWorkers(self.function, client, "workers of this machine", check)
        else:
            with remote_client(address, timeout=settings.timeout) as client:
                if not client.nthreads():
                    print(f"{address} has no workers yet; waiting for them", file=sys.stderr)
                with interrupts_held() as check:
                    yield DaskWorkers(self.function, client, f"--scheduler {address}", check)
