import numpy as np
import pytest
from scipy import stats

from boltzgen.errors import NonFiniteError
from boltzgen.estimators.calibration import calibration_ranks, coverage


def conjugate(rng, *, n_sets=4000, n_draws=49, widths=(1.0,)):
    """theta ~ N(0, 1), y ~ N(theta, 1); posterior draws N(y / 2, 1 / 2), wider by each factor."""
    truths = rng.normal(size=(n_sets, len(widths)))
    y = truths + rng.normal(size=truths.shape)
    z = rng.normal(size=(n_sets, n_draws, len(widths)))
    return truths, 0.5 * y[:, None] + np.sqrt(0.5) * np.array(widths) * z


def test_ranks_count_the_draws_below():
    truths, draws = conjugate(np.random.default_rng(0), n_sets=50, widths=(1.0, 1.0, 1.0))
    ranks = calibration_ranks(truths, draws, rng=np.random.default_rng(1))
    assert ranks.shape == (50, 3)
    for m in range(50):
        for d in range(3):
            assert ranks[m, d] == sum(draws[m, :, d] < truths[m, d])


def test_ties_are_broken_evenly():
    """Among 4 draws, one below and two equal: ranks 1, 2 and 3 alike."""
    truths = np.zeros((9000, 1))
    draws = np.tile(np.array([-1.0, 0.0, 0.0, 2.0])[:, None], (9000, 1, 1))
    ranks = calibration_ranks(truths, draws, rng=np.random.default_rng(2))[:, 0]
    counts = np.bincount(ranks, minlength=5)
    assert counts[0] == counts[4] == 0
    assert stats.chisquare(counts[1:4]).pvalue > 2 * stats.norm.sf(4)


def test_discrete_parameters_have_uniform_ranks():
    """A posterior of three values, far from continuous."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 3, (20_000, 10)).astype(float)
    ranks = calibration_ranks(values[:, :1], values[:, 1:, None], rng=rng)[:, 0]
    assert stats.chisquare(np.bincount(ranks, minlength=10)).pvalue > 2 * stats.norm.sf(4)


def test_coverage_is_the_announced_one():
    rng = np.random.default_rng(4)
    truths, draws = conjugate(rng)
    ranks = calibration_ranks(truths, draws, rng=rng)[:, 0]
    levels = [0.1, 0.5, 0.8, 0.9, 0.95]
    found = coverage(ranks, 49, levels)
    # a = round(25 (1 - level)), and the exact level is 1 - a / 25
    np.testing.assert_allclose(found.expected, 1 - np.array([22, 12, 5, 2, 1]) / 25)
    error = np.sqrt(found.expected * (1 - found.expected) / 4000)
    assert (np.abs(found.observed - found.expected) < 4 * error).all()
    assert (found.p_values > 2 * stats.norm.sf(4)).all()
    np.testing.assert_array_equal(found.levels, levels)
    assert found.n_truths == 4000


def test_coverage_counts_truths_between_order_statistics():
    rng = np.random.default_rng(5)
    truths, draws = conjugate(rng, n_sets=300)
    ranks = calibration_ranks(truths, draws, rng=rng)[:, 0]
    ordered = np.sort(draws[:, :, 0], 1)
    inside = (ordered[:, 4] < truths[:, 0]) & (truths[:, 0] < ordered[:, 44])
    assert coverage(ranks, 49, [0.8]).observed[0] == inside.mean()


@pytest.mark.parametrize(("width", "sign"), [(0.7, -1), (1.4, 1)])
def test_coverage_sees_a_wrong_width(width, sign):
    rng = np.random.default_rng(6)
    truths, draws = conjugate(rng, n_draws=199, widths=(width,))
    ranks = calibration_ranks(truths, draws, rng=rng)[:, 0]
    found = coverage(ranks, 199, [0.5, 0.9])
    exact = 2 * stats.norm.cdf(width * stats.norm.ppf([0.75, 0.95])) - 1
    assert (sign * (found.observed - found.expected) > 0).all()
    assert (found.p_values < 1e-6).all()
    # 199 draws are not the posterior's own quantiles, by less than 1 / 199
    assert (np.abs(found.observed - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000) + 0.005).all()


def test_confidence_intervals_are_those_of_clopper_and_pearson():
    ranks = np.repeat(np.arange(10), [4, 0, 0, 7, 9, 2, 1, 0, 3, 4])
    found = coverage(ranks, 9, [0.2, 0.6], confidence=0.9)
    for k, inside in enumerate((11, 19)):
        exact = stats.binomtest(inside, 30).proportion_ci(0.9, method="exact")
        assert found.observed[k] == inside / 30
        assert (found.lower[k], found.upper[k]) == pytest.approx((exact.low, exact.high))
    edge = coverage(np.array([0, 9, 0, 9]), 9, [0.5])
    assert (edge.observed[0], edge.lower[0]) == (0, 0)
    assert edge.upper[0] == pytest.approx(1 - 0.025**0.25)
    full = coverage(np.array([4, 5, 4, 5]), 9, [0.5])
    assert (full.observed[0], full.upper[0]) == (1, 1)
    assert full.lower[0] == pytest.approx(0.025**0.25)


def test_bad_arguments():
    rng = np.random.default_rng(0)
    truths, draws = conjugate(rng, n_sets=5)
    with pytest.raises(ValueError, match=r"draws: expected shape \(5, L, 1\), got \(4, 49, 1\)"):
        calibration_ranks(truths, draws[:4], rng=rng)
    with pytest.raises(ValueError, match="truths: expected 2 dimension"):
        calibration_ranks(truths[:, 0], draws, rng=rng)
    draws[0, 0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="draws: expected numbers, got 1 NaN"):
        calibration_ranks(truths, draws, rng=rng)
    ranks = np.arange(10)
    for bad, match in (
        (ranks[:, None], r"shape \(M,\), got \(10, 1\)"),
        (ranks.astype(float), "expected integers, got float64"),
        (ranks + 1, "expected 0 to 9, got 1 to 10"),
    ):
        with pytest.raises(ValueError, match=f"ranks: .*{match}"):
            coverage(bad, 9, [0.5])
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="levels: expected numbers between 0 and 1"):
            coverage(ranks, 9, [level])
    with pytest.raises(
        ValueError, match="levels: expected about 0.8 at most for 9 draws, got 0.95"
    ):
        coverage(ranks, 9, [0.5, 0.95])
    with pytest.raises(ValueError, match="confidence"):
        coverage(ranks, 9, [0.5], confidence=1.0)
