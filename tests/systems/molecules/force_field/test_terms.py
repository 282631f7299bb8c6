"""Gathering from atoms and collecting at them, against matrices."""

import numpy as np
import pytest
import torch

from systems.molecules.force_field.terms import (
    Incidence,
    Vectors,
    at_atoms,
    collected,
    pair_vectors,
    with_slopes,
)
from tests.systems.molecules.force_field.openmm_values import DOUBLE


def matrix(concerned, n_rows):
    found = torch.zeros(len(concerned), n_rows, dtype=DOUBLE)
    for item, row in enumerate(concerned):
        for number, factor in row:
            found[item, number] += factor
    return found


@pytest.mark.parametrize("lengths", [[3, 3, 3], [0, 1, 40, 2, 0, 7], [0, 0], [], [25]])
def test_incidence_is_a_sparse_matrix(lengths, generator):
    """Even and uneven numbers of rows, items without any, no items."""
    rng = np.random.default_rng(1)
    concerned = [
        [(int(rng.integers(50)), float(rng.choice([-1.0, 1.0, 0.5]))) for _ in range(n)]
        for n in lengths
    ]
    rows = torch.randn(50, 4, generator=generator, dtype=DOUBLE)
    expected = matrix(concerned, 50) @ rows
    torch.testing.assert_close(Incidence(concerned)(rows), expected, rtol=0, atol=1e-13)


def test_what_fills_up_reaches_no_other_item():
    uneven = Incidence([[(0, 1.0), (1, 1.0)], [(2, 1.0)], []])
    rows = torch.tensor([[torch.inf], [1.0], [3.0]])
    assert uneven(rows)[:, 0].tolist() == [torch.inf, 3.0, 0.0]


def test_uneven_rows_are_added_in_pieces():
    uneven = Incidence([[(k, 1.0) for k in range(60)], *([(0, 1.0)] for _ in range(30))])
    even = collected(np.arange(60) % 20, 20)
    assert len(uneven.levels) == 2
    assert len(even.levels) == 1
    assert sum(level.place.numel() for level in uneven.levels) < 60 * 31 / 3


def test_collecting_is_the_transpose_of_gathering(generator):
    """<gather(x), s> = <x, collect(s)>, for vectors between atoms and from the origin."""
    vectors = [pair_vectors(np.array([[0, 1], [4, 0], [2, 3]])), Vectors([3, 3, 1])]
    x = tuple(torch.randn(5, 2, generator=generator, dtype=DOUBLE) for _ in range(3))
    slopes = torch.randn(6, 2, generator=generator, dtype=DOUBLE)
    back = at_atoms(vectors, 5)(slopes)
    for axis in range(3):
        gathered = torch.cat([own(x)[axis] for own in vectors])
        torch.testing.assert_close((gathered * slopes).sum(), (x[axis] * back).sum())


def test_partial_derivatives_of_a_function_by_elements(generator):
    a, b = (torch.rand(4, 3, generator=generator, dtype=DOUBLE) for _ in range(2))
    values, (in_a, in_b) = with_slopes(lambda a, b: a.sin() * b, a, b)
    torch.testing.assert_close(values, a.sin() * b)
    torch.testing.assert_close(in_a, a.cos() * b)
    torch.testing.assert_close(in_b, a.sin())
