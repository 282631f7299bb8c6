"""The script that samples without a model, and the analysis of what it samples."""

import json
from dataclasses import replace

import mdtraj
import numpy as np
import pytest
import torch

from boltzgen.storage import read_u_kn
from pipeline.convergence import convergence
from pipeline.reference import analyse, in_order
from pipeline.sampling import SamplingSettings, as_trajectories, sample_molecule
from sample_molecule import _tasks, main, parser, temperatures_of
from systems.molecules import (
    ReferenceSettings,
    SimulationError,
    TensorTarget,
    find_reference,
    ladder,
    reference,
    rungs,
)
from systems.molecules.trajectories import mean_and_error
from systems.units import GAS_CONSTANT

TINY = SamplingSettings(
    temperatures=(300.0, 420.0, 600.0),
    n_ladders=8,
    n_frames=12,
    n_tuning=5,
    n_hot=3,
    n_discarded=2,
    n_leapfrog=5,
    compiled=False,
    n_tasks=2,
    chunk_frames=4,
    seed=3,
)
OF_A_PAIR = {"n_leapfrog": 10, "first_step_fs": 60.0, "compiled": False, "n_tasks": 1}
TEMPERATURES = ladder(300.0, 600.0, include=(450.0,), ratio=1.5)


def is_exact(data):
    """Z(T) ~ T^(3/2) and <U> = 3/2 RT of a harmonic pair, at 4 sigma."""
    found = analyse(data)
    exact = -1.5 * np.log(data.temperatures / 300.0)
    assert found.error[1:].max() < 0.05
    assert (np.abs(found.free_energy - exact)[1:] < 4 * found.error[1:]).all()
    mean = 1.5 * GAS_CONSTANT * data.temperatures
    assert (np.abs(found.potential - mean) < 4 * found.potential_error).all()
    assert found.overlap > 0.1


@pytest.mark.openmm
def test_dynamics_give_the_exact_free_energies_of_a_harmonic_pair(pair, tmp_path):
    settings = ReferenceSettings(
        temperatures=TEMPERATURES,
        n_repeats=4,
        n_iterations=1500,
        steps_per_iteration=100,
        equilibration_steps=1000,
        equilibration_iterations=20,
        friction_per_ps=10.0,
        chunk_iterations=500,
        seed=2,
    )
    is_exact(reference(pair, settings, cache_dir=tmp_path, n_processes=1))


def test_monte_carlo_gives_the_exact_free_energies_of_a_harmonic_pair(pair, tmp_path):
    settings = SamplingSettings(
        temperatures=TEMPERATURES, n_ladders=16, n_frames=400, seed=2, **OF_A_PAIR
    )
    found = sample_molecule(pair, settings, cache_dir=tmp_path, n_processes=1)
    is_exact(found.frames)
    assert (np.abs(found.acceptance - 0.8) < 0.15).all()
    moved = convergence(pair, found.frames, None)
    assert moved.n_round_trips > 50
    assert (moved.swap_acceptance > 0.3).all()
    assert moved.warnings(found.frames.temperatures) == []
    assert (moved.slowest < 10).all()


def test_chains_at_one_temperature_are_exact(pair, tmp_path):
    settings = SamplingSettings(
        temperatures=(450.0,), n_ladders=64, n_frames=200, seed=4, **OF_A_PAIR
    )
    found = as_trajectories(
        sample_molecule(pair, settings, cache_dir=tmp_path, n_processes=1).frames
    )
    assert found.x.shape == (64, 200, 2, 3)
    assert found.kinetic_temperature is None
    u, error = mean_and_error(found.potential)
    assert abs(u - 1.5 * GAS_CONSTANT * 450.0) < 4 * error
    r = np.linalg.norm(found.x[:, :, 1] - found.x[:, :, 0], axis=-1).astype(np.float64)
    assert np.abs(500.0 * r**2 - found.potential).max() < 1e-4  # each energy with its frame


