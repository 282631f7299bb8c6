"""Long simulations side by side in processes.

Processes, not threads: OpenMM's Reference platform keeps one random-number generator per process.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Protocol, TypeVar

from systems.molecules.errors import SimulationError

Progress = Callable[[int, int], None]
"""Called with steps done (those found in the cache included) and steps in all."""

Task = TypeVar("Task")
Task_contra = TypeVar("Task_contra", contravariant=True)

_POLL_SECONDS = 0.5
_STOP: list[Event] = []  # of this worker: set when nobody waits for it any more


class Job(Protocol[Task_contra]):
    """A function of one task that calls `on_chunk` whenever a chunk is safe on disk."""

    def __call__(self, task: Task_contra, on_chunk: Callable[[], None]) -> None:
        """Run the task."""


def run_all(
    job: Job[Task],
    tasks: Sequence[Task],
    *,
    n_processes: int,
    poll: Callable[[], None],
) -> None:
    """Run `job` on every task, in this process if n_processes is 1.

    With more processes the caller's script needs the usual `if __name__ == "__main__":`.

    Args:
        job: A function at the top level of a module.
        tasks: Its arguments, one call each.
        n_processes: How many run at a time.
        poll: Called now and then, to report progress.

    Raises:
        SimulationError: A job failed, or its process died.
        ValueError: n_processes is below 1.
    """
    if n_processes < 1:
        raise ValueError(f"n_processes: expected at least 1, got {n_processes}")
    if n_processes == 1 or len(tasks) < 2:
        for task in tasks:
            job(task, poll)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(n_processes, len(tasks)), mp_context=context, initializer=_prepare, initargs=(stop,)
    )
    try:
        pending = {pool.submit(_run_guarded, job, task, os.getpid()) for task in tasks}
        while pending:
            done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            poll()
    except BrokenProcessPool as error:
        raise SimulationError(
            "a worker process died (killed, or out of memory?); finished chunks are kept, so the "
            "same call goes on from there"
        ) from error
    finally:
        stop.set()  # for what is running, should this be an error or Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare(stop: Event) -> None:
    """Leave Ctrl-C to the process that asked, which says here when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _STOP.append(stop)


def _run_guarded(job: Job[Task], task: Task, parent: int) -> None:
    def stop_if_unwanted() -> None:
        if os.getppid() != parent or _STOP[0].is_set():
            raise SystemExit("nobody waits for this simulation any more")

    stop_if_unwanted()
    job(task, stop_if_unwanted)
