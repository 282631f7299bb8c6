"""Points of a sweep on workers: what is finished stays, what fails is said, nothing is confused."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from distributed import Client
from distributed.versions import get_versions

from pipeline.command_line import Parser
from sweep import cluster
from sweep.cluster import (
    ClusterSettings,
    FailedPointsError,
    add_cluster_arguments,
    cluster_settings,
    run_points,
)
from sweep.connection import SweepError
from sweep.points import Point, PointStore
from tests.scripts.conftest import start_python
from tests.scripts.sweep_points import begun, measure, measure_otherwise, words

HERE = ClusterSettings(n_workers=0)
TWO = ClusterSettings(n_workers=2)


@pytest.fixture
def points(tmp_path):
    """Points that leave their traces in a folder; settings of single ones by number."""

    def make(n, special=None, **settings):
        settings["folder"] = str(tmp_path)
        return [
            Point(
                label=f"J={k}", couplings={"J": k}, seed=k,
                settings=settings | (special or {}).get(k, {}),
            )
            for k in range(n)
        ]  # fmt: skip

    return make


@pytest.fixture
def bars(monkeypatch):
    """What progress bars were told."""
    told = []

    class Bar(cluster.ProgressBar):
        def __call__(self, done, total):
            told.append((done, total))
            super().__call__(done, total)

    monkeypatch.setattr(cluster, "ProgressBar", Bar)
    return told


def run(points, store, settings=HERE, **options):
    return run_points(
        measure, points, store=store, settings=settings, show_progress=False, **options
    )


def couplings(results):
    return [result["J"] for result in results]


def test_results_are_in_the_order_of_the_points_and_come_back_from_the_disk(points, tmp_path, bars):
    some = points(5)[::-1]
    first = run(some, tmp_path / "s", resume=False)
    again = run(some, tmp_path / "s")
    assert couplings(first) == couplings(again) == [4, 3, 2, 1, 0]
    for one, other in zip(first, again, strict=True):
        assert list(one) == list(other) == ["squares", "J", "threads"]
        assert np.array_equal(one["squares"], other["squares"])
        assert type(other["J"]) is float
    assert [len(pids) for pids in begun(tmp_path).values()] == [1] * 5
    assert bars == [(n, 5) for n in range(6)]


def test_a_resumption_computes_what_is_missing_and_counts_what_is_there(points, tmp_path, bars):
    run(points(2), tmp_path / "s")
    bars.clear()
    assert couplings(run(points(5), tmp_path / "s")) == [0, 1, 2, 3, 4]
    assert bars == [(n, 5) for n in range(2, 6)]
    assert [len(pids) for pids in begun(tmp_path).values()] == [1] * 5


def test_a_new_sweep_does_not_begin_among_results(points, tmp_path):
    run(points(2), tmp_path / "s", resume=False)
    with pytest.raises(ValueError, match="already holds 2 of these points.*--resume"):
        run(points(3), tmp_path / "s", resume=False)
    assert couplings(run([], tmp_path / "s", resume=False)) == []


def test_another_function_has_other_results(points, tmp_path):
    run(points(2), tmp_path / "s")
    other = run_points(
        measure_otherwise, points(2), store=tmp_path / "s", settings=HERE, show_progress=False
    )
    assert couplings(other) == [0, -1]
    assert couplings(run(points(2), tmp_path / "s")) == [0, 1]


def test_a_damaged_file_is_reported_and_its_point_computed_again(points, tmp_path, capsys):
    good = run(points(4), tmp_path / "s")
    path = PointStore(tmp_path / "s", measure).file_of(points(4)[3])
    path.write_bytes(path.read_bytes()[:1500])
    again = run(points(4), tmp_path / "s")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path}: ")
    assert line.endswith("; it is computed again")
    assert np.array_equal(again[3]["squares"], good[3]["squares"])
    assert [len(begun(tmp_path)[f"J={k}"]) for k in range(4)] == [1, 1, 1, 2]


def test_labels_and_functions_have_names_of_their_own(points, tmp_path):
    with pytest.raises(ValueError, match="points: expected a label for each, got J=0 twice"):
        run([*points(2), *points(1, seconds=1e-3)], tmp_path / "s")
    with pytest.raises(ValueError, match="expected a function of a module"):
        run_points(lambda point: {}, points(1), store=tmp_path / "s", settings=HERE)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_what_fails_is_tried_again_and_then_said_while_the_others_go_on(
    points, tmp_path, n_workers
):
    special = {0: {"failures": 1}, 1: {"failures": 9}, 3: {"refuses": True}}
    some = points(6, special | ({4: {"kills": True}} if n_workers else {}))
    with pytest.raises(FailedPointsError) as caught:
        run(some, tmp_path / "s", ClusterSettings(n_workers=n_workers, retries=1))
    (line,) = str(caught.value).splitlines()
    failed = {1, 3, 4} if n_workers else {1, 3}
    assert line.startswith(f"{len(failed)} of 6 points failed, the others are kept in ")
    assert "J=1: ArithmeticError: not this time (sweep_points.py:" in line
    assert "J=3: ValueError: J: expected another number (" in line
    assert ("J=4: 2 workers died of it" in line) == (n_workers > 0)
    assert set(caught.value.reasons) == {f"J={k}" for k in failed}
    attempts = [len(begun(tmp_path)[f"J={k}"]) for k in range(6)]
    least = [2, 2, 1, 1, 2 if n_workers else 1, 1]
    # What a dying worker finished in its last moment, and had not handed over, is begun once more.
    assert np.all(np.array(attempts) >= least)
    assert sum(attempts) - sum(least) <= (2 if n_workers else 0)
    store = PointStore(tmp_path / "s", measure)
    assert {k for k in range(6) if not store.file_of(some[k]).exists()} == failed
    assert "in measure\n" in store.traceback_of(some[1]).read_text()
    assert n_workers == 0 or store.read(some[2]).result["threads"] == 1


def test_results_that_are_no_numbers_are_refused(points, tmp_path):
    with pytest.raises(FailedPointsError, match=r"result: x: expected an array of numbers"):
        run_points(words, points(1), store=tmp_path / "s", settings=HERE, show_progress=False)


def test_a_point_that_succeeds_later_leaves_no_traceback(points, tmp_path):
    some = points(1, {0: {"failures": 1}})
    with pytest.raises(FailedPointsError):
        run(some, tmp_path / "s", ClusterSettings(n_workers=0, retries=0))
    assert couplings(run(some, tmp_path / "s")) == [0]
    assert [path.suffix for path in (tmp_path / "s").iterdir()] == [".h5"]


def test_an_interruption_keeps_what_is_finished(points, tmp_path):
    with pytest.raises(KeyboardInterrupt, match="2 of 4 points are kept in .*--resume goes on"):
        run(points(4, {2: {"stops": True}}), tmp_path / "s")
    assert len(list((tmp_path / "s").glob("*.h5"))) == 2


def _wait_for(condition, *, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "in vain"
        time.sleep(0.02)
    return found


def _kill_the_worker_of(label, folder, finished):
    """Kill the process that computes a point, and note which points are on the disk by then."""
    (pid,) = _wait_for(lambda: begun(folder).get(label))
    finished.extend(path.name.rpartition("-")[0] for path in (folder / "s").glob("*.h5"))
    os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_costs_only_what_it_was_computing(points, tmp_path, capsys, recwarn):
    some = points(8, {4: {"seconds": 1.5}}, seconds=0.2)
    finished = []
    killer = threading.Thread(target=_kill_the_worker_of, args=("J=4", tmp_path, finished))
    killer.start()
    with socket.socket() as port:
        with suppress(OSError):  # taken already, which is as good
            port.bind(("", 8787))  # where dask would like to have its dashboard
            port.listen()
        results = run(some, tmp_path / "s", TWO)
    killer.join()
    assert couplings(results) == list(range(8))
    attempts = {label: len(pids) for label, pids in begun(tmp_path).items()}
    assert len(finished) >= 2
    assert all(attempts[label] == 1 for label in finished)
    assert attempts["J=4"] == 2
    assert sum(attempts.values()) <= 10
    store = PointStore(tmp_path / "s", measure)
    assert [store.read(point).result["J"] for point in some] == list(range(8))
    assert capsys.readouterr().err == "warning: workers that died while computing: 1\n"
    assert len(recwarn) == 0


PROGRAM = """
import signal
import sys
import time
from pathlib import Path

