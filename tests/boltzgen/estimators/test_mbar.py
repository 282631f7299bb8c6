"""Harmonic oscillators u = c x^2 / 2 in D dimensions: f = (D / 2) log c up to a constant."""

import numpy as np
import pytest

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import bar, mbar

STIFFNESS = np.array([1.0, 1.3, 1.7, 2.2])
DIMENSION = 6
EXACT = 0.5 * DIMENSION * np.log(STIFFNESS / STIFFNESS[0])


def draw(rng, n_k):
    x = np.concatenate(
        [rng.normal(size=(n, DIMENSION)) / np.sqrt(c) for n, c in zip(n_k, STIFFNESS, strict=True)]
    )
    return 0.5 * STIFFNESS[:, None] * np.square(x).sum(1)


@pytest.mark.parametrize("n_k", [[200, 200, 200, 200], [300, 0, 300, 0]])
def test_exact_free_energies_with_calibrated_errors(n_k):
    rng = np.random.default_rng(1)
    z = []
    for _ in range(50):
        result = mbar(draw(rng, n_k), np.array(n_k))
        assert result.f_k[0] == 0.0
        assert result.errors[0] == 0.0
        z.append((result.f_k - EXACT)[1:] / result.errors[1:])
    assert np.abs(z).max() < 4
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.4


def test_parts_of_the_result_agree():
    n_k = np.array([200, 0, 300, 100])
    u_kn = draw(np.random.default_rng(2), n_k)
    result = mbar(u_kn, n_k)
    np.testing.assert_allclose(result.weights.sum(0), 1.0)
    np.testing.assert_allclose(result.overlap.sum(1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(result.overlap[:, 1], 0.0)
    np.testing.assert_allclose(result.difference_errors, result.difference_errors.T)
    np.testing.assert_array_equal(result.errors, result.difference_errors[0])
    assert result.residual < 1e-6
    assert (result.n_effective > 100).all()
    # <u> of a harmonic oscillator is D / 2 in its own state
    means = (result.weights * u_kn.T).sum(0)
    np.testing.assert_allclose(means, DIMENSION / 2, rtol=0.15)


def test_a_forbidden_sample_is_legal():
    n_k = np.array([200, 200, 200, 0])
    u_kn = draw(np.random.default_rng(3), n_k)
    u_kn[3, :50] = np.inf
    result = mbar(u_kn, n_k)
    assert np.isfinite(result.f_k).all()
    np.testing.assert_array_equal(result.weights[:50, 3], 0.0)


def test_two_states_are_bar():
    rng = np.random.default_rng(4)
    u_kn = draw(rng, [500, 500, 0, 0])[:2]
    both = mbar(u_kn, np.array([500, 500]))
    work = u_kn[1] - u_kn[0]
    result = bar(work[:500], -work[500:])
    assert result.value == pytest.approx(both.f_k[1], abs=1e-5)
    assert result.error == pytest.approx(both.errors[1], rel=0.02)
    assert abs(result.z(EXACT[1])) < 4


def test_global_generator_is_left_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    mbar(draw(np.random.default_rng(5), [50] * 4), np.array([50] * 4))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_unreachable_tolerance_is_an_error():
    with pytest.raises(NotConvergedError, match="mbar: residual .* tolerance 1.0e-300"):
        mbar(draw(np.random.default_rng(6), [50] * 4), np.array([50] * 4), tolerance=1e-300)


def test_bad_arguments():
    u_kn, n_k = np.zeros((2, 4)), np.array([2, 2])
    with pytest.raises(ValueError, match="u_kn: expected a float64 array, got float32"):
        mbar(u_kn.astype(np.float32), n_k)
    with pytest.raises(ValueError, match="n_k: expected counts >= 0 that sum to 4"):
        mbar(u_kn, np.array([2, 3]))
    with pytest.raises(ValueError, match="n_k: expected 2 integers, got float64"):
        mbar(u_kn, np.array([2.0, 2.0]))
    u_kn[0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="u_kn: .* 1 NaN and 0 -inf among 8"):
        mbar(u_kn, n_k)
    u_kn[:, 0] = np.inf
    with pytest.raises(NonFiniteError, match="1 samples are forbidden in every sampled state"):
        mbar(u_kn, n_k)
    with pytest.raises(NonFiniteError, match="reverse_work"):
        bar(np.zeros(3), np.array([0.0, np.nan]))
