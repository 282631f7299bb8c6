"""One smoke run of the main job that the tests of this folder share, and how to call a script."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from systems.molecules import named
from tests.sources import ROOT
from tests.systems.molecules.conftest import harmonic_pair

SMOKE = ["--T", "300:600", "--preset", "smoke", "--processes", "1", "--quiet"]


class SmokeRun(NamedTuple):
    """Its directory, the cache with its dynamics, and what it printed."""

    path: Path
    cache: Path
    printed: str

    def command(self, *words):
        """Arguments of train_alanine.py that use the cache of this run."""
        return [*SMOKE, "--cache", str(self.cache), *map(str, words)]


def start_python(words, **options):
    """Start Python with the scripts in reach, on one thread."""
    path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.Popen(
        [sys.executable, *map(str, words)], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The run; workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    run = SmokeRun(base / "smoke" / "run", base / "smoke" / "cache", "")
    log = base / "smoke" / "printed.txt"
    log.parent.mkdir(exist_ok=True)
    with (base / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            script = ROOT / "scripts" / "train_alanine.py"
            process = start_python([script, *run.command("--out", run.path)])
            printed, _ = process.communicate(timeout=300)
            assert process.returncode == 0, printed
            log.write_text(printed)
    return run._replace(printed=log.read_text())


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the `main` of a script in this process: exit status, standard output and error."""

    def run(main, *words):
        monkeypatch.setattr("sys.argv", ["script.py", *map(str, words)])
        try:
            status = main()
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refuses(call):
    """A call that has to fail with one line on standard error that holds the words."""

    def run(main, *words, because):
        status, _, error = call(main, *words)
        assert status not in (0, None), words
        (line,) = error.strip().splitlines()
        assert because in line
        return line

    return run


@pytest.fixture(scope="session")
def alanine():
    return named("ala2/ff99sbildn-obc2")


@pytest.fixture(scope="session")
def pair():
    return harmonic_pair()


@pytest.fixture(scope="session")
def constrained_alanine():
    return named("ala2/tsf")
