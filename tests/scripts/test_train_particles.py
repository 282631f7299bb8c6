"""Whole runs on particles, small ones: what they write, how they go on, and what they refuse."""

import csv
import json

import numpy as np
import pytest
import torch

import train_particles
from boltzgen.estimators import log_evidence, wasserstein_2
from boltzgen.storage import read_metrics, read_samples
from particles.evaluation import reported_temperatures
from particles.model import read_flow
from particles.reference import autocorrelation, ladder_evidence, reference_path, rungs_of
from particles.settings import ParticleChains, ParticleConfig, presets
from particles.systems import SYSTEMS, starts
from pipeline.ladders import Ladders
from pipeline.run_folder import RunFolder
from systems.ledger import EnergyLedger
from systems.particles import DoubleWellCluster, HarmonicCluster

SMALL = ("--system", "dw4", "--preset", "smoke", "--quiet")
TIMED = ("seconds", "versions", "energy_calls")


def run(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train_particles.py", *map(str, words)])
        assert train_particles.main() == 0


@pytest.fixture(scope="module")
def wells(tmp_path_factory):
    """One run, as (directory, words, summary)."""
    base = tmp_path_factory.mktemp("wells")
    words = (*SMALL, "--T", "0.5:2", "--cache", base / "cache")
    run(*words, "--out", base / "run")
    return base / "run", words, json.loads((base / "run" / "summary.json").read_text())


def test_a_run_writes_what_it_says(wells):
    out, _, summary = wells
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.safetensors", "config.toml", "model.safetensors", "metrics.jsonl",
        "summary.json", "report.html", "table.csv", "samples.h5",
    }  # fmt: skip
    assert [point["T"] for point in summary["points"]] == [0.5, 1.0, 2.0]
    assert set(summary["log_z"]) == {
        "importance sampling", "MBAR of the chains", "mixture of flows",
    }  # fmt: skip
    assert set(summary["energy_calls"]) == {"reference", "training", "evaluation"}
    page = (out / "report.html").read_text()
    for words in ("DW4 (each pair once)", "Likelihood and round trip", "The reference", "Training"):
        assert words in page
    looks = [row for row in read_metrics(out / "metrics.jsonl") if "held_out_nll" in row]
    assert [row["step"] for row in looks] == [20, 40]


def test_its_numbers_follow_from_its_samples(wells):
    out, _, summary = wells
    samples, cluster = read_samples(out / "samples.h5"), DoubleWellCluster()
    x = torch.from_numpy(samples.x).double()
    folder = RunFolder(out, ParticleConfig)
    flow = read_flow(folder, folder.load_config()).flow
    for point in summary["points"]:
        rows = samples.c[:, 0] == point["T"]
        energy = cluster.energy(x[rows], point["T"])
        np.testing.assert_allclose(samples.energy[rows], energy)
        found = log_evidence(samples.log_w[rows])
        assert (point["log_z"], point["log_z_error"]) == pytest.approx((found.value, found.error))
        c = torch.full((int(rows.sum()), 1), point["T"]).double()
        log_q = flow.log_prob(x[rows], c)
        np.testing.assert_allclose(samples.log_w[rows], (-energy - log_q).detach(), atol=1e-6)


def test_the_table_has_a_row_for_each_temperature(wells):
    out, _, summary = wells
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["T"]) for row in rows] == [0.5, 1.0, 2.0]
    assert float(rows[1]["nll"]) == pytest.approx(summary["points"][1]["nll"])


def test_the_reference_is_kept_and_the_same_for_every_seed(wells, tmp_path):
    _, words, summary = wells
    run(*words, "--seed", 1, "--out", tmp_path / "run")
    other = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert other["energy_calls"]["reference (cached)"] == summary["energy_calls"]["reference"] > 0
    assert "reference" not in other["energy_calls"]
    for ours, theirs in zip(summary["points"], other["points"], strict=True):
        assert ours["reference_energy"] == theirs["reference_energy"]
        assert ours["log_z"] != theirs["log_z"]


def test_a_run_that_was_stopped_goes_on_to_the_same_end(wells, tmp_path, monkeypatch):
    out, words, summary = wells
    monkeypatch.setattr(train_particles.Run, "evaluate", lambda *_: (_ for _ in ()).throw(
        KeyboardInterrupt
    ))  # fmt: skip
    monkeypatch.setattr("sys.argv", ["x", *map(str, words), "--out", str(tmp_path / "run")])
    assert train_particles.main() == 130
    monkeypatch.undo()
    run(*words, "--out", tmp_path / "run", "--resume")
    again = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {k: v for k, v in again.items() if k not in TIMED} == {
        k: v for k, v in summary.items() if k not in TIMED
    }


