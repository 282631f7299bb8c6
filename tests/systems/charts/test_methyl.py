from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from systems.charts import build_zmatrix, find_leaf_groups
from systems.charts.geometry import TURN, wrap
from systems.charts.methyl import LeafGroup, canonical_leaves, first_phase
from systems.charts.zmatrix import ROOT, ZMatrix
from tests.systems.charts.molecules import fitted, load, rotated

METHANOL = ((0, 1), (1, 2), (2, 3), (2, 4), (2, 5))
ELEMENTS = "HOCHHH"


def leaves_of(phases):
    """One group of leaves with the bonds 1, 2, 3 and the angles 4, 5, 6, shape (1, 3, 3, 1)."""
    first, second, third = phases
    torsions = torch.tensor([first, wrap(second - first), wrap(third - first)])
    columns = torch.tensor([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], dtype=torch.float64)
    return torch.cat([columns, torsions[:, None]], 1)[None, ..., None]


def relabelled(leaves, order):
    """The same leaves under other labels."""
    first = leaves[0, 0, 2, 0]
    phases = torch.stack([first, first + leaves[0, 1, 2, 0], first + leaves[0, 2, 2, 0]])
    other = leaves_of(phases[list(order)])
    other[0, :, :2] = leaves[0, list(order), :2]
    return other


def groups_of(name):
    molecule = load(name)
    zmatrix = build_zmatrix(len(molecule.elements), molecule.bonds)
    return zmatrix, find_leaf_groups(zmatrix, molecule.bonds, molecule.elements)


@pytest.mark.parametrize(
    ("name", "n_groups"),
    [("ala", 3), ("val", 4), ("ile", 4), ("lys", 3), ("pro", 2), ("ala3", 5), ("thr", 3),
     ("ethanol", 1), ("ethane", 1), ("methanol", 1), ("ammonia", 0), ("cyclohexane", 0)],
)  # fmt: skip
def test_groups_are_found(name, n_groups):
    zmatrix, groups = groups_of(name)
    assert len(groups) == n_groups
    for group in groups:
        parents = {zmatrix.rows[row][1] for row in group.rows}
        assert len(parents) == 1


def test_ammonium_of_lysine_is_a_group():
    molecule = load("lys")
    zmatrix, groups = groups_of("lys")
    parents = [molecule.names[zmatrix.rows[group.rows[0]][1]] for group in groups]
    assert "1:NZ" in parents


def test_unlike_leaves_are_no_group():
    zmatrix = build_zmatrix(6, METHANOL)
    assert len(find_leaf_groups(zmatrix, METHANOL, ELEMENTS)) == 1
    assert find_leaf_groups(zmatrix, METHANOL, "HOCHHF") == ()


def test_leaves_that_others_refer_to_are_no_group():
    rows = ((2, ROOT, ROOT, ROOT), (1, 2, ROOT, ROOT), (0, 1, 2, ROOT), (3, 2, 1, 0))
    siblings = ((4, 2, 1, 3), (5, 2, 1, 3))
    assert len(find_leaf_groups(ZMatrix(rows + siblings), METHANOL, ELEMENTS)) == 1
    chain = ((4, 2, 1, 3), (5, 2, 1, 4))
    assert find_leaf_groups(ZMatrix(rows + chain), METHANOL, ELEMENTS) == ()
    through = ((2, ROOT, ROOT, ROOT), (1, 2, ROOT, ROOT), (3, 2, 1, ROOT), (0, 1, 2, 3))
    assert find_leaf_groups(ZMatrix(through + siblings), METHANOL, ELEMENTS) == ()
    bonds = (*METHANOL, (6, 1))
    outside = (*rows, *siblings, (6, 1, 2, 3))
    assert find_leaf_groups(ZMatrix(outside), bonds, ELEMENTS + "H") == ()


def test_the_number_of_elements_is_checked():
    with pytest.raises(ValueError, match="expected 6, got 5"):
        find_leaf_groups(build_zmatrix(6, METHANOL), METHANOL, "HOCHH")


