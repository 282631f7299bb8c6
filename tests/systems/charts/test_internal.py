import mdtraj
import pytest
import torch

from systems.charts import InternalCoordinates, build_zmatrix, find_leaf_groups
from tests.systems.charts.molecules import FOLDER, load, rotated


def plain(molecule):
    zmatrix = build_zmatrix(len(molecule.elements), molecule.bonds)
    return InternalCoordinates(zmatrix)


def test_measure_follows_mdtraj():
    coordinates = plain(load("thr"))
    trajectory = mdtraj.load(FOLDER / "thr.pdb")
    x = torch.from_numpy(trajectory.xyz)
    rows = coordinates.zmatrix.rows
    bonds, angles, torsions = coordinates.split(coordinates.measure(x)[:, 0])
    expected = mdtraj.compute_distances(trajectory, [row[:2] for row in rows[1:]])[0]
    torch.testing.assert_close(bonds, torch.from_numpy(expected), atol=1e-6, rtol=0)
    expected = mdtraj.compute_angles(trajectory, [row[:3] for row in rows[2:]])[0]
    torch.testing.assert_close(angles, torch.from_numpy(expected), atol=1e-4, rtol=0)
    expected = mdtraj.compute_dihedrals(trajectory, rows[3:])[0]
    torch.testing.assert_close(torsions, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_phi_and_psi_are_coordinates(alanine):
    names = alanine.molecule.names
    phi, psi = (
        tuple(names.index(atom) for atom in chain)
        for chain in (("0:C", "1:N", "1:CA", "1:C"), ("1:N", "1:CA", "1:C", "2:N"))
    )
    rows = alanine.chart.coordinates.zmatrix.rows
    assert {phi, psi} <= {row for row in rows} | {row[::-1] for row in rows}


def test_placed_atoms_have_their_coordinates(case):
    coordinates = plain(case.molecule)
    q = coordinates.measure(case.x[:20])
    torch.testing.assert_close(coordinates.measure(coordinates.place(q)), q, atol=1e-10, rtol=0)


def test_position_and_orientation_make_no_difference(case, generator):
    coordinates = plain(case.molecule)
    x = case.x[:20]
    moved = coordinates.measure(rotated(x, generator))
    torch.testing.assert_close(moved, coordinates.measure(x), atol=1e-10, rtol=0)


def test_the_frame_is_where_it_should_be(alanine):
    coordinates = plain(alanine.molecule)
    x = coordinates.place(coordinates.measure(alanine.x[:5]))
    first, middle, third = (x[:, row[0]] for row in coordinates.zmatrix.rows[:3])
    assert (first[:, 0] > 0).all()
    assert (third[:, 1] > 0).all()
    assert (middle == 0).all()
    assert (first[:, 1:] == 0).all()
    assert (third[:, 2] == 0).all()


def test_labelled_undoes_canonical_up_to_labels(alanine):
    molecule = alanine.molecule
    zmatrix = build_zmatrix(len(molecule.elements), molecule.bonds)
    groups = find_leaf_groups(zmatrix, molecule.bonds, molecule.elements)
    coordinates = InternalCoordinates(zmatrix, groups)
    window = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    q = coordinates.measure(alanine.x)
    q = coordinates.canonical(q, window)
    labelled = coordinates.labelled(q, window)
    torch.testing.assert_close(coordinates.canonical(labelled, window), q, atol=1e-12, rtol=0)


def test_arguments_stay_as_they_are(alanine):
    coordinates, window = alanine.chart.coordinates, alanine.chart.window
    q = coordinates.measure(alanine.x[:10])
    before = q.clone()
    coordinates.canonical(q, window)
    coordinates.labelled(q, window)
    coordinates.place(q)
    assert torch.equal(q, before)


@pytest.mark.parametrize("name", ["water", "ammonia"])
def test_counts_of_the_smallest(name):
    coordinates = plain(load(name))
    n = coordinates.n_atoms
    assert (coordinates.n_bonds, coordinates.n_angles, coordinates.n_torsions) == (
        n - 1,
        n - 2,
        n - 3,
    )
    assert coordinates.n_coordinates == 3 * n - 6
    assert len(coordinates.levels) == n - 3