@pytest.fixture(scope="module")
def whole(alanine, tmp_path_factory):
    return sample_molecule(
        alanine, TINY, cache_dir=tmp_path_factory.mktemp("whole"), n_processes=1
    ).frames


def test_frames_energies_and_labels_go_together(alanine, whole):
    n = 8 * 12 * 3
    assert whole.x.shape == (n, 22, 3)
    assert whole.x.dtype == np.float32
    assert whole.complete
    assert whole.n_repeats == 8
    assert whole.n_energy_calls == 8 * 3 * 5 * (5 + 3 + 2 + 12)
    assert np.bincount(whole.state).tolist() == [96, 96, 96]
    x = np.asarray(whole.x, dtype=np.float64)
    u = TensorTarget(alanine).potential(torch.from_numpy(x)).numpy()
    assert np.abs(u - whole.potential).max() < 0.05  # float32
    centres = x.mean(axis=1)
    assert np.abs(centres).max() < 0.1  # put back to the origin before each trajectory
    rows = in_order(whole)
    assert rows.shape == (8, 12, 3)
    assert (np.sort(whole.replica[rows], axis=2) == np.arange(3)).all()
    assert (np.diff(whole.iteration[rows][:, :, 0], axis=1) == 1).all()


def test_ladders_are_independent(whole):
    last = whole.x[in_order(whole)][:, -1]
    for k in range(1, 8):
        assert not np.array_equal(last[0], last[k])


def test_more_frames_extend_what_there_is(alanine, whole, tmp_path):
    part = sample_molecule(
        alanine, replace(TINY, n_frames=4), cache_dir=tmp_path, n_processes=1
    ).frames
    assert part.x.shape[0] == 96
    steps = []
    found = sample_molecule(
        alanine, TINY, cache_dir=tmp_path, n_processes=1, progress=lambda *a: steps.append(a)
    ).frames
    assert steps[0] == (part.n_energy_calls, whole.n_energy_calls)
    assert steps[-1] == (whole.n_energy_calls, whole.n_energy_calls)
    assert np.array_equal(found.x, whole.x)  # as if it had never stopped
    assert np.array_equal(found.replica, whole.replica)
    again = find_reference(alanine, tmp_path)
    assert np.array_equal(again.x, whole.x)


def test_progress_begins_before_the_first_frame(pair, tmp_path):
    settings = replace(TINY, n_discarded=40, n_tasks=1)
    steps = []
    found = sample_molecule(
        pair, settings, cache_dir=tmp_path, n_processes=1, progress=lambda *a: steps.append(a)
    )
    before = settings.plan.calls_before
    early = [done for done, _ in steps if 0 < done < before]
    assert len(early) > 5
    done = [done for done, _ in steps]
    assert done == sorted(done)
    assert steps[-1] == (found.frames.n_energy_calls, settings.plan.calls(3))


def test_an_equilibration_that_was_stopped_is_no_reference(pair, tmp_path):
    def stop(done, total):
        if 0 < done < total:
            raise KeyboardInterrupt

    settings = replace(TINY, n_discarded=40, n_tasks=1)
    with pytest.raises(KeyboardInterrupt):
        sample_molecule(pair, settings, cache_dir=tmp_path, n_processes=1, progress=stop)
    assert find_reference(pair, tmp_path) is None
    sample_molecule(pair, settings, cache_dir=tmp_path, n_processes=1)
    assert find_reference(pair, tmp_path).complete


def test_chains_are_no_reference(pair, tmp_path):
    settings = replace(TINY, temperatures=(300.0,))
    sample_molecule(pair, settings, cache_dir=tmp_path, n_processes=1)
    assert find_reference(pair, tmp_path) is None


def test_rigid_bonds_are_refused(constrained_alanine, tmp_path):
    with pytest.raises(ValueError, match=r"ala2/tsf has 12 rigid bonds.*--backend openmm"):
        sample_molecule(constrained_alanine, TINY, cache_dir=tmp_path)