@given(
    start=st.floats(-7, 7),
    gaps=st.tuples(st.floats(1.2, 2.9), st.floats(1.2, 2.9)),
    window=st.floats(-4, 4),
)
def test_six_labellings_have_one_canonical_form(start, gaps, window):
    start = torch.tensor(start, dtype=torch.float64)
    window = torch.tensor([window], dtype=torch.float64)
    leaves = leaves_of(torch.stack([start, start + gaps[0], start + sum(gaps)]))
    forms = [canonical_leaves(relabelled(leaves, p), window) for p in permutations(range(3))]
    mean = forms[0][0, 0, 2, 0]
    assert abs(mean) <= torch.pi / 3 + 1e-9
    if abs(mean) > torch.pi / 3 - 1e-6:  # rounding chooses the end there
        return
    for form in forms[1:]:
        torch.testing.assert_close(form, forms[0], atol=1e-9, rtol=0)
    n_fixed = 0
    for form in (relabelled(leaves, p) for p in permutations(range(3))):
        canonical = canonical_leaves(form, window)
        torsions = canonical[:, :, 2]
        first = first_phase(torsions[:, 0] + window[:, None], torsions[:, 1:])
        same_phase = wrap(first - form[:, 0, 2]).abs().max() < 1e-9
        n_fixed += bool(same_phase and torch.equal(canonical[:, :, :2], form[:, :, :2]))
    assert n_fixed == 1


@pytest.mark.parametrize("name", ["ala", "lys", "ethanol", "ile"])
def test_relabelled_configurations_have_the_same_coordinates(name, generator):
    case = fitted(name)
    x = case.x[:40]
    z, logdet = case.chart.to_internal(x)
    energy = case.molecule.energies(x[:3])
    rows = case.chart.coordinates.zmatrix.rows
    for group in case.chart.coordinates.leaves.tolist():
        atoms = [rows[row][0] for row in group]
        for order in permutations(atoms):
            other = x.clone()
            other[:, atoms] = x[:, list(order)]
            other = rotated(other, generator)
            torch.testing.assert_close(
                case.molecule.energies(other[:3]), energy, atol=1e-8, rtol=1e-10
            )
            moved, other_logdet = case.chart.to_internal(other)
            torch.testing.assert_close(moved, z, atol=1e-8, rtol=0)
            torch.testing.assert_close(other_logdet, logdet, atol=1e-9, rtol=0)


def turned_group(case, index, angles):
    """The first configuration with one group turned rigidly by each of the angles."""
    coordinates = case.chart.coordinates
    q = coordinates.measure(case.x[:1]).expand(-1, len(angles)).clone()
    q[coordinates.leaf_columns[index, 0, 2]] += angles
    return coordinates.place(q)


def test_a_third_of_a_turn_is_a_full_turn_of_the_chart(alanine):
    chart = alanine.chart
    angles = torch.linspace(0, TURN, 721, dtype=torch.float64)
    column = list(chart.periodic_columns).index(chart.coordinates.leaf_columns[1, 0, 2])
    z, logdet = chart.to_internal(turned_group(alanine, 1, angles))
    phase = z[:, chart.n_narrow + column]
    steps = wrap(phase[1:] - phase[:-1])
    torch.testing.assert_close(steps, torch.full_like(steps, 3 * TURN / 720), atol=1e-8, rtol=0)
    assert phase.min() >= -torch.pi
    assert phase.max() < torch.pi
    torch.testing.assert_close(logdet, logdet[:1].expand(721), atol=1e-9, rtol=0)
    n_jumps = int(((phase[1:] - phase[:-1]).abs() > torch.pi).sum())
    assert n_jumps == 3


def test_across_the_fold_the_leaves_are_permuted(alanine):
    chart, coordinates = alanine.chart, alanine.chart.coordinates
    angles = torch.linspace(0, TURN, 721, dtype=torch.float64)
    x = turned_group(alanine, 1, angles)
    q = coordinates.canonical(coordinates.measure(x), chart.window)
    bonds = q[coordinates.leaf_columns[1, :, 0]].T
    forms = {tuple(round(bond, 9) for bond in row) for row in bonds.tolist()}
    a, b, c = bonds[0].round(decimals=9).tolist()
    assert forms == {(a, b, c), (b, c, a), (c, a, b)}
    others = [c for c in range(coordinates.n_coordinates) if c not in coordinates.leaf_columns[1]]
    torch.testing.assert_close(q[others], q[others][:, :1].expand(-1, 721), atol=1e-9, rtol=0)


def test_copies_are_counted():
    for name, n_groups in (("ala", 3), ("ethanol", 1), ("water", 0)):
        copies = torch.tensor(fitted(name).chart.log_copies).exp().item()
        assert copies == pytest.approx(6**n_groups)


def test_groups_sort_by_their_rows():
    _, groups = groups_of("val")
    assert list(groups) == sorted(groups, key=lambda group: group.rows)
    assert all(isinstance(group, LeafGroup) for group in groups)
