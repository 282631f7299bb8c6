import os
import signal
import time

import pytest

from systems.molecules import SimulationError
from systems.molecules.workers import run_all


def die(task, on_chunk):
    on_chunk()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.openmm
def test_a_worker_that_is_killed_is_a_clear_error():
    with pytest.raises(SimulationError, match="a worker process died.*goes on from there"):
        run_all(die, [1, 2], n_processes=2, poll=lambda: None)


def test_one_process_runs_in_place():
    seen = []

    def job(task, on_chunk):
        seen.append((task, os.getpid()))
        on_chunk()

    polls = []
    run_all(job, [1, 2], n_processes=1, poll=lambda: polls.append(1))
    assert seen == [(1, os.getpid()), (2, os.getpid())]
    assert len(polls) == 2


def wait_for_ever(task, on_chunk):
    while True:
        on_chunk()
        time.sleep(0.02)


@pytest.mark.openmm
def test_an_interruption_stops_what_runs_and_what_waits():
    """Were the workers not told, this would never return."""
    polls = []

    def poll():
        polls.append(1)
        if len(polls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(wait_for_ever, [1, 2, 3, 4], n_processes=2, poll=poll)
