import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systems.charts import ZMatrix, build_zmatrix
from systems.charts.zmatrix import ROOT
from tests.systems.charts.molecules import OTHERS, PEPTIDES, RINGS, load

FRAME = ((0, ROOT, ROOT, ROOT), (1, 0, ROOT, ROOT), (2, 1, 0, ROOT))


@st.composite
def molecules(draw):
    """Random trees of 3 to 40 atoms, each with up to three more bonds that close rings."""
    n_atoms = draw(st.integers(3, 40))
    parents = [draw(st.integers(0, atom - 1)) for atom in range(1, n_atoms)]
    labels = draw(st.permutations(range(n_atoms)))
    bonds = [(labels[atom], labels[parent]) for atom, parent in enumerate(parents, start=1)]
    pair = st.tuples(st.integers(0, n_atoms - 1), st.integers(0, n_atoms - 1))
    bonds += [(i, j) for i, j in draw(st.lists(pair, max_size=3)) if i != j]
    return n_atoms, bonds


@given(molecules())
def test_every_atom_is_placed_once_after_its_references(molecule):
    n_atoms, bonds = molecule
    zmatrix = build_zmatrix(n_atoms, bonds)
    placed = []
    for index, (atom, *references) in enumerate(zmatrix.rows):
        used = references[: min(index, 3)]
        assert set(used) <= set(placed)
        assert len(set(used)) == len(used)
        assert set(references[len(used) :]) <= {ROOT}
        placed.append(atom)
    assert sorted(placed) == list(range(n_atoms))


@given(molecules())
def test_bonds_and_angles_run_along_bonds(molecule):
    n_atoms, bonds = molecule
    pairs = {frozenset(bond) for bond in bonds}
    for index, (i, j, k, _) in enumerate(build_zmatrix(n_atoms, bonds).rows):
        assert index < 1 or frozenset((i, j)) in pairs
        assert index < 2 or frozenset((j, k)) in pairs


@given(molecules())
def test_a_level_needs_only_earlier_levels(molecule):
    zmatrix = build_zmatrix(*molecule)
    known = {row[0] for row in zmatrix.rows[:3]}
    for level in zmatrix.levels():
        assert {atom for row in level for atom in zmatrix.rows[row][1:]} <= known
        known |= {zmatrix.rows[row][0] for row in level}
    assert sorted(row for level in zmatrix.levels() for row in level) == list(
        range(3, zmatrix.n_atoms)
    )


@given(molecules(), st.randoms())
def test_the_order_of_bonds_makes_no_difference(molecule, shuffler: random.Random):
    n_atoms, bonds = molecule
    other = [bond[::-1] if shuffler.random() < 0.5 else bond for bond in bonds]
    shuffler.shuffle(other)
    assert build_zmatrix(n_atoms, bonds) == build_zmatrix(n_atoms, other)


@given(molecules())
def test_one_proper_torsion_for_each_parent(molecule):
    n_atoms, bonds = molecule
    rows = build_zmatrix(n_atoms, bonds).rows
    children = {}
    for atom, parent, angle, torsion in rows[3:]:
        children.setdefault(parent, []).append((atom, angle, torsion))
    for parent, ((first, angle, _), *others) in children.items():
        if parent != rows[1][0]:
            assert all(other[1:] == (angle, first) for other in others)
        else:
            assert all(other[1:] == (rows[0][0], rows[2][0]) for other in others)


@pytest.mark.parametrize("name", PEPTIDES + OTHERS)
def test_each_ring_loses_one_bond(name):
    molecule = load(name)
    rows = build_zmatrix(len(molecule.elements), molecule.bonds).rows
    kept = {frozenset(row[:2]) for row in rows[1:]}
    lost = {frozenset(bond) for bond in molecule.bonds} - kept
    assert len(lost) == RINGS.get(name, 0)


@pytest.mark.parametrize(
    ("n_atoms", "bonds", "message"),
    [
        (2, [(0, 1)], "at least 3"),
        (4, [(0, 1), (2, 3)], "one connected molecule; atoms \\[2, 3\\]"),
        (4, [(0, 1), (1, 2)], "one connected molecule; atoms \\[3\\]"),
        (3, [(0, 1), (1, 3)], "atoms 0 to 2"),
        (3, [(0, 1), (1, 1)], "atoms 0 to 2"),
        (3, [(0, 1), (1, -1)], "atoms 0 to 2"),
    ],
)
def test_bad_bonds_are_refused(n_atoms, bonds, message):
    with pytest.raises(ValueError, match=message):
        build_zmatrix(n_atoms, bonds)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (FRAME[:2], "at least 3"),
        ((*FRAME, (2, 1, 0, 2)), "placed once"),
        ((*FRAME, (4, 2, 1, 0)), "placed once"),
        ((*FRAME, (3, 4, 1, 0), (4, 2, 1, 0)), "row 3"),
        ((*FRAME, (3, 2, 1, 2)), "distinct references"),
        ((*FRAME, (3, 2, 1, 3)), "distinct references"),
        ((*FRAME, (3, 2, 1, ROOT)), "distinct references"),
        ((FRAME[0], (1, 0, 2, ROOT), FRAME[2]), "must end in -1s"),
        ((*FRAME, (3, 2, 1)), "4 atoms a row"),
    ],
)
def test_bad_rows_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        ZMatrix(rows)
