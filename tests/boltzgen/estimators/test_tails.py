import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.estimators.tails import (
    describe_khat,
    fit_generalised_pareto,
    pareto_khat,
    reliable,
)


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("n_samples", [100, 5000])
def test_agrees_with_arviz(spread, n_samples):
    arviz = pytest.importorskip("arviz")
    log_w = spread * np.random.default_rng(n_samples).normal(size=n_samples)
    expected = float(arviz.psislw(log_w.copy())[1])
    assert pareto_khat(log_w) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [-0.2, 0.3, 0.7, 1.2])
def test_finds_the_shape_of_a_pareto_sample(shape):
    rng = np.random.default_rng(2)
    estimates = []
    for _ in range(40):
        uniform = rng.random(400)
        excess = np.sort(((1 - uniform) ** -shape - 1) / shape)
        estimates.append(fit_generalised_pareto(excess)[0])
    # the weak prior of ten observations at 1/2 moves the mean by less than 10/410 of the distance
    mean = (400 * shape + 10 * 0.5) / 410
    error = np.std(estimates, ddof=1) / np.sqrt(40)
    # Zhang & Stephens' estimator itself is biased at this size by about 0.01
    assert abs(np.mean(estimates) - mean) < 4 * error + 0.015


@pytest.mark.parametrize("shape", [0.3, 0.6, 0.9])
def test_power_law_weights(shape):
    # w = U^-k is Pareto with index k exactly; the error of k over M excesses is (1 + k) / sqrt M
    log_w = -shape * np.log(np.random.default_rng(3).random(100_000))
    error = (1 + shape) / np.sqrt(3 * np.sqrt(100_000))
    assert abs(pareto_khat(log_w) - shape) < 4 * error


def test_scale_and_forbidden_samples_do_not_matter():
    log_w = np.random.default_rng(4).normal(size=4000)
    khat = pareto_khat(log_w)
    assert pareto_khat(log_w + 500) == pytest.approx(khat, abs=1e-6)
    log_w[log_w.argsort()[:1000]] = -np.inf
    assert pareto_khat(log_w) == pytest.approx(khat, abs=1e-6)


def test_degenerate_samples():
    assert pareto_khat(np.zeros(1000)) == -np.inf
    few = np.full(1000, -np.inf)
    few[:3] = [0.0, 1.0, 2.0]
    assert pareto_khat(few) == np.inf
    with pytest.raises(NonFiniteError, match="1 NaN"):
        pareto_khat(np.array([0.0, np.nan]))


def test_words():
    assert reliable(0.69)
    assert not reliable(0.7)
    assert not reliable(np.inf)
    words = [describe_khat(k).split(":")[0] for k in (-np.inf, 0.6, 0.8, np.inf)]
    assert words == ["good", "usable", "unreliable", "useless"]