from sweep.cluster import ClusterSettings, run_points
from sweep.points import Point


def wait(point):
    time.sleep(point.couplings["t"])
    return {"t": point.couplings["t"]}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in the foreground
    points = [Point(label=str(k), couplings={"t": t}, seed=k) for k, t in enumerate([0, 0, 60])]
    settings = ClusterSettings(n_workers=1)
    store = Path(sys.argv[1])
    try:
        run_points(wait, points, store=store, settings=settings, show_progress=False)
    except KeyboardInterrupt as stop:
        print(stop)
        sys.exit(130)
"""


def test_ctrl_c_ends_program_and_workers_and_keeps_what_is_finished(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = start_python([program, tmp_path / "s"], cwd="/", start_new_session=True)
    store = tmp_path / "s"
    _wait_for(lambda: process.poll() is not None or len(list(store.glob("*.h5"))) == 2)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=30)
    assert printed == f"stopped; 2 of 3 points are kept in {store}, --resume goes on\n"
    assert process.returncode == 130
    _wait_for(lambda: not _is_there(process.pid), seconds=20)


def _is_there(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler with one worker, started by hand elsewhere: its address and its process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    place = tmp_path / "elsewhere"
    place.mkdir()
    processes = []

    def start(name, *words):
        command = [sys.executable, "-m", "dask", name, "--scheduler-file", "s.json", *words]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        processes.append(subprocess.Popen(command, cwd=place, env=environment, **quiet))

    start("scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
    _wait_for((place / "s.json").exists)
    start("worker", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
    yield json.loads((place / "s.json").read_text())["address"], processes[0]
    for process in reversed(processes):
        process.kill()
        process.wait()


def test_a_running_scheduler_is_used_and_left_running(points, tmp_path, scheduler, monkeypatch,
                                                      capsys):  # fmt: skip
    address, process = scheduler
    settings = ClusterSettings(scheduler=address)
    assert couplings(run(points(3), tmp_path / "s", settings)) == [0, 1, 2]
    with Client(address, set_as_default=False) as client:
        (worker,) = client.scheduler_info()["workers"]
    capsys.readouterr()
    versions = get_versions()
    versions["packages"]["numpy"] = "0.1"
    monkeypatch.setattr("distributed.versions.get_versions", lambda *_: versions)
    assert couplings(run(points(4), tmp_path / "s", settings)) == [0, 1, 2, 3]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {address}: different versions: numpy 0.1 here, ")
    with pytest.raises(OSError, match="it is the address of a worker"):
        run(points(5), tmp_path / "s", ClusterSettings(scheduler=worker))
    assert process.poll() is None

    killer = threading.Thread(
        target=lambda: (_wait_for(lambda: "J=5" in begun(tmp_path)), process.kill())
    )
    killer.start()
    with pytest.raises(OSError, match="the connection to the scheduler is lost") as caught:
        run(points(7, {5: {"seconds": 60}}), tmp_path / "s", settings)
    killer.join()
    assert str(caught.value).startswith(f"--scheduler {address}: ")
    assert len(list((tmp_path / "s").glob("*.h5"))) == 5


def test_without_dask_one_line_says_what_to_install(points, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    for settings in (TWO, ClusterSettings(scheduler="tcp://h:1")):
        with pytest.raises(SweepError, match=r'pip install "boltzgen-flows\[cluster\]"') as caught:
            run(points(1), tmp_path / "s", settings)
        assert len(str(caught.value).splitlines()) == 1
    assert couplings(run(points(1), tmp_path / "s", HERE)) == [0]


def test_the_sweep_imports_without_dask(tmp_path):
    text = (
        "import sys; sys.modules['dask'] = sys.modules['distributed'] = None; import sweep.cluster"
    )
    process = start_python(["-c", text])
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "")


@pytest.fixture
def parse():
    def read(*words):
        parser = Parser("sweep")
        add_cluster_arguments(parser)
        return cluster_settings(parser.parse_args(words))

    return read


def test_arguments(parse):
    assert parse() == ClusterSettings()
    assert parse("--workers", "0", "--retries", "5") == ClusterSettings(n_workers=0, retries=5)
    assert parse("--scheduler", "tcp://h:1").scheduler == "tcp://h:1"
    with pytest.raises(ValueError, match="--workers: expected none with --scheduler"):
        parse("--scheduler", "tcp://h:1", "--workers", "2")


@pytest.mark.parametrize("words", [("--workers", "-1"), ("--retries", "x"), ("--workers", "1.5")])
def test_mistaken_arguments(parse, capsys, words):
    with pytest.raises(SystemExit):
        parse(*words)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{words[0]}: expected a whole number of at least 0, got '{words[1]}'" in line
