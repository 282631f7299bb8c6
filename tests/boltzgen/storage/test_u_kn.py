import builtins
import dataclasses

import numpy as np
import pytest

from boltzgen.errors import CorruptFileError
from boltzgen.estimators import mbar
from boltzgen.storage import (
    ReducedEnergies,
    Samples,
    read_u_kn,
    to_alchemlyb,
    write_samples,
    write_u_kn,
)

STIFFNESS = np.linspace(1.0, 2.0, 12)


def energies():
    rng = np.random.default_rng(0)
    n_k = np.array([60, 0] * 6)
    x = np.concatenate(
        [rng.normal(size=n) / np.sqrt(c) for n, c in zip(n_k, STIFFNESS, strict=True)]
    )
    return ReducedEnergies(
        u_kn=0.5 * STIFFNESS[:, None] * x**2,
        n_k=n_k,
        temperatures=300.0 / STIFFNESS,
        state_names=tuple(f"state {k}" for k in range(12)),
        attributes={"system": "toys/harmonic"},
    )


def test_round_trip(tmp_path):
    write_u_kn(tmp_path / "u_kn.h5", energies())
    loaded = read_u_kn(tmp_path / "u_kn.h5")
    np.testing.assert_array_equal(loaded.u_kn, energies().u_kn)
    np.testing.assert_array_equal(loaded.n_k, energies().n_k)
    np.testing.assert_array_equal(loaded.temperatures, energies().temperatures)
    assert loaded.state_names == energies().state_names
    assert loaded.attributes == energies().attributes


def test_table_for_alchemlyb(tmp_path):
    pytest.importorskip("pandas")
    write_u_kn(tmp_path / "u_kn.h5", energies())
    table = to_alchemlyb(tmp_path / "u_kn.h5")
    assert table.index.names == ["time", "state"]
    assert table.attrs["energy_unit"] == "kT"
    assert table.attrs["temperature"] == 300.0
    np.testing.assert_array_equal(table.to_numpy().T, energies().u_kn)
    assert table.groupby(level="state").size().to_dict() == {k: 60 for k in range(0, 12, 2)}


@pytest.mark.parametrize("sampled", ["all", "every other", "first half"])
def test_alchemlyb_finds_our_free_energies(tmp_path, sampled):
    alchemlyb = pytest.importorskip("alchemlyb.estimators")
    n_k = {"all": [30] * 12, "every other": [60, 0] * 6, "first half": [60] * 6 + [0] * 6}[sampled]
    data = dataclasses.replace(energies(), n_k=np.array(n_k))
    write_u_kn(tmp_path / "u_kn.h5", data)
    # its default start, BAR between neighbours, wants samples of every state
    estimator = alchemlyb.MBAR() if sampled == "all" else alchemlyb.MBAR(initial_f_k=None)
    fitted = estimator.fit(to_alchemlyb(tmp_path / "u_kn.h5"))
    ours = mbar(data.u_kn, data.n_k)
    np.testing.assert_allclose(fitted.delta_f_.to_numpy()[0], ours.f_k, atol=1e-6)
    np.testing.assert_allclose(fitted.d_delta_f_.to_numpy()[0], ours.errors, atol=1e-6)


def test_missing_pandas_gives_a_hint(tmp_path, monkeypatch):
    write_u_kn(tmp_path / "u_kn.h5", energies())
    original = builtins.__import__

    def without_pandas(name, *arguments, **options):
        if name == "pandas":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(ImportError, match="to_alchemlyb needs pandas: pip install pandas"):
        to_alchemlyb(tmp_path / "u_kn.h5")


def test_checks():
    with pytest.raises(ValueError, match="u_kn: expected float64"):
        dataclasses.replace(energies(), u_kn=energies().u_kn.astype(np.float32))
    with pytest.raises(ValueError, match="n_k: expected a sum of 360"):
        dataclasses.replace(energies(), n_k=np.ones(12, dtype=int))
    with pytest.raises(ValueError, match=r"temperatures: expected shape \(12,\)"):
        dataclasses.replace(energies(), temperatures=np.ones(3))
    with pytest.raises(ValueError, match="state_names: expected 12 different"):
        dataclasses.replace(energies(), state_names=("a",) * 12)


def test_another_kind_of_file(tmp_path):
    x = np.zeros((2, 1))
    units = {"x": "nm", "c": "K", "energy": "kT"}
    write_samples(
        tmp_path / "a.h5",
        Samples(x=x, c=x, energy=x[:, 0], log_w=x[:, 0], units=units, control_names=("T",)),
    )
    with pytest.raises(CorruptFileError, match="not of kind 'boltzgen u_kn'"):
        read_u_kn(tmp_path / "a.h5")
