"""Models are Gaussians a little too wide or narrow; targets are exact harmonic oscillators."""

import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import conditional_free_energies, mixture_free_energies

STIFFNESS = np.array([1.0, 1.35, 1.8])
MISFIT = np.array([0.95, 1.03, 1.0])
DIMENSION = 6
COUNTS = np.array([150, 200, 150])
ABSOLUTE = 0.5 * DIMENSION * np.log(STIFFNESS / (2 * np.pi))
METHODS = {"mbar": conditional_free_energies, "mixture": mixture_free_energies}


def draw(rng, counts=COUNTS):
    stiff = STIFFNESS * MISFIT
    x = np.concatenate(
        [rng.normal(size=(n, DIMENSION)) / np.sqrt(c) for n, c in zip(counts, stiff, strict=True)]
    )
    half = 0.5 * np.square(x).sum(1)
    model = stiff[:, None] * half - 0.5 * DIMENSION * np.log(stiff / (2 * np.pi))[:, None]
    return model, STIFFNESS[:, None] * half


@pytest.mark.parametrize("name", METHODS)
def test_exact_differences_with_calibrated_errors(name):
    rng = np.random.default_rng(7)
    z, z_bootstrap, z_absolute = [], [], []
    for _ in range(60):
        model, target = draw(rng)
        result = METHODS[name](model, target, COUNTS, rng=rng, n_resamples=60)
        deviation = (result.f_k - ABSOLUTE + ABSOLUTE[0])[1:]
        z.append(deviation / result.errors[1:])
        z_bootstrap.append(deviation / result.bootstrap_errors[1:])
        z_absolute.append((result.absolute_f_k - ABSOLUTE)[0])
    assert np.abs(z).max() < 4
    assert np.abs(z_bootstrap).max() < 4
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.4
    assert 0.7 < np.sqrt(np.mean(np.square(z_bootstrap))) < 1.4
    assert abs(np.mean(z_absolute)) < 4 * np.std(z_absolute, ddof=1) / np.sqrt(60)


@pytest.mark.parametrize("name", METHODS)
def test_weights_give_expectations(name):
    rng = np.random.default_rng(8)
    model, target = draw(rng, COUNTS * 10)
    result = METHODS[name](model, target, COUNTS * 10, rng=rng)
    np.testing.assert_allclose(result.weights.sum(0), 1.0)
    np.testing.assert_allclose(result.overlap.sum(1), 1.0)
    means = (result.weights * target.T).sum(0)
    # the variance of u is D / 2
    z = (means - DIMENSION / 2) / np.sqrt(DIMENSION / 2 / result.n_effective)
    assert np.abs(z).max() < 4
    assert np.abs(result.model_f_k).max() < 0.1
    assert (result.n_effective > 2000).all()
    np.testing.assert_allclose(result.difference_errors, result.difference_errors.T)
    np.testing.assert_allclose(result.errors, result.difference_errors[0])
    np.testing.assert_allclose(result.bootstrap_errors, result.bootstrap_difference_errors[0])


def test_knowing_the_model_free_energies_does_not_hurt():
    rng = np.random.default_rng(9)
    model, target = draw(rng)
    known = mixture_free_energies(model, target, COUNTS, rng=rng)
    solved = conditional_free_energies(model, target, COUNTS, rng=rng)
    difference = np.abs(known.f_k - solved.f_k)
    assert (difference < 4 * np.hypot(known.errors, solved.errors) + 1e-12).all()


@pytest.mark.parametrize("name", METHODS)
def test_one_model_one_target_and_forbidden_samples(name):
    rng = np.random.default_rng(10)
    model, target = draw(rng)
    target[0, :20] = np.inf
    result = METHODS[name](model[:1], target[:1], np.array([500]), rng=rng)
    assert result.f_k.tolist() == [0.0]
    assert result.errors.tolist() == [0.0]
    np.testing.assert_array_equal(result.weights[:20, 0], 0.0)
    log_w = model[0] - target[0]
    assert result.absolute_f_k[0] == pytest.approx(-np.log(np.mean(np.exp(log_w))))


@pytest.mark.parametrize("name", METHODS)
def test_bad_arguments(name):
    rng = np.random.default_rng(0)
    model, target = draw(rng)
    with pytest.raises(ValueError, match="u_kn_target: expected 500 samples, got 3"):
        METHODS[name](model, target[:, :3], COUNTS, rng=rng)
    with pytest.raises(ValueError, match="n_k: expected an integer of at least 2, got 0"):
        METHODS[name](model, target, np.array([0, 250, 250]), rng=rng)
    bad = target.copy()
    bad[1] = np.inf
    with pytest.raises(NonFiniteError, match=r"targets \[1\] are \+inf on every sample"):
        METHODS[name](model, bad, COUNTS, rng=rng)
    bad[0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="got 1 NaN or -inf"):
        METHODS[name](model, bad, COUNTS, rng=rng)
