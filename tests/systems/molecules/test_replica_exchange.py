import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.arguments import temperature_range
from pipeline.reference import analyse
from reference_alanine import main, parser, settings_from, table
from systems.molecules import (
    CorruptCacheError,
    OpenMMTarget,
    ReferenceSettings,
    find_reference,
    ladder,
    reference,
)
from systems.units import GAS_CONSTANT

TINY = ReferenceSettings(
    temperatures=(300.0, 400.0, 520.0),
    n_repeats=2,
    n_iterations=20,
    steps_per_iteration=20,
    equilibration_steps=100,
    equilibration_iterations=2,
    chunk_iterations=10,
    seed=3,
)


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def whole(alanine, tmp_path_factory):
    return reference(alanine, TINY, cache_dir=tmp_path_factory.mktemp("whole"), n_processes=1)


def test_what_comes_back(whole):
    n = 2 * 20 * 3
    assert whole.x.shape == (n, 22, 3)
    assert whole.x.dtype == np.float32
    for column in (whole.potential, whole.state, whole.repeat, whole.replica, whole.iteration):
        assert column.shape == (n,)
    assert whole.complete
    assert whole.n_repeats == 2
    assert whole.n_energy_calls == 2 * 3 * (100 + 2 * 20 + 20 * 20)
    assert np.bincount(whole.state).tolist() == [40, 40, 40]
    assert sorted(set(whole.iteration)) == list(range(1, 21))


def test_each_energy_belongs_to_its_frame(alanine, whole):
    u = OpenMMTarget(alanine).potential(torch.tensor(whole.x).double()).numpy()
    assert np.abs(u - whole.potential).max() < 0.1  # x is float32


def test_replicas_change_states(whole):
    for repeat in range(2):
        walker = (whole.repeat == repeat) & (whole.replica == 0)
        assert np.unique(whole.state[walker]).size > 1


def test_repeats_differ_and_the_random_module_is_left_as_it_was(alanine, whole, tmp_path):
    a, b = (whole.x[(whole.repeat == r) & (whole.iteration == 20)] for r in range(2))
    assert not np.array_equal(a, b)
    random.seed(7)
    expected = random.random()
    random.seed(7)
    reference(alanine, replace(TINY, n_repeats=1, n_iterations=10), cache_dir=tmp_path)
    assert random.random() == expected


def test_longer_runs_extend_what_there_is(alanine, whole, tmp_path):
    part = reference(
        alanine, replace(TINY, n_repeats=1, n_iterations=10), cache_dir=tmp_path, n_processes=1
    )
    assert part.x.shape[0] == 30
    steps = []
    found = reference(
        alanine, TINY, cache_dir=tmp_path, n_processes=1, progress=lambda *a: steps.append(a)
    )
    assert steps[0] == (part.n_energy_calls, whole.n_energy_calls)
    assert steps[-1] == (whole.n_energy_calls, whole.n_energy_calls)
    assert np.array_equal(found.x, whole.x)
    assert np.array_equal(found.state, whole.state)


def test_an_unfinished_reference_is_found_and_says_so(alanine, constrained_alanine, tmp_path):
    assert find_reference(alanine, tmp_path) is None

    def stop(done, total):
        if 0 < done < total:
            raise Stopped

    with pytest.raises(Stopped):
        reference(alanine, TINY, cache_dir=tmp_path, n_processes=1, progress=stop)
    found = find_reference(alanine, tmp_path)
    assert not found.complete
    assert found.x.shape[0] == 30
    assert find_reference(constrained_alanine, tmp_path) is None


def test_a_corrupt_chunk_is_an_error(alanine, tmp_path):
    settings = replace(TINY, n_repeats=1)
    reference(alanine, settings, cache_dir=tmp_path, n_processes=1)
    sorted(tmp_path.rglob("chunk_*.h5"))[1].write_bytes(b"nothing")
    with pytest.raises(CorruptCacheError, match=r"chunk_00001\.h5 is damaged"):
        find_reference(alanine, tmp_path)


def test_a_corrupt_manifest_is_an_error(alanine, tmp_path):
    reference(alanine, replace(TINY, n_repeats=1), cache_dir=tmp_path, n_processes=1)
    next(tmp_path.rglob("manifest.json")).write_text("{")
    with pytest.raises(CorruptCacheError, match=r"manifest\.json is damaged"):
        find_reference(alanine, tmp_path)


