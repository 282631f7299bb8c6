import numpy as np
import pytest
import torch

from systems.molecules import check_mixing
from systems.molecules.mixing import (
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
    assert len(warnings) == 2
    assert "(phi): trajectories disagree" in warnings[0]
    assert "from 0.000 to 1.000" in warnings[0]
    assert "hardly known" in warnings[1]


def test_bad_shapes_are_named(alanine):
    with pytest.raises(ValueError, match=r"x: expected shape .*22, 3\), got \(5, 22, 3\)"):
        check_mixing(alanine, np.zeros((5, 22, 3)))
    with pytest.raises(ValueError, match="at least 4 frames"):
        check_mixing(alanine, np.zeros((2, 3, 22, 3)))
