import mdtraj
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from systems.charts import geometry

ANGLES = st.floats(-20, 20)


def points(generator, n):
    return torch.randn(n, 3, 50, generator=generator, dtype=torch.float64)


def test_torsions_and_angles_follow_mdtraj(generator):
    a, b, c, d = points(generator, 4)
    topology = mdtraj.Topology()
    residue = topology.add_residue("MOL", topology.add_chain())
    for _ in range(4):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    x = torch.stack([a, b, c, d]).permute(2, 0, 1).numpy()
    trajectory = mdtraj.Trajectory(x, topology)
    torsion = mdtraj.compute_dihedrals(trajectory, [[0, 1, 2, 3]])[:, 0]
    angle = mdtraj.compute_angles(trajectory, [[0, 1, 2]])[:, 0]
    ours = geometry.torsion(a - b, c - b, d - c).numpy()
    np.testing.assert_allclose(np.cos(ours - torsion), 1, atol=1e-6)
    np.testing.assert_allclose(geometry.angle(a - b, c - b).numpy(), angle, atol=1e-4)


def test_a_clockwise_torsion_is_positive():
    # IUPAC: looking from b to c, the far bond c-d is clockwise of the near bond b-a.
    a, b, c = (torch.tensor(v)[:, None] for v in ([0.0, 1, 0], [0.0, 0, 0], [0.0, 0, -1]))
    d = c + torch.tensor([1.0, 0, 0])[:, None]
    assert geometry.torsion(a - b, c - b, d - c).item() == pytest.approx(np.pi / 2)


def test_place_inverts_the_measures(generator):
    references = points(generator, 3)
    bond, theta, phi = 0.3, 1.1, -2.0
    local = torch.tensor(
        [
            bond * np.cos(theta),
            bond * np.sin(theta) * np.cos(phi),
            bond * np.sin(theta) * np.sin(phi),
        ]
    )[:, None].expand(3, 50)
    a, b, c = references
    new = geometry.place((a, b, c), local)
    torch.testing.assert_close(geometry.length(new - a), torch.full((50,), bond).double())
    torch.testing.assert_close(geometry.angle(new - a, b - a), torch.full((50,), theta).double())
    torsion = geometry.torsion(new - a, b - a, c - b)
    torch.testing.assert_close(torsion, torch.full((50,), phi).double())


@given(theta=ANGLES, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_wrap_stays_in_one_turn_and_moves_by_whole_turns(theta, dtype):
    theta = torch.tensor(theta, dtype=dtype)
    wrapped = geometry.wrap(theta)
    assert abs(wrapped.item()) <= np.pi + 1e-6
    turns = (theta - wrapped).item() / (2 * np.pi)
    assert turns == pytest.approx(round(turns), abs=1e-5)


def test_wrap_at_the_cut():
    theta = torch.tensor([np.pi, -np.pi, 3 * np.pi], dtype=torch.float64)
    torch.testing.assert_close(geometry.wrap(theta), torch.full((3,), -np.pi).double())
