"""The benchmark times both sides, tells who samples something else, and names missing peers."""

import json
import sys
import types

import numpy as np
import pytest
from torch import Generator

import bench_lattice
from lattice_bench import ising, phi4
from lattice_bench.contest import Contest, Sampler, hold
from systems.lattices.exact import critical_temperature, torus_averages
from systems.lattices.monte_carlo import IsingChains, Schedule, SwendsenWang, make_streams
from systems.lattices.monte_carlo import run_ising as run


class FakeSimulation:
    """What the benchmark needs of mcising, with our own chains behind it."""

    shift = 0.0

    def __init__(self, L, *rest):
        self._L, self._seed = L, rest[4]

    def set_spins(self, spins):
        streams = make_streams(1, generator=Generator().manual_seed(self._seed))
        self._chains = IsingChains(spins[None].copy(), streams)

    def sweep(self, n, *, temperature):
        made = run(self._chains, SwendsenWang(), Schedule(n), T=temperature)
        self._chains = made.chains
        return made

    def production_sweeps(self, n, every, *, temperature, store_configs):
        made = self.sweep(n * every, temperature=temperature)
        return {"energies": -made.bond_sum[0] / self._L**2 + self.shift}


@pytest.fixture
def fake(monkeypatch):
    """A fake mcising, and short runs."""
    module = types.ModuleType("mcising")
    module.IsingSimulation = FakeSimulation
    monkeypatch.setitem(sys.modules, "mcising", module)
    for name, value in {"_SITES_A_CALL": 1000, "_SITES_A_CHECK": 1, "_N_FIRST": 50}.items():
        monkeypatch.setattr(ising, name, value)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Libraries that read the environment later get what they had."""
    for name in ("RAYON_NUM_THREADS", "XLA_FLAGS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_fake_peer_is_timed_and_agrees(call, fake, tmp_path):
    out = tmp_path / "lattice.json"
    words = ("--peer", "mcising", "--L", "8", "--repeats", 1, "--quiet", "--json", out)
    status, printed, error = call(bench_lattice.main, *words)
    assert status == 0, error
    found = json.loads(out.read_text())
    assert (found["threads"], found["repeats"]) == (1, 1)
    tasks = [(row["task"], row["size"], row["peer"]) for row in found["records"]]
    assert tasks == [(name, 8, "mcising") for name in ("metropolis", "wolff", "swendsen-wang")]
    exact = torus_averages((8, 8), critical_temperature()).energy / 64
    for row in found["records"]:
        assert row["ours_us"] > 0
        assert row["ratio"] == pytest.approx(row["peer_us"] / row["ours_us"])
        assert abs(row["z"]) < 4
        assert row["exact"] == pytest.approx(exact)
        assert abs(row["ours_mean"] - exact) < 4 * row["ours_error"]
    assert "measured: nothing" in printed
    assert "do not sample the same" not in printed


def test_a_peer_that_samples_something_else_is_told(call, fake, monkeypatch):
    monkeypatch.setattr(FakeSimulation, "shift", 0.2)
    words = ("--peer", "mcising", "--L", "8", "--repeats", 1, "--quiet")
    status, printed, _ = call(bench_lattice.main, *words)
    assert status == 0
    assert printed.replace("\n", " ").count("do not sample the same") == 3


def test_missing_peers_are_named_and_the_others_run(call, fake, monkeypatch, tmp_path):
    for name in ("peapods", "blackjax", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(phi4, "_N_FIRST", 2)
    out = tmp_path / "lattice.json"
    words = ("--L", "8,16", "--chains", 2, "--repeats", 1, "--quiet", "--json", out)
    status, printed, error = call(bench_lattice.main, *words)
    assert status == 0, error
    assert {row["peer"] for row in json.loads(out.read_text())["records"]} == {"mcising"}
    for name in ("peapods", "blackjax"):
        line = f'bench_lattice: {name} is missing: pip install "boltzgen-flows[bench]"'
        assert printed.count(line) == 1


def test_our_trajectories_agree_in_both_forms(monkeypatch):
    monkeypatch.setattr(phi4, "N_CHECKED", 50)
    samplers = phi4._compiled(4, 16, 3), phi4._torch(4, 16)
    means = [sampler.means() for sampler in samplers]
    errors = [values.std(ddof=1) / 4 for values in means]
    assert abs(means[0].mean() - means[1].mean()) < 4 * np.hypot(*errors)
    for sampler in samplers:
        sampler.run()
        assert sampler.n_updates % 16 == 0


def test_real_peers_where_they_are(call, monkeypatch, tmp_path):
    pytest.importorskip("peapods")
    for name, value in {"_SITES_A_CALL": 1000, "_SITES_A_CHECK": 1, "_N_FIRST": 50}.items():
        monkeypatch.setattr(ising, name, value)
    out = tmp_path / "lattice.json"
    words = ("--peer", "peapods", "--L", "8", "--repeats", 1, "--quiet", "--json", out)
    status, _, error = call(bench_lattice.main, *words)
    assert status == 0, error
    records = json.loads(out.read_text())["records"]
    assert len(records) == 3
    assert all(abs(row["z"]) < 4 for row in records)


def test_z_and_ratio_of_a_contest():
    def sampler(shift):
        values = np.array([0.0, 1.0, 2.0, 3.0]) + shift
        return Sampler(lambda: sum(range(1000)), 10, lambda: values)

    outcome = hold(
        Contest("task", 8, "peer", "a sweep", "nothing", "energy", sampler(0.0), sampler(1.0)),
        repeats=1,
    )
    error = np.std([0, 1, 2, 3], ddof=1) / 2
    assert outcome.z == pytest.approx(-1 / (error * np.sqrt(2)))
    assert outcome.ratio == pytest.approx(outcome.peer_us / outcome.ours_us)
    assert outcome.record()["exact"] is None


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--L", "9"), "expected even lengths of at least 4"),
        (("--L", "a"), "expected even lengths of at least 4"),
        (("--peer", "nobody"), "invalid choice: 'nobody'"),
        (("--repeats", "0"), "expected a whole number above 0"),
        (("--chains", "1"), "expected a whole number above 1"),
        (("--threads", "100000"), "--threads: "),
    ],
)
def test_bad_arguments_are_one_line(refuses, words, because):
    refuses(bench_lattice.main, *words, because=because)
