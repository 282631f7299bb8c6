import numpy as np
import pytest
import torch
from scipy import stats

from systems.molecules import check_mixing
from systems.molecules.mixing import (
    drift_p_value,
    relaxation_time,
    rotatable_torsions,
    split_rhat,
    torsion_angles,
    torsion_mixing,
)

PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)


def draw(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).numpy()


def turned(x, atoms, moving, angle):
    """Frames of x with everything in `moving` turned about the bond atoms[1]-atoms[2]."""
    origin = x[atoms[1]]
    axis = x[atoms[2]] - origin
    axis /= np.linalg.norm(axis)
    arms = x[moving] - origin
    c, s = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    out = np.repeat(x[None], len(angle), axis=0)
    along = (arms @ axis)[:, None] * axis
    out[:, moving] = origin + along + c * (arms - along) + s * np.cross(axis, arms)
    return out


def test_rotatable_bonds_of_alanine_dipeptide(alanine):
    torsions = rotatable_torsions(alanine)
    assert len(torsions) == 7
    assert {PHI, PSI} <= set(torsions)


def test_bonds_in_rings_do_not_rotate():
    class Ring:
        n_atoms = 6
        bonds = ((0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5))
        elements = ("C",) * 6
        masses = np.full(6, 12.0)

    assert rotatable_torsions(Ring()) == ((0, 2, 3, 4), (2, 3, 4, 5))


def test_torsion_angles_turn_with_the_molecule(alanine):
    angle = np.linspace(-3.0, 3.0, 13)
    start = torsion_angles(alanine.positions, PSI)
    x = turned(np.array(alanine.positions), PSI, list(range(15, 22)), angle)
    difference = torsion_angles(x, PSI) - start - angle
    assert np.allclose(np.cos(difference), 1.0)


def test_split_rhat_of_mixed_and_of_stuck_chains():
    assert split_rhat(draw((4, 2000))) == pytest.approx(1.0, abs=0.005)
    assert split_rhat(draw((4, 2000)) + np.arange(4)[:, None]) > 1.3
    drift = draw((4, 2000)) + np.linspace(0, 5, 2000)
    assert split_rhat(drift) > 1.3
    assert split_rhat(np.ones((2, 8))) == 1.0
    assert split_rhat(np.array([[0.0] * 8, [1.0] * 8])) == float("inf")


def test_statistics_of_a_torsion():
    left = np.array([[0.5, 0.5, -0.5, 0.5, 0.5, 0.5], [-1.0] * 6])
    found = torsion_mixing("t", PHI, left)
    assert found.fraction_positive.tolist() == [5 / 6, 0.0]
    assert found.n_transitions.tolist() == [2, 0]


def test_mixed_trajectories_give_no_warning(alanine):
    x = np.array(alanine.positions)
    frames = [turned(x, PHI, list(range(9, 22)), draw(400, seed) * 2.0) for seed in range(3)]
    report = check_mixing(alanine, np.stack(frames))
    assert report.warnings == ()
    phi = next(t for t in report.torsions if t.atoms == PHI)
    assert phi.name == "ALA2 C-N-CA-C (phi)"
    assert (phi.fraction_positive > 0.2).all()


def test_trajectories_stuck_left_and_right_are_reported_in_words(alanine):
    x = np.array(alanine.positions)
    angles = [0.2 * draw(400, 0), 0.2 * draw(400, 1) + 2.3]
    frames = [turned(x, PHI, list(range(9, 22)), a) for a in angles]
    warnings = check_mixing(alanine, np.stack(frames)).warnings
    assert len(warnings) == 3
    assert "(phi): trajectories disagree" in warnings[0]
    assert "from 0.000 to 1.000" in warnings[0]
    assert "remembers where it started" in warnings[1]
    assert "hardly known" in warnings[2]


def test_bad_shapes_are_named(alanine):
    with pytest.raises(ValueError, match=r"x: expected shape .*22, 3\), got \(5, 22, 3\)"):
        check_mixing(alanine, np.zeros((5, 22, 3)))
    with pytest.raises(ValueError, match="at least 4 frames"):
        check_mixing(alanine, np.zeros((2, 3, 22, 3)))


def test_many_short_chains_are_compared_in_groups():
    """Chains that never leave their side: each is stuck, yet groups of them agree."""
    rng = np.random.default_rng(5)
    side = np.where(np.arange(64) % 2 == 0, 1.0, -1.0)
    angles = side[:, None] + 0.1 * rng.standard_normal((64, 50))
    assert torsion_mixing("t", PHI, angles).rhat > 5
    together = torsion_mixing("t", PHI, angles, n_groups=8)
    assert together.rhat < 1.01
    assert together.fraction_positive == pytest.approx(0.5 * np.ones(8))
    assert together.n_transitions.shape == (8,)
    drifting = angles.copy()
    drifting[:, 25:] = np.abs(drifting[:, 25:])
    assert torsion_mixing("t", PHI, drifting, n_groups=8).rhat > 1.05


def test_groups_are_checked(alanine):
    still = np.repeat(alanine.positions[None, None], 4, axis=1)
    with pytest.raises(ValueError, match="n_groups: expected 1 to 1, got 2"):
        check_mixing(alanine, still, n_groups=2)


def test_a_start_that_is_still_felt_is_seen():
    """Relaxing series against stationary ones; the test is exact for independent normal means."""
    rng = np.random.default_rng(8)
    p_values = [drift_p_value(rng.standard_normal((32, 40))) for _ in range(400)]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4
    decay = np.exp(-np.arange(40) / 8.0)
    assert drift_p_value(rng.standard_normal((32, 40)) + decay) < 1e-5
    assert drift_p_value(rng.standard_normal((7, 40)) + 10 * decay) == 1.0
    assert drift_p_value(np.tile(decay, (8, 1))) == 0.0
    assert drift_p_value(np.ones((8, 40))) == 1.0
    angles = 0.5 * rng.standard_normal((32, 40)) + 2 * decay
    report = torsion_mixing("t", PHI, angles, n_groups=8)
    assert report.drift < 1e-5


def test_the_relaxation_time_of_two_states_is_exact():
    """A Markov chain between rotamers with known rates: 1 / (a + b)."""
    rng = np.random.default_rng(11)
    enter, leave = 0.002, 0.04
    state = np.zeros((64, 4000), dtype=bool)
    now = rng.random(64) < enter / (enter + leave)
    for k in range(4000):
        now = np.where(now, rng.random(64) >= leave, rng.random(64) < enter)
        state[:, k] = now
    angles = np.where(state, 1.0, -1.0) + 0.1 * rng.standard_normal(state.shape)
    assert relaxation_time(angles) == pytest.approx(1 / (enter + leave), rel=0.1)
    assert torsion_mixing("t", PHI, angles).length > 100
    assert torsion_mixing("t", PHI, angles[:, :60]).length < 5
    stuck = np.where(np.arange(8)[:, None] < 4, 1.0, -1.0) + 0.1 * rng.standard_normal((8, 50))
    assert relaxation_time(stuck) == np.inf
    assert relaxation_time(np.ones((4, 10))) == 0
