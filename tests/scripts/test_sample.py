import json

import mdtraj
import numpy as np
import pytest
import torch

import sample
from pipeline.run_directory import RunDirectory
from systems.molecules import OpenMMTarget
from systems.units import GAS_CONSTANT

pytestmark = pytest.mark.openmm

N = 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("samples")


@pytest.fixture
def written(smoke, call, folder):
    """Trajectory and weights at 600 K in both formats, from one seed."""

    def write(suffix):
        path = folder / f"{suffix}.{suffix}"
        if not path.exists():
            words = ("--T", "600", "--n", N, "--processes", "1", "--out", path)
            status, printed, _ = call(sample.main, smoke.path, *words)
            assert status == 0
            assert f"{N} samples of ala2/ff96-obc1 at 600 K" in printed
        return path, dict(np.load(path.with_suffix(".weights.npz")))

    return write


def open_trajectory(path, smoke):
    if path.suffix == ".h5":
        return mdtraj.load(str(path))
    return mdtraj.load(str(path), top=str(smoke.path / "topology.pdb"))


@pytest.mark.parametrize("suffix", ["h5", "xtc"])
def test_mdtraj_opens_what_is_written(smoke, written, suffix):
    path, beside = written(suffix)
    frames = open_trajectory(path, smoke)
    assert frames.n_frames == N
    assert [a.element.symbol for a in frames.topology.atoms][4:7] == ["C", "O", "N"]
    assert frames.topology.n_bonds == 21
    phi = mdtraj.compute_phi(frames)[1][:, 0]
    assert beside["weights"][np.cos(phi) < 2].sum() == pytest.approx(1)


def test_both_formats_hold_the_same_samples(smoke, written):
    (exact, weights), (rounded, again) = written("h5"), written("xtc")
    first, second = (open_trajectory(path, smoke).xyz for path in (exact, rounded))
    assert np.abs(first - second).max() < 1e-3  # xtc keeps picometres
    assert np.array_equal(weights["weights"], again["weights"])


def test_the_energies_belong_to_the_frames(smoke, written):
    path, beside = written("h5")
    x = torch.from_numpy(open_trajectory(path, smoke).xyz).double()
    target = OpenMMTarget(RunDirectory(smoke.path).load_system())
    found = target.energy(x, 600.0).numpy() * GAS_CONSTANT * 600
    low = beside["potential_kJ_per_mol"] < 100
    assert low.sum() > N / 2
    assert np.abs(found - beside["potential_kJ_per_mol"])[low].max() < 0.5  # x is float32


def test_weighted_averages_are_those_of_the_summary(smoke, written):
    _, beside = written("h5")
    w, u = beside["weights"], beside["potential_kJ_per_mol"]
    assert w.sum() == pytest.approx(1)
    assert np.allclose(np.diff(np.log(w[w > 0])), np.diff(beside["log_weights"][w > 0]))
    mean = w[w > 0] @ u[w > 0]
    error = np.sqrt((w[w > 0] ** 2) @ (u[w > 0] - mean) ** 2)
    summary = json.loads((smoke.path / "summary.json").read_text())
    assert abs(mean - summary["U"][2]) < 5 * np.hypot(error, summary["U_error"][2])


def test_existing_files_are_replaced_only_by_force(smoke, call, tmp_path):
    path = tmp_path / "a.h5"
    words = (smoke.path, "--T", "450", "--n", "10", "--processes", "1", "--out", path)
    assert call(sample.main, *words)[0] == 0
    before = path.read_bytes()
    assert call(sample.main, *words)[0] == 1
    assert path.read_bytes() == before
    assert call(sample.main, *words, "--seed", "5", "--force")[0] == 0
    assert not np.array_equal(mdtraj.load(str(path)).xyz, _positions(before, tmp_path))


def _positions(content, folder):
    (folder / "before.h5").write_bytes(content)
    return mdtraj.load(str(folder / "before.h5")).xyz


def test_the_default_place_is_the_run(smoke, call, tmp_path):
    (tmp_path / "run").symlink_to(smoke.path)
    words = ("--T", "512.5", "--n", "10", "--processes", "1", "--force")
    assert call(sample.main, tmp_path / "run", *words)[0] == 0
    for name in ("samples_512.5K.h5", "samples_512.5K.weights.npz"):
        (smoke.path / name).unlink()
