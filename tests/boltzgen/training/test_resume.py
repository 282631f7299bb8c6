"""A run that stops and goes on ends as one that did not stop, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from boltzgen.storage import load_tensors, read_metrics
from boltzgen.training import load_checkpoint, save_checkpoint
from tests.boltzgen.training.resumable import N_STEPS, main, make_trainer
from tests.sources import ROOT


def run_to(trainer, step):
    return [next(iter(trainer)) for _ in range(step - trainer.step)]


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    different = [name for name in state if not torch.equal(state[name], expected[name])]
    assert different == []


@pytest.fixture(scope="module")
def uninterrupted():
    trainer = make_trainer()
    records = run_to(trainer, N_STEPS)
    return trainer.state(), records


def test_the_state_holds_every_kind_of_memory(uninterrupted):
    state, records = uninterrupted
    kinds = {name.split("/")[0] for name in state}
    assert kinds == {"density", "average", "objective", "optimizer", "generator", "step"}
    first = make_trainer().state()
    memory = [name for name in state if name.startswith("objective/")]
    assert {name for name in memory if not torch.equal(state[name], first[name])} == {
        "objective/balance.factors",
        "objective/balance.measured",
        "objective/memory.trade.sampler.losses",
        "objective/memory.trade.table.log_z",
        "objective/memory.trade.table.mean_slope",
        "objective/memory.trade.table.n_refreshes",
        "objective/memory.trade.table.noise",
        "objective/memory.trade.table.spread",
    }
    assert {"trade", "log_variance_rms", "weight/trade"} <= set(records[-1].metrics)


@pytest.mark.parametrize("seed", range(3))
def test_stopped_at_random_steps(tmp_path, uninterrupted, seed):
    """Before, in and after the ramps; a new trainer and other draws each time."""
    stops = sorted(random.Random(seed).sample(range(1, N_STEPS), 4))
    trainer, records = make_trainer(), []
    for stop in [*stops, N_STEPS]:
        records += run_to(trainer, stop)
        save_checkpoint(tmp_path / "a", trainer, {"note": "kept"})
        run_to(trainer, min(stop + 2, N_STEPS))
        torch.rand(7)
        trainer = make_trainer()
        assert load_checkpoint(tmp_path / "a", trainer)["note"] == "kept"
        assert trainer.step == stop
    assert_same(trainer.state(), uninterrupted[0])
    assert records == uninterrupted[1]


def test_a_trainer_that_has_gone_on_can_be_set_back(tmp_path, uninterrupted):
    trainer = make_trainer()
    run_to(trainer, 6)
    save_checkpoint(tmp_path / "a", trainer, {})
    run_to(trainer, 12)
    load_checkpoint(tmp_path / "a", trainer)
    run_to(trainer, N_STEPS)
    assert_same(trainer.state(), uninterrupted[0])
    fresh = make_trainer()
    save_checkpoint(tmp_path / "b", fresh, {})
    load_checkpoint(tmp_path / "b", trainer)
    run_to(trainer, N_STEPS)
    assert_same(trainer.state(), uninterrupted[0])


def start(directory):
    command = [sys.executable, "-m", "tests.boltzgen.training.resumable", str(directory)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def wait_for_progress(process, directory, n_lines):
    """Until the log of this process has so many lines more, or it has ended."""
    metrics = directory / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and len(read_metrics(metrics)) >= n_lines:
            return
        time.sleep(0.001)


def kill_and_resume(directory, seed, n_kills):
    """Kill a run `n_kills` times, each some steps and some milliseconds after it went on."""
    chance, reached = random.Random(seed), 0
    for _ in range(n_kills):
        process = start(directory)
        wait_for_progress(process, directory, reached + chance.randint(1, N_STEPS // n_kills))
        time.sleep(chance.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        checkpoint = directory / "checkpoint"
        reached = int(load_tensors(checkpoint)[1]["step"]) if checkpoint.exists() else 0
        logged = [record["step"] for record in read_metrics(directory / "metrics.jsonl")]
        assert logged == list(range(1, len(logged) + 1))
        assert len(logged) >= reached
    process = start(directory)
    assert process.wait(timeout=120) == 0


def check_killed(tmp_path, seed, n_kills):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    threads = torch.get_num_threads()
    main(tmp_path / "whole")
    torch.set_num_threads(threads)
    kill_and_resume(tmp_path / "killed", seed, n_kills)
    found, expected = (load_tensors(tmp_path / name / "final")[0] for name in ("killed", "whole"))
    assert_same(found, expected)
    logs = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("killed", "whole")]
    assert logs[0] == logs[1]


def test_killed_twice(tmp_path):
    check_killed(tmp_path, seed=0, n_kills=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_killed_six_times(tmp_path, seed):
    check_killed(tmp_path, seed=seed, n_kills=6)
