from dataclasses import replace

import numpy as np
import openmm
import pytest

from systems.molecules import (
    CorruptCacheError,
    DynamicsSettings,
    MolecularSystem,
    SimulationError,
    simulate,
)
from systems.units import GAS_CONSTANT

SHORT = DynamicsSettings(
    temperature=600.0,
    n_trajectories=2,
    n_frames=50,
    spacing_steps=10,
    friction_per_ps=10.0,
    equilibration_steps=200,
    chunk_frames=20,
    seed=5,
)


class Stopped(Exception):
    pass


def stop_at(fraction):
    def progress(done, total):
        if done > fraction * total:
            raise Stopped

    return progress


@pytest.fixture(scope="module")
def whole(alanine, tmp_path_factory):
    return simulate(alanine, SHORT, cache_dir=tmp_path_factory.mktemp("whole"))


def test_what_comes_back(alanine, whole):
    assert whole.x.shape == (2, 50, 22, 3)
    assert whole.x.dtype == np.float32
    assert whole.potential.shape == (2, 50)
    assert whole.n_steps == SHORT.n_steps == 2 * (200 + 50 * 10)
    assert not np.array_equal(whole.x[0], whole.x[1])
    context = openmm.Context(
        alanine.system,
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("Reference"),
    )
    context.setPositions(whole.x[1, 7].astype(np.float64))
    energy = context.getState(energy=True).getPotentialEnergy()._value
    assert whole.potential[1, 7] == pytest.approx(energy, abs=0.05)  # x is float32


def test_a_second_call_reads_the_cache(alanine, whole, tmp_path):
    first = simulate(alanine, SHORT, cache_dir=tmp_path)
    steps = []
    again = simulate(alanine, SHORT, cache_dir=tmp_path, progress=lambda *a: steps.append(a))
    assert steps == []
    for data in (first, again):
        assert np.array_equal(data.x, whole.x)
    assert [p.suffix for p in tmp_path.iterdir()] == [".h5"]


@pytest.mark.parametrize("fraction", [0.2, 0.7, 0.95])
def test_a_run_that_was_stopped_goes_on_to_the_same_frames(alanine, whole, tmp_path, fraction):
    with pytest.raises(Stopped):
        simulate(alanine, SHORT, cache_dir=tmp_path, progress=stop_at(fraction))
    steps = []
    found = simulate(alanine, SHORT, cache_dir=tmp_path, progress=lambda *a: steps.append(a))
    assert steps[0][0] > 0
    assert steps[-1] == (SHORT.n_steps, SHORT.n_steps)
    assert np.array_equal(found.x, whole.x)
    assert np.array_equal(found.potential, whole.potential)


@pytest.mark.openmm
def test_processes_make_the_same_frames(alanine, whole, tmp_path):
    found = simulate(alanine, SHORT, cache_dir=tmp_path, n_processes=2)
    assert np.array_equal(found.x, whole.x)


