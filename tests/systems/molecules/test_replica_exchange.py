import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from systems.molecules import (
    CorruptCacheError,
    OpenMMTarget,
    ReferenceSettings,
    find_reference,
    ladder,
    reference,
)

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
