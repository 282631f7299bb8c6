import numpy as np
import pytest

from boltzgen.estimators import function_of_means


def variance(means):
    return means[1] - means[0] ** 2


def columns(x):
    return np.stack([x, x**2], 1)


def test_weighted_normal_samples_give_the_variance_of_the_target():
    """Samples of N(0, 1.5^2) weighted to N(0.5, 1)."""
    z = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = 1.5 * rng.normal(size=2000)
        log_w = -0.5 * (x - 0.5) ** 2 + 0.5 * (x / 1.5) ** 2
        z.append(function_of_means(columns(x), log_w, variance, rng=rng).z(1.0))
    assert abs(np.mean(z)) < 4 / 30**0.5
    assert 0.6 < np.std(z) < 1.5


def test_correlated_samples_need_blocks():
    rng = np.random.default_rng(3)
    x = np.repeat(rng.normal(size=400), 25)
    blocks = np.repeat(np.arange(400), 25)
    log_w = np.zeros(x.size)
    naive = function_of_means(columns(x), log_w, variance, rng=rng)
    honest = function_of_means(columns(x), log_w, variance, rng=rng, blocks=blocks)
    assert honest.error == pytest.approx(5 * naive.error, rel=0.25)
    assert honest.error == pytest.approx(2**0.5 / 400**0.5, rel=0.25)


def test_values_without_weight_may_be_anything():
    rng = np.random.default_rng(0)
    values = np.array([[1.0], [3.0], [np.nan]])
    found = function_of_means(values, np.array([0.0, 0.0, -np.inf]), lambda m: m[0], rng=rng)
    assert found.value == 2.0


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((2, 1)), "values: expected 3 rows, got 2"),
        (np.zeros(3), "values: expected 2 dimension"),
        (np.array([[0.0], [np.inf], [0.0]]), "values: expected finite numbers"),
    ],
)
def test_bad_values_are_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        function_of_means(
            values, np.zeros(3), lambda m: m[0], rng=np.random.default_rng(0), n_resamples=2
        )
