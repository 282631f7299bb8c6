import numpy as np
import pytest

from systems.lattices.geometry import neighbour_table, parity
from systems.lattices.monte_carlo.sublattices import (
    fill_neighbour_sums,
    join_spins,
    make_sublattices,
    split_spins,
)

SHAPES = [(2,), (4,), (10,), (2, 2), (4, 2), (2, 4), (6, 8), (40, 70)]
SHAPES += [(2, 2, 2), (4, 2, 6), (4, 6, 2), (2, 6, 4), (4, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_those_of_the_table_of_neighbours(shape):
    rng = np.random.default_rng(0)
    spins = rng.choice(np.array([-1, 1], dtype=np.int8), int(np.prod(shape)))
    layout, half = make_sublattices(shape), spins.size // 2
    parts = np.zeros((2, half), dtype=np.int8)
    split_spins(spins, layout, parts)
    expected = spins[neighbour_table(shape)].sum(1)
    for colour in range(2):
        sums = np.zeros(half, dtype=np.int8)
        fill_neighbour_sums(parts[1 - colour], layout.to_right[colour], layout.lengths, sums)
        assert (parity(shape).ravel()[layout.sites[colour]] == colour).all()
        np.testing.assert_array_equal(sums, expected[layout.sites[colour]])
    back = np.zeros_like(spins)
    join_spins(parts, layout, back)
    np.testing.assert_array_equal(back, spins)


def test_odd_lengths_are_refused():
    with pytest.raises(ValueError, match="expected even lengths"):
        make_sublattices((4, 3))
