from pathlib import Path

import numpy as np
import pytest

from systems.cache import (
    ChunkStore,
    derive_seed,
    read_arrays,
    settings_key,
    write_arrays,
)
from systems.molecules import CorruptCacheError, default_cache_dir


def test_the_directory_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("BOLTZGEN_CACHE", "/somewhere/else")
    assert default_cache_dir() == Path("/somewhere/else")
    monkeypatch.delenv("BOLTZGEN_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "boltzgen"


def test_arrays_come_back(tmp_path):
    path = tmp_path / "deep" / "a.h5"
    write_arrays(path, {"x": np.arange(6.0).reshape(2, 3), "n": np.array([1, 2])})
    found = read_arrays(path)
    assert np.array_equal(found["x"], np.arange(6.0).reshape(2, 3))
    assert found["n"].dtype == np.int64
    assert [p.name for p in path.parent.iterdir()] == ["a.h5"]


def test_a_failed_write_leaves_the_previous_file(tmp_path):
    path = tmp_path / "a.h5"
    write_arrays(path, {"x": np.ones(3)})
    with pytest.raises(TypeError):
        write_arrays(path, {"x": np.array([object()])})
    assert np.array_equal(read_arrays(path)["x"], np.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.98])
def test_a_damaged_file_says_to_delete_it(tmp_path, keep):
    path = tmp_path / "a.h5"
    write_arrays(path, {"x": np.arange(1000.0)})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(CorruptCacheError, match=r"a\.h5 is damaged .*delete it and run again"):
        read_arrays(path)


def test_chunks_count_without_gaps(tmp_path):
    store = ChunkStore(tmp_path / "run")
    assert store.n_chunks == 0
    for index in (0, 1, 3):
        store.write(index, {"i": np.array(index)})
    assert store.n_chunks == 2
    assert store.read(1)["i"] == 1


def test_seeds_differ_and_repeat():
    seeds = {derive_seed(s, i, j) for s in range(5) for i in range(5) for j in range(5)}
    assert len(seeds) == 125
    assert all(1 <= seed < 2**31 for seed in seeds)
    assert derive_seed(3, 1) == derive_seed(3, 1)
    assert settings_key(1, {"a": 2, "b": 1}) == settings_key(1, {"b": 1, "a": 2})