def test_one_temperature_is_enough(wells, tmp_path, call):
    _, words, _ = wells
    cache = words[-1]
    status, printed, error = call(
        train_particles.main, *SMALL, "--T", "1", "--cache", cache, "--out", tmp_path / "run"
    )
    assert (status, error) == (0, "")
    assert "Encoder f and decoder g undo each other" in printed
    assert "T = 1: |x - g(f(x))|" in printed
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert len(summary["points"]) == 1
    assert list(summary["log_z"]) == ["importance sampling"]


def test_trade_carries_too(wells, tmp_path):
    _, words, _ = wells
    run(*words, "--carry", "trade", "--steps", 12, "--out", tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert "trade" in rows[-1]


def test_draws_at_all_temperatures_of_the_range_are_learnt_from(wells, tmp_path, monkeypatch):
    _, words, _ = wells
    lessons = []
    monkeypatch.setattr(train_particles, "train_flow", lambda *given: lessons.append(given[3]))
    monkeypatch.setattr(
        train_particles, "read_flow", lambda *_: (_ for _ in ()).throw(OSError("x"))
    )
    for carry in ("samples", "none"):
        monkeypatch.setattr("sys.argv", [
            "x", *map(str, words), "--carry", carry, "--out", str(tmp_path / carry)
        ])  # fmt: skip
        assert train_particles.main() == 1
    rungs = rungs_of(presets("dw4")["smoke"].chains, np.array([0.5, 1.0, 2.0]))
    several, one = lessons
    assert several.c.unique().tolist() == pytest.approx(rungs[rungs <= 2.0].tolist())
    assert one.c.unique().tolist() == [1.0]
    assert torch.equal(several.x[several.c[:, 0] == 1.0], one.x)
    assert torch.equal(several.watched, one.watched)
    cluster = DoubleWellCluster()
    means = [float(cluster.potential(several.x[several.c[:, 0] == t]).mean()) for t in (0.5, 2.0)]
    assert means[0] < means[1]


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (("--T", "2:0.5"), "--T: expected LOW:HIGH"),
        (("--T", "0:1"), "--T: expected LOW:HIGH"),
        (("--T", "0.5:2", "--at", "3"), "--at: expected a temperature from 0.5 to 2, got 3"),
        (("--T", "0.5:2", "--system", "lj14"), "--system"),
    ],
)
def test_mistakes_are_named(words, because, refuses, tmp_path):
    refuses(train_particles.main, *SMALL, *words, "--out", tmp_path / "run", because=because)


def test_a_directory_with_another_run_is_left_alone(wells, refuses):
    out, words, _ = wells
    refuses(train_particles.main, *words, "--out", out, because="already holds a run")
    refuses(train_particles.main, *words, "--seed", 5, "--out", out, "--resume",
            because="seed is 0 there and 5 here")  # fmt: skip


def test_a_damaged_reference_is_named(wells, tmp_path, refuses):
    _, words, _ = wells
    rungs = rungs_of(presets("dw4")["smoke"].chains, np.array([0.5, 1.0, 2.0]))
    path = reference_path(tmp_path, "dw4", presets("dw4")["smoke"].chains, rungs)
    path.parent.mkdir()
    path.write_bytes(b"no HDF5")
    refuses(train_particles.main, *words[:-1], tmp_path, "--out", tmp_path / "run",
            because="delete it and run again")  # fmt: skip


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_chains_begin_without_overlap(system, generator):
    x, cluster = starts(system, 50, generator=generator), SYSTEMS[system].build()
    assert x.shape == (50, *cluster.event_shape)
    assert x.mean(1).abs().max() < 1e-12
    nearest = cluster.distances(x).min()
    assert 0.6 * SYSTEMS[system].spacing < nearest < 1.1 * SYSTEMS[system].spacing
    assert cluster.potential(x).max() < 60