def test_other_settings_and_systems_are_other_data(alanine, constrained_alanine, tmp_path):
    for settings in (SHORT, replace(SHORT, seed=6), replace(SHORT, n_frames=40)):
        simulate(alanine, settings, cache_dir=tmp_path)
    simulate(constrained_alanine, SHORT, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_corrupt_files_are_errors(alanine, tmp_path):
    simulate(alanine, SHORT, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptCacheError, match="delete it and run again"):
        simulate(alanine, SHORT, cache_dir=tmp_path)


def test_a_corrupt_chunk_is_an_error(alanine, tmp_path):
    with pytest.raises(Stopped):
        simulate(alanine, SHORT, cache_dir=tmp_path, progress=stop_at(0.2))
    (chunk,) = tmp_path.rglob("chunk_*.h5")
    chunk.write_bytes(b"nothing")
    with pytest.raises(CorruptCacheError, match="chunk_00000.h5 is damaged"):
        simulate(alanine, SHORT, cache_dir=tmp_path)


@pytest.mark.openmm
def test_the_distribution_is_right(pair, tmp_path):
    settings = DynamicsSettings(
        temperature=400.0,
        n_trajectories=4,
        n_frames=4000,
        spacing_steps=100,
        friction_per_ps=10.0,
        equilibration_steps=1000,
        seed=1,
    )
    found = simulate(pair, settings, cache_dir=tmp_path)
    kT = GAS_CONSTANT * 400.0
    error = found.potential.mean(axis=1).std(ddof=1) / 2
    assert error < 0.05 * kT
    assert abs(found.potential.mean() - 1.5 * kT) < 4 * max(error, 0.01 * kT)
    assert abs(found.kinetic_temperature - 400.0) < 4 * found.kinetic_temperature_error


def test_constrained_bonds_keep_their_length_at_two_femtoseconds(constrained_alanine, tmp_path):
    found = simulate(constrained_alanine, replace(SHORT, timestep_fs=2.0), cache_dir=tmp_path)
    for i, j, length in constrained_alanine.constraints:
        distance = np.linalg.norm(found.x[..., i, :] - found.x[..., j, :], axis=-1)
        assert np.allclose(distance, length, rtol=1e-4)


def test_scrambled_starts_differ(alanine, whole, tmp_path):
    settings = replace(SHORT, scramble_steps=500)
    found = simulate(alanine, settings, cache_dir=tmp_path)
    assert found.n_steps == whole.n_steps + 2 * 500
    assert not np.array_equal(found.x, whole.x)


def test_a_wrong_temperature_is_an_error(pair, tmp_path, monkeypatch):
    settings = replace(SHORT, n_frames=2000, spacing_steps=20, friction_per_ps=20.0)
    simulate(pair, settings, cache_dir=tmp_path)
    monkeypatch.setattr(MolecularSystem, "n_degrees_of_freedom", 3)  # there are 6
    with pytest.raises(SimulationError, match=r"kinetic temperature 1\d{3}\.\d .*expected 600"):
        simulate(pair.with_positions(pair.positions), settings, cache_dir=tmp_path)


def test_a_simulation_that_blows_up_is_an_error(pair, tmp_path):
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(pair.system))
    system.getForce(0).setBondParameters(0, 0, 1, 0.0, -1e4)  # repels ever more
    torn = MolecularSystem("torn", system, pair.topology, pair.positions)
    settings = replace(SHORT, equilibration_steps=0, spacing_steps=1000)
    with pytest.raises(SimulationError, match="non-finite|NaN"):
        simulate(torn, settings, cache_dir=tmp_path)


def test_non_finite_numbers_are_an_error_that_names_the_step(alanine, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "systems.molecules.dynamics._run_frames",
        lambda *_: {"x": np.full((20, 22, 3), np.nan, dtype=np.float32)},
    )
    with pytest.raises(SimulationError, match=r"x became non-finite .* time step of 1.0 fs"):
        simulate(alanine, SHORT, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.0}, "temperature: expected a finite number above 0, got 0.0"),
        ({"temperature": float("nan")}, "temperature: expected a finite number"),
        ({"n_frames": 0}, "n_frames: expected at least 1, got 0"),
        ({"n_trajectories": 0}, "n_trajectories: expected at least 1"),
        ({"equilibration_steps": -1}, "equilibration_steps: expected at least 0"),
        ({"friction_per_ps": -1.0}, "friction_per_ps: expected a finite number above 0"),
        ({"platform": "GPU"}, "platform: expected one of"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SHORT, **change)


def test_a_long_step_needs_rigid_hydrogens(alanine, constrained_alanine, tmp_path):
    with pytest.raises(ValueError, match=r"timestep_fs: expected at most 1.0 \(12 bonds"):
        simulate(alanine, replace(SHORT, timestep_fs=2.0), cache_dir=tmp_path)
    with pytest.raises(ValueError, match="timestep_fs: expected at most 2.0"):
        simulate(constrained_alanine, replace(SHORT, timestep_fs=4.0), cache_dir=tmp_path)
    with pytest.raises(ValueError, match="n_processes: expected at least 1, got 0"):
        simulate(alanine, SHORT, cache_dir=tmp_path, n_processes=0)
