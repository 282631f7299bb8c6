import dataclasses

import numpy as np
import pytest

from boltzgen.errors import CorruptFileError
from boltzgen.storage import Samples, read_samples, write_samples


def samples():
    rng = np.random.default_rng(0)
    return Samples(
        x=rng.normal(size=(6, 4, 3)).astype(np.float32),
        c=np.full((6, 1), 300.0),
        energy=rng.normal(size=6),
        log_w=np.array([0.0, -np.inf, 1.0, 2.0, 3.0, 4.0]),
        units={"x": "nm", "c": "K", "energy": "kJ/mol"},
        control_names=("temperature",),
        attributes={"system": "ala2/vacuum", "seed": 3, "k_B": 0.00831},
    )


def test_round_trip(tmp_path):
    path = tmp_path / "samples.h5"
    write_samples(path, samples())
    loaded = read_samples(path)
    for field in dataclasses.fields(Samples):
        expected, got = getattr(samples(), field.name), getattr(loaded, field.name)
        if isinstance(expected, np.ndarray):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
        else:
            assert got == expected


def test_shapes_and_units_are_checked():
    with pytest.raises(ValueError, match=r"log_w: expected shape \(6,\), got \(5,\)"):
        dataclasses.replace(samples(), log_w=np.zeros(5))
    with pytest.raises(ValueError, match=r"c: expected \(6, 2\), got \(6, 1\)"):
        dataclasses.replace(samples(), control_names=("a", "b"))
    with pytest.raises(ValueError, match="units: expected the keys c, energy and x, got x"):
        dataclasses.replace(samples(), units={"x": "nm"})


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "samples.h5"
    write_samples(path, samples())
    content = path.read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 200):
        path.write_bytes(content[:length])
        with pytest.raises(CorruptFileError, match="samples.h5"):
            read_samples(path)
    damaged = bytearray(content)
    place = content.index(samples().x.tobytes()[:40]) + 17
    damaged[place] ^= 4
    path.write_bytes(bytes(damaged))
    with pytest.raises(CorruptFileError, match="damaged"):
        read_samples(path)
    with pytest.raises(FileNotFoundError):
        read_samples(tmp_path / "missing.h5")
