import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from systems.charts.layout import (
    TURN,
    Layout,
    fit_layout,
    fold_window,
    sibling_rows,
    thinnest_cut,
    widest_gap,
    wrap,
)
from systems.charts.zmatrix import build_zmatrix

TREE = ((0, 1), (1, 2), (2, 3), (2, 4), (2, 5), (1, 6))


def spread(n, *arcs):
    """n angles evenly over each arc (from, to)."""
    return np.concatenate([np.linspace(low, high, n) for low, high in arcs])


def distance_on_circle(a, b):
    return abs(wrap(np.array(a - b)))


@given(st.floats(-10, 10), st.floats(0.5, 6.0))
def test_cut_is_in_the_middle_of_the_widest_gap(centre, width):
    theta = spread(4000, (centre - width / 2, centre + width / 2))
    gap, middle = widest_gap(theta)
    assert gap == pytest.approx(TURN - width, abs=0.01)
    assert distance_on_circle(middle, centre + np.pi) < 0.01
    if TURN - width > 0.6:
        assert distance_on_circle(thinnest_cut(theta), centre + np.pi) < TURN / 72


def test_cut_is_where_data_are_thinnest():
    theta = np.concatenate([spread(10000, (-np.pi, np.pi)), spread(5000, (-2.5, 2.0))])
    theta = np.concatenate([theta, spread(2000, (2.6, np.pi + 0.7))])
    assert distance_on_circle(thinnest_cut(theta), 2.3) < 0.2


def test_cut_of_even_data():
    assert 0 <= thinnest_cut(spread(7200, (0, TURN * 7199 / 7200))) < TURN


@given(st.floats(-4, 4))
def test_fold_window_cuts_where_a_threefold_phase_is_thinnest(centre):
    phase = centre + spread(300, (-0.4, 0.4))
    window = fold_window(np.concatenate([phase, phase + TURN / 3, phase - TURN / 3]))
    assert distance_on_circle(3 * window, 3 * centre) < 3 * TURN / 72


def test_siblings_are_measured_against_a_neighbour():
    zmatrix = build_zmatrix(7, TREE)
    siblings = dict(
        zip((row[0] for row in zmatrix.rows[3:]), sibling_rows(zmatrix, TREE), strict=True)
    )
    graph = {frozenset(bond) for bond in TREE}
    for atom, parent, _, torsion in zmatrix.rows[3:]:
        assert siblings[atom] == (frozenset((parent, torsion)) in graph)
    assert any(siblings.values())
    assert not all(siblings.values())


def layout_of(torsion, *, is_sibling=False, folded=()):
    q = np.column_stack([np.full((len(torsion), 5), 1.0), torsion])
    return fit_layout(
        q,
        n_atoms=4,
        folded=np.array(folded, dtype=np.int64),
        siblings=np.array([is_sibling]),
        frozen=np.array([1], dtype=np.int64),
    )


def test_bonds_and_angles_keep_their_domain():
    layout = layout_of(spread(50, (-0.1, 0.1)))
    assert layout.narrow.tolist() == [0, 2, 3, 4, 5]
    assert layout.frozen.tolist() == [1]
    assert layout.lower[:4].tolist() == [0, 0, 0, 0]
    assert layout.upper[:4].tolist() == [np.inf, np.inf, np.pi, np.pi]


@pytest.mark.parametrize(
    ("arcs", "is_sibling", "expected"),
    [
        ([(2.0, 2.2)], True, (0, np.pi)),
        ([(-2.2, -2.0)], True, (-np.pi, 0)),
        ([(2.0, 2.2)], False, (2.1 - np.pi, 2.1 + np.pi)),
        ([(3.0, 3.4)], True, (3.2 - np.pi - TURN, 3.2 + np.pi - TURN)),
        ([(2.0, 2.2), (-2.2, -2.0)], True, (-TURN, 0.0)),
    ],
)
def test_domain_of_a_narrow_torsion(arcs, is_sibling, expected):
    layout = layout_of(spread(50, *arcs), is_sibling=is_sibling)
    lower, upper = layout.lower[-1], layout.upper[-1]
    turns = round((lower - expected[0]) / TURN) * TURN
    np.testing.assert_allclose((lower, upper), np.add(expected, turns), atol=1e-9)


def test_spread_torsions_and_folded_phases_are_periodic():
    layout = layout_of(spread(100, (-1.0, 2.5)))
    assert layout.periodic.tolist() == [5]
    assert layout.fold.tolist() == [1] * 6
    assert distance_on_circle(layout.centre[5], 0.75) < 0.1
    layout = layout_of(spread(100, (-0.1, 0.1)), folded=[5])
    assert layout.periodic.tolist() == [5]
    assert layout.fold[5] == 3
    assert layout.centre[5] == 0


def test_roles_cover_each_coordinate_once():
    layout = layout_of(spread(100, (-1.0, 2.5)))
    good = {name: getattr(layout, name) for name in Layout.__dataclass_fields__}
    with pytest.raises(ValueError, match="in one role"):
        Layout(**good | {"periodic": np.array([4])})
    with pytest.raises(ValueError, match="expected fold, lower, upper"):
        Layout(**good | {"lower": np.zeros(2)})
