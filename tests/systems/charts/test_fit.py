import numpy as np
import pytest
import torch
from openmm import app

from systems.charts import ZMatrix, build_zmatrix, fit_chart
from systems.charts.zmatrix import ROOT
from tests.systems.charts.molecules import fitted, load

# Atoms of ACE-ALA-NME in the order of AMBER, and the Z-matrix published with bgmol.
AMBER_ORDER = (
    "0:H1 0:CH3 0:H2 0:H3 0:C 0:O 1:N 1:H 1:CA 1:HA 1:CB 1:HB1 1:HB2 1:HB3 1:C 1:O 2:N 2:H 2:C "
    "2:H1 2:H2 2:H3"
).split()  # fmt: skip
BGMOL = (
    (14, ROOT, ROOT, ROOT), (8, 14, ROOT, ROOT), (6, 8, 14, ROOT), (9, 8, 6, 14), (10, 8, 14, 6),
    (4, 6, 8, 14), (16, 14, 8, 6), (1, 4, 6, 8), (0, 1, 4, 6), (2, 1, 4, 0), (3, 1, 4, 0),
    (5, 4, 6, 8), (7, 6, 8, 4), (11, 10, 8, 6), (12, 10, 8, 11), (13, 10, 8, 11), (15, 14, 8, 16),
    (17, 16, 14, 15), (18, 16, 14, 8), (19, 18, 16, 14), (20, 18, 16, 19), (21, 18, 16, 19),
)  # fmt: skip


def fit(molecule, x, **options):
    return fit_chart(x, bonds=molecule.bonds, elements=molecule.elements, **options)


@pytest.fixture(scope="module")
def rigid():
    """Alanine dipeptide with rigid bonds to hydrogen."""
    molecule = load("ala", app.HBonds)
    return molecule, molecule.dynamics(720)


def test_data_are_white_and_in_the_domain(case):
    chart = case.chart
    z, _ = chart.to_internal(case.x)
    white = z[:, : chart.n_narrow]
    torch.testing.assert_close(white.mean(0), torch.zeros(chart.n_narrow).double())
    torch.testing.assert_close(torch.cov(white.T), torch.eye(chart.n_narrow).double())
    assert chart.in_domain(z).all()
    assert chart.mean.dtype == torch.float64


def test_every_coordinate_is_in_the_vector(case):
    n_atoms = len(case.molecule.elements)
    assert case.chart.event_shape == (3 * n_atoms - 6,)
    assert int(case.chart.periodic.sum()) == case.chart.n_periodic
    assert not case.chart.periodic[: case.chart.n_narrow].any()


