"""Chi-square of correlated differences rejects as often as it says."""

import numpy as np
import pytest
from scipy import stats

from pipeline.agreement import agreement_of, compare_numbers
from pipeline.numbers import Numbers


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_p_value_is_right_for_correlated_differences(rho):
    """Two moments of the sum are matched, so that its tail is right to a third."""
    n = 10
    correlation = np.full((n, n), rho) + (1 - rho) * np.eye(n)
    rng = np.random.default_rng(1)
    z = rng.multivariate_normal(np.zeros(n), correlation, size=4000)
    p = np.array([agreement_of(row, correlation).p_value for row in z])
    for level in (0.01, 0.05):
        share = (p < level).mean()
        assert share == pytest.approx(level, abs=4 * np.sqrt(level / 4000) + 0.3 * level)
    naive = np.mean([agreement_of(row).p_value < 0.01 for row in z])
    assert naive > 0.05 if rho else abs(naive - 0.01) < 0.007


def test_independent_differences_have_the_usual_chi_square():
    z = np.array([1.0, -2.0, np.nan, 0.5])
    found = agreement_of(z)
    assert found.chi_square == pytest.approx(5.25)
    assert found.p_value == pytest.approx(stats.chi2.sf(5.25, 3))
    assert agreement_of(z, np.eye(4)).p_value == pytest.approx(found.p_value)


def test_the_same_quantity_twice_counts_once():
    one, other = Numbers(np.ones(2), np.ones(2)), Numbers(np.zeros(2), np.zeros(2))
    twice = compare_numbers(one, other, np.ones((2, 2)))
    assert twice.p_value == pytest.approx(stats.chi2.sf(1.0, 1))
