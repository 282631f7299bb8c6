import numpy as np
import pytest

from systems.lattices.monte_carlo.bit_sums import bond_sum, spin_sum, to_bits, to_spins
from tests.systems.lattices.monte_carlo.enumeration import bond_sums

SHAPES = [(2,), (3,), (7,), (2, 2), (3, 5), (2, 6), (6, 2), (17, 40), (2, 2, 2), (3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_bits_are_those_of_spins(shape):
    rng = np.random.default_rng(2)
    for p in (0.0, 0.3, 0.5, 1.0):
        spins = np.where(rng.random(int(np.prod(shape))) < p, 1, -1).astype(np.int8)
        bits, back = np.zeros(spins.size, dtype=np.uint8), np.zeros_like(spins)
        to_bits(spins, bits)
        to_spins(bits, back)
        np.testing.assert_array_equal(back, spins)
        assert spin_sum(bits) == spins.sum()
        assert bond_sum(bits, np.array(shape)) == bond_sums(spins[None].astype(int), shape)[0]