def test_a_single_precision_fit_is_the_same(alanine):
    chart = fit(alanine.molecule, alanine.x.float())
    assert chart.mean.dtype == torch.float64
    torch.testing.assert_close(chart.mean, alanine.chart.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(chart.window, alanine.chart.window, atol=1e-5, rtol=0)


def test_hydrogen_bonds_are_frozen(rigid):
    molecule, x = rigid
    chart = fit(molecule, x, constraints=molecule.constraints)
    assert chart.event_shape == (48,)
    assert len(chart.coordinates.leaves) == 3
    z, logdet = chart.to_internal(x[:50])
    y, back = chart.to_cartesian(z)
    torch.testing.assert_close(back, -logdet, atol=1e-6, rtol=0)
    energy = molecule.energies(y)
    torch.testing.assert_close(energy, molecule.energies(x[:50]), atol=1e-4, rtol=0)
    for i, j, length in molecule.constraints:
        distance = (y[:, i] - y[:, j]).norm(dim=1)
        torch.testing.assert_close(distance, torch.full_like(distance, length), atol=1e-9, rtol=0)
    again, _ = chart.to_internal(y)
    torch.testing.assert_close(again, z, atol=1e-6, rtol=0)


def test_free_columns_of_a_rigid_molecule_have_the_right_volume(rigid):
    molecule, x = rigid
    chart = fit(molecule, x, constraints=molecule.constraints)
    z, logdet = chart.to_internal(x[:1])
    coordinates = chart.coordinates

    def free(z):
        placed = coordinates.measure(chart.to_cartesian(z[None])[0])
        canonical = coordinates.canonical(placed, chart.window)[:, 0]
        return canonical[np.concatenate([chart.layout.narrow, chart.layout.periodic])]

    jacobian = torch.autograd.functional.jacobian(free, z[0])
    q = coordinates.measure(chart.to_cartesian(z)[0])
    expected = torch.linalg.slogdet(jacobian).logabsdet + coordinates.log_volume(q)
    torch.testing.assert_close(expected, -logdet, atol=1e-6, rtol=0)


def test_rigid_bonds_must_be_declared(rigid):
    molecule, x = rigid
    with pytest.raises(ValueError, match=r"12 coordinate.*do not vary.*bond.*constraints=None"):
        fit(molecule, x)
    with pytest.raises(ValueError, match=r"1 coordinate.*do not vary"):
        fit(molecule, x, constraints=molecule.constraints[1:])


def test_a_group_of_which_one_bond_is_rigid_keeps_its_labels(rigid):
    molecule, x = rigid
    free = load("ala").dynamics(720)
    ch3, h1 = (molecule.names.index(name) for name in ("1:CB", "1:HB1"))
    bond = [c for c in molecule.constraints if {ch3, h1} == set(c[:2])]
    i, j, length = bond[0]
    h, c = (i, j) if molecule.elements[i] == "H" else (j, i)
    offset = free[:, h] - free[:, c]
    free[:, h] = free[:, c] + offset / offset.norm(dim=1, keepdim=True) * length
    chart = fit(molecule, free, constraints=bond)
    assert len(chart.coordinates.leaves) == 2
    z, _ = chart.to_internal(free[:20])
    energy = molecule.energies(chart.to_cartesian(z)[0])
    torch.testing.assert_close(energy, molecule.energies(free[:20]), atol=1e-7, rtol=0)


def test_constraints_that_do_not_fit_are_refused(alanine):
    molecule, x = alanine.molecule, alanine.x
    rows = alanine.chart.coordinates.zmatrix.rows
    i, j = rows[5][:2]
    far = (rows[0][0], rows[-1][0], 0.5)
    with pytest.raises(ValueError, match="not a bond of the Z-matrix.*constraints=None"):
        fit(molecule, x, constraints=[far])
    with pytest.raises(ValueError, match="declared rigid at 0.1000 nm but is"):
        fit(molecule, x, constraints=[(i, j, 0.1)])
    with pytest.raises(ValueError, match="have two lengths"):
        fit(molecule, x, constraints=[(i, j, 0.1), (j, i, 0.11)])


def test_rigid_water_is_refused():
    case = fitted("water")
    rigid = [(0, 1, 0.1), (0, 2, 0.1), (1, 2, 0.16)]
    with pytest.raises(ValueError, match="atoms 1 and 2 are held"):
        fit(case.molecule, case.x, constraints=rigid)


def test_too_few_configurations_are_refused(alanine):
    with pytest.raises(ValueError, match="at least 600 configurations for 60 coordinates, got 599"):
        fit(alanine.molecule, alanine.x[:599])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(alanine, value):
    x = alanine.x.clone()
    x[3, 2, 1] = value
    with pytest.raises(ValueError, match="got 1 configurations with others"):
        fit(alanine.molecule, x)


def test_repeated_configurations_are_refused(alanine):
    with pytest.raises(
        ValueError, match="do not vary independently.*too few configurations differ"
    ):
        fit(alanine.molecule, alanine.x[:40].repeat(20, 1, 1))


def test_a_molecule_in_pieces_is_refused(alanine):
    with pytest.raises(ValueError, match="one connected molecule"):
        fit_chart(alanine.x, bonds=alanine.molecule.bonds[:-1], elements=alanine.molecule.elements)


def test_a_wrong_shape_is_refused(alanine):
    with pytest.raises(ValueError, match=r"x: expected shape \(B, 22, 3\)"):
        fit(alanine.molecule, alanine.x[:, :21])


def test_a_straight_angle_is_refused():
    molecule = load("acetonitrile")
    x = molecule.dynamics(300)
    with pytest.raises(ValueError, match="angle .* comes within .* degrees of 0 or 180.*zmatrix"):
        fit(molecule, x)


def test_a_straight_molecule_can_have_other_references():
    molecule = load("acetonitrile")
    x = molecule.dynamics(300)
    # C, C, N, H, H, H: both ends of the nitrile hang on the methyl group.
    rows = ((3, ROOT, ROOT, ROOT), (0, 3, ROOT, ROOT), (4, 0, 3, ROOT), (5, 0, 3, 4), (1, 0, 3, 4),
            (2, 0, 3, 4))  # fmt: skip
    assert molecule.elements == ("C", "C", "N", "H", "H", "H")
    chart = fit(molecule, x, zmatrix=ZMatrix(rows))
    z, logdet = chart.to_internal(x[:50])
    y, back = chart.to_cartesian(z)
    torch.testing.assert_close(back, -logdet, atol=1e-9, rtol=0)
    energy = molecule.energies(x[:50])
    torch.testing.assert_close(molecule.energies(y), energy, atol=1e-8, rtol=0)


def test_a_methyl_group_turned_inside_out_lies_outside(alanine):
    """One configuration of many changes nothing of the chart and is not in its domain."""
    x = turned(alanine, [7]).repeat(3, 1, 1)
    x[len(alanine.x) :] = alanine.x.repeat(2, 1, 1)
    chart, without = fit(alanine.molecule, x), torch.cat([x[:7], x[8:]])
    inside = chart.in_domain(chart.to_internal(x)[0])
    assert inside.nonzero()[:, 0].tolist() == [k for k in range(len(x)) if k != 7]
    torch.testing.assert_close(chart.whiten, fit(alanine.molecule, without).whiten)


def test_broken_methyl_groups_are_refused(alanine):
    x = turned(alanine, range(50))
    with pytest.raises(ValueError, match="50 configuration.*more than half a turn apart"):
        fit(alanine.molecule, x)


def turned(alanine, chosen):
    """Frames of alanine dipeptide with the hydrogens of a methyl group on one side, in some."""
    rows, group = alanine.chart.coordinates.zmatrix.rows, alanine.chart.coordinates.leaves[1]
    a, b, c = (rows[row][0] for row in group.tolist())
    parent = rows[group[0]][1]
    x = alanine.x.clone()
    for k in chosen:
        x[k, [a, b, c]] = x[k, [a]] + 0.01 * (x[k, [a, b, c]] - x[k, [parent]])
    return x


def published(molecule):
    index = [molecule.names.index(name) for name in AMBER_ORDER]
    return ZMatrix(tuple(tuple(index[a] if a >= 0 else a for a in row) for row in BGMOL))


def test_a_published_zmatrix_is_accepted(alanine):
    molecule, x = alanine.molecule, alanine.x
    chart = fit(molecule, x, zmatrix=published(molecule))
    assert chart.coordinates.zmatrix != build_zmatrix(22, molecule.bonds)
    assert len(chart.coordinates.leaves) == 3
    z, logdet = chart.to_internal(x[:50])
    y, back = chart.to_cartesian(z)
    assert chart.in_domain(z).all()
    torch.testing.assert_close(back, -logdet, atol=1e-9, rtol=0)
    energy = molecule.energies(x[:50])
    torch.testing.assert_close(molecule.energies(y), energy, atol=1e-7, rtol=0)


def test_two_zmatrices_describe_one_density(alanine):
    molecule, x = alanine.molecule, alanine.x
    other = fit(molecule, x, zmatrix=published(molecule))
    z, logdet = alanine.chart.to_internal(x[5:6])
    _, other_logdet = other.to_internal(x[5:6])

    def across(z):
        return other.to_internal(alanine.chart.to_cartesian(z[None])[0])[0][0]

    jacobian = torch.autograd.functional.jacobian(across, z[0])
    expected = torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(other_logdet - logdet, expected[None], atol=1e-8, rtol=0)


def test_a_zmatrix_of_another_molecule_is_refused(alanine):
    zmatrix = build_zmatrix(3, [(0, 1), (1, 2)])
    with pytest.raises(ValueError, match="elements: expected 3, got 22"):
        fit(alanine.molecule, alanine.x, zmatrix=zmatrix)
