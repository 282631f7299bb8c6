from fractions import Fraction

import numpy as np
import pytest

from systems.lattices.monte_carlo.chances import split_chances


@pytest.mark.parametrize("n_bits", [8, 15])
def test_head_and_tail_give_the_probability_back(n_bits):
    p = np.array([0.0, 1e-12, 0.1, 1 / 3, 0.5, 15 / 16, 1 - 2.0**-53])
    heads, tails = split_chances(p, n_bits)
    for chance, head, tail in zip(p, heads, tails, strict=True):
        kept = Fraction(int(head) * 2**64 + int(tail), 2 ** (64 + n_bits))
        assert 0 <= Fraction(chance) - kept < Fraction(1, 2 ** (64 + n_bits))


def test_certainty_is_the_largest_of_both():
    heads, tails = split_chances(np.array([1.0]), 8)
    assert heads[0] == 255
    assert tails[0] == np.iinfo(np.uint64).max


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_what_is_no_probability(p):
    with pytest.raises(ValueError, match="p: expected probabilities"):
        split_chances(np.array([p]), 8)
