import numpy as np
import pytest
from scipy import stats

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import effective_sample_size, normalise
from boltzgen.estimators.calibration import calibration_ranks
from boltzgen.estimators.uniformity import uniformity
from boltzgen.estimators.unweighting import resample


def test_every_sample_comes_as_often_as_its_weight_says():
    rng = np.random.default_rng(0)
    log_w = 1.5 * rng.normal(size=30)
    expected, n_runs = 12 * normalise(log_w), 4000
    counts = np.stack(
        [np.bincount(resample(log_w, 12, rng=rng), minlength=30) for _ in range(n_runs)]
    )
    assert (counts >= np.floor(expected)).all()
    assert (counts <= np.ceil(expected)).all()
    share = expected % 1
    error = np.sqrt(share * (1 - share) / n_runs)
    assert (np.abs(counts.mean(0) - expected) < 4 * error).all()


def test_equal_weights_give_a_permutation():
    rng = np.random.default_rng(1)
    found = resample(np.full(500, -700.0), 500, rng=rng)
    assert sorted(found) == list(range(500))
    assert not np.array_equal(found, np.arange(500))


def test_draws_are_exchangeable():
    """The first draw is distributed as the last: each sample comes first with its weight."""
    rng = np.random.default_rng(2)
    log_w = np.log([0.4, 0.3, 0.2, 0.1])
    runs = np.stack([resample(log_w, 5, rng=rng) for _ in range(5000)])
    for column in (runs[:, 0], runs[:, 4]):
        counts = np.bincount(column, minlength=4)
        chi_square = (np.square(counts - 5000 * np.exp(log_w)) / (5000 * np.exp(log_w))).sum()
        assert stats.chi2.sf(chi_square, 3) > 2 * stats.norm.sf(4)


def test_forbidden_samples_are_never_taken():
    rng = np.random.default_rng(3)
    log_w = np.where(np.arange(40) % 3 == 1, rng.normal(size=40), -np.inf)
    for n in (1, 7, 400):
        assert set(resample(log_w, n, rng=rng)) <= set(range(1, 40, 3))


def ranks_of_weighted_draws(n_samples, shift, width, rng, n_sets=4000, n_draws=19):
    """theta ~ N(0, 1), y ~ N(theta, 1); proposals are off by `shift` and `width`.

    Returns ranks, and the mean effective number of samples.
    """
    truths = rng.normal(size=n_sets)
    y = truths + rng.normal(size=n_sets)
    z = shift + width * rng.normal(size=(n_sets, n_samples))
    log_w = -0.5 * z**2 + 0.5 * ((z - shift) / width) ** 2
    taken = np.stack([resample(row, n_draws, rng=rng) for row in log_w])
    draws = 0.5 * y[:, None] + np.sqrt(0.5) * np.take_along_axis(z, taken, 1)
    ranks = calibration_ranks(truths[:, None], draws[..., None], rng=rng)[:, 0]
    return ranks, np.mean([effective_sample_size(row) for row in log_w[:200]])


def test_ranks_among_resampled_draws_are_uniform():
    ranks, size = ranks_of_weighted_draws(400, 0.3, 1.5, np.random.default_rng(4))
    assert size > 10 * 19
    found = uniformity(ranks, 19)
    assert found.p_value > 2 * stats.norm.sf(4)
    assert found.ecdf_p_value > 2 * stats.norm.sf(4)


def test_too_few_effective_samples_pile_ranks_up_at_the_missing_end():
    ranks, size = ranks_of_weighted_draws(40, 1.0, 1.0, np.random.default_rng(5))
    assert size < 19
    counts = np.bincount(ranks, minlength=20)
    assert counts[0] > 1.8 * 200
    assert uniformity(ranks, 19).leaves


def test_bad_arguments():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n: expected an integer of at least 1"):
        resample(np.zeros(4), 0, rng=rng)
    with pytest.raises(ValueError, match="log_w: expected a float64 array"):
        resample([0.0, 1.0], 3, rng=rng)
    with pytest.raises(NonFiniteError, match="1 NaN"):
        resample(np.array([0.0, np.nan]), 3, rng=rng)