@pytest.mark.parametrize(
    ("low", "high", "at", "expected"),
    [
        (0.5, 2.0, 1.0, [0.5, 1.0, 2.0]),
        (0.8, 2.0, 1.0, [0.8, 1.0, 1.26491, 2.0]),
        (0.8, 2.0, 1.2, [0.8, 1.2, 2.0]),
        (0.5, 2.0, 0.5, [0.5, 1.0, 2.0]),
        (0.5, 2.0, 0.51, [0.5, 0.51, 1.0, 2.0]),
        (1.0, 1.0, 1.0, [1.0]),
    ],
)
def test_the_temperature_of_the_data_is_reported(low, high, at, expected):
    config = small_config(low, high, at)
    assert reported_temperatures(config).tolist() == expected


def small_config(low, high, at):
    words = ["--system", "dw4", "--T", f"{low}:{high}", "--at", str(at), "--preset", "smoke"]
    return train_particles.configure(train_particles.parser().parse_args(words))


def test_rungs_hold_what_is_reported_and_reach_the_hottest():
    reported = np.array([0.5, 1.0, 2.0])
    rungs = rungs_of(ParticleChains(n_rungs=5, hottest=4.5), reported)
    assert set(reported) <= set(rungs)
    assert (np.diff(rungs) > 0).all()
    assert rungs[[0, -1]] == pytest.approx([0.5, 4.5])
    assert rungs_of(ParticleChains(n_rungs=3), reported)[-1] == 2.0
    assert len(rungs_of(ParticleChains(n_rungs=3, hottest=2.0), reported[-1:])) == 3


def exact_ladders(temperatures, generator, n_ladders=16, n_draws=100):
    cluster = HarmonicCluster(3, 2)
    x = np.stack([
        cluster.sample_exact(float(T), n_ladders * n_draws, generator=generator)
        .reshape(n_ladders, n_draws, 3, 2).numpy()
        for T in temperatures
    ])  # fmt: skip
    ones = np.ones(len(temperatures))
    return cluster, Ladders("temperature", temperatures, x, ones, ones[1:], 100)


def test_log_z_of_ladders_is_exact_up_to_a_constant(generator):
    temperatures = np.array([0.5, 0.8, 1.2, 2.0])
    cluster, ladders = exact_ladders(temperatures, generator)
    reported = temperatures[[0, 2, 3]]
    found = ladder_evidence(cluster, ladders, reported, anchor=1)
    exact = np.array([cluster.log_partition(float(T)) for T in reported])
    assert found.relative
    assert (found.values[1], found.errors[1]) == (0, 0)
    assert (found.errors[[0, 2]] > 1e-3).all()
    gap = np.abs(found.values - (exact - exact[1]))[[0, 2]]
    assert (gap < 4 * found.errors[[0, 2]]).all()


def test_autocorrelation_is_in_steps(generator):
    rho = 0.8
    series = np.empty((32, 2000))
    noise = torch.randn(32, 2000, generator=generator).double().numpy()
    series[:, 0] = noise[:, 0]
    for k in range(1, 2000):
        series[:, k] = rho * series[:, k - 1] + np.sqrt(1 - rho**2) * noise[:, k]
    found = autocorrelation(series, 10)
    assert abs(found.value - 10 * 0.5 * (1 + rho) / (1 - rho)) < 4 * found.error
    assert np.isinf(autocorrelation(np.zeros((4, 20)), 10).value)


def test_distances_shrink_with_the_weights(wells):
    """Two-Wasserstein distances of the summary, from the samples and the cached reference."""
    out, _, summary = wells
    samples, cluster = read_samples(out / "samples.h5"), DoubleWellCluster()
    rows = samples.c[:, 0] == 1.0
    potential = cluster.potential(torch.from_numpy(samples.x[rows]).double()).numpy()
    rungs = rungs_of(presets("dw4")["smoke"].chains, np.array([0.5, 1.0, 2.0]))
    path = reference_path(out.parent / "cache", "dw4", presets("dw4")["smoke"].chains, rungs)
    from_cache = train_particles.run_reference(
        out.parent / "cache", "dw4", presets("dw4")["smoke"].chains, rungs,
        ledger=EnergyLedger(), show_progress=False,
    )  # fmt: skip
    assert path.exists()
    theirs = cluster.potential(torch.from_numpy(from_cache.held_out(1.0)).flatten(0, 1)).numpy()
    point = summary["points"][1]["w2_potential"]
    assert point["raw"] == pytest.approx(wasserstein_2(potential, theirs))
    log_w = samples.log_w[rows]
    assert point["weighted"] == pytest.approx(wasserstein_2(potential, theirs, log_w=log_w))