def test_steps_that_are_never_accepted_are_an_error(alanine, tmp_path):
    settings = replace(TINY, first_step_fs=500.0, n_tuning=1, n_hot=1, n_discarded=0)
    with pytest.raises(SimulationError, match="no trajectory of ala2/ff99sbildn-obc2 was accepted"):
        sample_molecule(alanine, settings, cache_dir=tmp_path, n_processes=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperatures": ()}, "temperatures: expected at least one rising values"),
        ({"temperatures": (400.0, 300.0)}, "temperatures: expected at least one"),
        ({"n_ladders": 7}, "n_ladders: expected a multiple of n_tasks = 2, got 7"),
        ({"n_frames": 0}, "n_frames: expected at least 1, got 0"),
        ({"n_leapfrog": 0}, "n_leapfrog: expected at least 1, got 0"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY, **change)


def test_shares_of_the_ladders():
    assert _tasks(64, 8) == 4
    assert _tasks(7, 8) == 1
    assert _tasks(48, 8) == 3


def test_rungs():
    grid = [300.0, 350.0, 400.0, 450.0, 500.0, 550.0, 600.0]
    eight = rungs(300.0, 600.0, 8, first=grid)
    assert len(eight) == 8
    assert set(grid) < set(eight)
    assert eight[1] == pytest.approx(np.sqrt(300.0 * 350.0))
    assert rungs(300.0, 600.0, 3, first=grid) == pytest.approx((300.0, 300.0 * 2**0.5, 600.0))
    asked = temperatures_of(parser().parse_args(["--T", "310:600", "--replicas", "8"]))
    assert asked[0] == 310.0
    assert 550.0 in asked


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (
            ["--system", "ala2/vacum"],
            "--system: no system 'ala2/vacum'; did you mean 'ala2/vacuum'",
        ),
        (["--analyse-only"], "--cache: no reference of ala2/ff96-obc1"),
        (["--frames", "0"], "--frames: expected a whole number above 0, got '0'"),
        (["--replicas", "1"], "--replicas: expected at least 2, got 1"),
        (["--pdb", "x.pdb"], "--pdb with --forcefield"),
        (["--system", "ala2/tsf"], "12 rigid bonds"),
    ],
)
def test_the_script_says_what_is_wrong(refuses, tmp_path, words, because):
    refuses(
        main, *words, "--cache", tmp_path, "--out", tmp_path / "out", "--quiet", because=because
    )


def test_the_script_writes_a_reference(alanine, call, tmp_path):
    sample_molecule(alanine, replace(TINY, n_frames=60), cache_dir=tmp_path, n_processes=1)
    out = tmp_path / "out"
    words = ("--system", alanine.name, "--analyse-only", "--cache", tmp_path, "--out", out)
    status, printed, _ = call(main, *words)
    assert status == 0
    assert "8 ladders" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["system"] == "ala2/ff99sbildn-obc2"
    assert summary["sampler"] == "Hamiltonian Monte Carlo"
    assert summary["T"] == [300.0, 420.0, 600.0]
    assert len(summary["free_energy_error"]) == 3
    energies = read_u_kn(out / "u_kn.h5")
    assert energies.u_kn.shape == (3, 8 * 60 * 3)
    frames = mdtraj.load(out / "trajectory_420K.dcd", top=str(out / "topology.pdb"))
    data = find_reference(alanine, tmp_path)
    in_state = data.x[data.state == 1]
    assert np.abs(np.sort(frames.xyz, axis=0) - np.sort(in_state, axis=0)).max() < 1e-5
    beta = 1 / (GAS_CONSTANT * 420.0)
    assert energies.u_kn[1, :480] == pytest.approx(beta * data.potential[data.state == 0])
    assert (out / "ramachandran.png").read_bytes().startswith(b"\x89PNG")
    assert "Reference of ala2/ff99sbildn-obc2" in (out / "report.html").read_text()
    assert call(main, *words)[0] == 0  # the same again replaces its own files
    status, _, error = call(
        main, "--system", "ala2/vacuum", "--analyse-only", "--cache", tmp_path, "--out", out
    )
    assert status == 1
    assert "already holds something other than a reference of ala2/vacuum" in error