@pytest.mark.openmm
def test_free_energies_of_a_harmonic_pair_are_exact(pair, tmp_path):
    settings = ReferenceSettings(
        temperatures=ladder(300.0, 600.0, include=(450.0,), ratio=1.5),
        n_repeats=4,
        n_iterations=1500,
        steps_per_iteration=100,
        equilibration_steps=1000,
        equilibration_iterations=20,
        friction_per_ps=10.0,
        chunk_iterations=500,
        seed=2,
    )
    data = reference(pair, settings, cache_dir=tmp_path, n_processes=1)
    found = analyse(data)
    exact = -1.5 * np.log(data.temperatures / 300.0)
    assert found.error[1:].max() < 0.05
    assert (np.abs(found.free_energy - exact)[1:] < 4 * found.error[1:]).all()
    mean = 1.5 * GAS_CONSTANT * data.temperatures
    assert (np.abs(found.potential - mean) < 4 * found.potential_error).all()
    assert found.overlap > 0.1
    text = table(pair, data, found)
    assert "Reference of pair: 4 repeats" in text
    assert "complete" in text


def test_ladders():
    assert ladder(300.0, 600.0, include=(350, 400, 450, 500, 550)) == (
        300.0, 350.0, 400.0, 450.0, 500.0, 550.0, 600.0,
    )  # fmt: skip
    rungs = np.array(ladder(300.0, 600.0, ratio=1.1))
    assert rungs[0] == 300.0
    assert rungs[-1] == 600.0
    assert (rungs[1:] / rungs[:-1]).max() < 1.1 + 1e-9
    assert np.allclose(rungs[1:] / rungs[:-1], 2 ** (1 / 8))
    with pytest.raises(ValueError, match="hi: expected more than lo = 600.0, got 300.0"):
        ladder(600.0, 300.0)
    with pytest.raises(ValueError, match="lo: expected a finite number above 0"):
        ladder(0.0, 300.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperatures": (300.0,)}, "temperatures: expected at least two rising values"),
        ({"temperatures": (400.0, 300.0)}, "temperatures: expected at least two rising values"),
        ({"temperatures": (-1.0, 300.0)}, "temperatures: expected a finite number above 0"),
        ({"n_repeats": 0}, "n_repeats: expected at least 1"),
        ({"timestep_fs": 0.0}, "timestep_fs: expected a finite number above 0"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY, **change)


def test_the_script_reads_ranges():
    assert temperature_range("300:600") == (300.0, 600.0)
    for text in ("600:300", "0:300", "-5:300", "300", "a:b", "300:300", "300:inf", "1:2:3"):
        with pytest.raises(Exception, match="expected"):
            temperature_range(text)


def test_the_script_turns_nanoseconds_into_iterations():
    settings = settings_from(parser().parse_args(["--T", "300:600", "--ns", "100"]))
    assert len(settings.temperatures) == 7
    n_steps = settings.n_repeats * 7 * settings.n_iterations * settings.steps_per_iteration
    assert n_steps == pytest.approx(1e8, rel=1e-3)


def test_the_script_says_what_is_wrong(monkeypatch, capsys, tmp_path):
    def run(*words):
        monkeypatch.setattr("sys.argv", ["reference_alanine.py", *words, "--cache", str(tmp_path)])
        return main(), capsys.readouterr()

    code, output = run("--system", "ala2/vacum")
    assert code == 1
    assert "did you mean 'ala2/vacuum'" in output.err
    code, output = run("--analyse-only")
    assert code == 1
    assert "no reference of ala2/ff99sbildn-obc2" in output.err
    code, output = run("--ns", "0")
    assert "--ns: expected more than 0" in output.err
    code, output = run("--pdb", "x.pdb")
    assert "--pdb with --forcefield" in output.err


def test_the_script_analyses_what_is_cached(alanine, monkeypatch, capsys, tmp_path):
    settings = replace(TINY, n_iterations=60, temperatures=(300.0, 330.0))
    reference(alanine, settings, cache_dir=tmp_path, n_processes=1)
    words = ["--analyse-only", "--cache", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["reference_alanine.py", *words])
    assert main() == 0
    assert "2 repeats, 240 frames" in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "reference.json").read_text())
    assert summary["system"] == "ala2/ff99sbildn-obc2"
    assert summary["T"] == [300.0, 330.0]
    assert len(summary["free_energy_error"]) == 2
