"""Model N(0, s^2), target p~ = exp(-x^2 / 2): everything about the weights is known exactly."""

import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import (
    Estimate,
    effective_sample_size,
    elbo,
    eubo,
    evidence_gap,
    forward_ess,
    log_evidence,
    normalise,
    reverse_ess,
)

WIDTH = 1.1  # E_p[w^-4] is finite up to 1.15, so that the bootstrap error has an error itself
LOG_Z = 0.5 * np.log(2 * np.pi)
# E_q[w]^2 / E_q[w^2] for Gaussians of variances 1 and s^2
EXACT_ESS = np.sqrt(2 * WIDTH**2 - 1) / WIDTH**2
KL_QP = 0.5 * (WIDTH**2 - 1) - np.log(WIDTH)
KL_PQ = np.log(WIDTH) + 0.5 / WIDTH**2 - 0.5


def log_weights(x):
    return -0.5 * x**2 + 0.5 * (x / WIDTH) ** 2 + np.log(WIDTH) + LOG_Z


def from_model(rng, n):
    return log_weights(WIDTH * rng.normal(size=n))


def from_target(rng, n):
    return log_weights(rng.normal(size=n))


ESTIMATES = {
    "reverse": (lambda rng: reverse_ess(from_model(rng, 2000), rng=rng), EXACT_ESS),
    "forward": (lambda rng: forward_ess(from_target(rng, 2000), rng=rng), EXACT_ESS),
    "elbo": (lambda rng: elbo(from_model(rng, 2000)), LOG_Z - KL_QP),
    "eubo": (lambda rng: eubo(from_target(rng, 2000)), LOG_Z + KL_PQ),
    "log_evidence": (lambda rng: log_evidence(from_model(rng, 2000)), LOG_Z),
    "gap": (
        lambda rng: evidence_gap(eubo(from_target(rng, 2000)), elbo(from_model(rng, 2000))),
        KL_QP + KL_PQ,
    ),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_exact_value_within_calibrated_error(name):
    make, exact = ESTIMATES[name]
    rng = np.random.default_rng(11)
    z = np.array([make(rng).z(exact) for _ in range(100)])
    assert np.abs(z).max() < 4
    assert abs(z.mean()) * np.sqrt(z.size) < 4
    assert 0.7 < np.sqrt((z**2).mean()) < 1.4


def test_block_errors_see_correlation():
    rng = np.random.default_rng(5)
    z_blocks, z_naive, z_ess = [], [], []
    for _ in range(60):
        centres = np.repeat(rng.normal(size=1000), 20)
        log_w, blocks = log_weights(centres), np.repeat(np.arange(1000), 20)
        z_blocks.append(eubo(log_w, blocks=blocks).z(LOG_Z + KL_PQ))
        z_naive.append(eubo(log_w).z(LOG_Z + KL_PQ))
        z_ess.append(forward_ess(log_w, blocks=blocks, rng=rng).z(EXACT_ESS))
    assert 0.7 < np.sqrt(np.mean(np.square(z_blocks))) < 1.4
    assert 0.7 < np.sqrt(np.mean(np.square(z_ess))) < 1.4
    assert np.sqrt(np.mean(np.square(z_naive))) > 3


def test_normalise_and_kish():
    log_w = np.log(np.array([1.0, 2.0, 3.0])) + 1000.0
    np.testing.assert_allclose(normalise(log_w), [1 / 6, 2 / 6, 3 / 6])
    assert effective_sample_size(log_w) == pytest.approx(36 / 14)
    assert effective_sample_size(np.zeros(7)) == pytest.approx(7.0)


def test_forbidden_samples_count_as_zero_weight():
    log_w = np.array([0.0, 0.0, -np.inf, -np.inf])
    rng = np.random.default_rng(0)
    ess = reverse_ess(log_w, rng=rng)
    assert ess.value == pytest.approx(0.5)
    assert 0 < ess.error < 1
    assert log_evidence(log_w).value == pytest.approx(np.log(0.5))
    bound = elbo(log_w)
    assert np.isneginf(bound.value)
    assert np.isnan(bound.error)


def test_bad_weights_are_named_and_counted():
    with pytest.raises(NonFiniteError, match=r"log_w: .* 1 NaN and 2 \+inf among 4"):
        normalise(np.array([np.nan, np.inf, np.inf, 0.0]))
    with pytest.raises(NonFiniteError, match="all 2 log-weights are -inf"):
        log_evidence(np.full(2, -np.inf))
    with pytest.raises(NonFiniteError, match="1 -inf among 3"):
        forward_ess(np.array([0.0, 0.0, -np.inf]), rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="log_w: expected a float64 array, got float32"):
        normalise(np.zeros(3, dtype=np.float32))
    with pytest.raises(ValueError, match="log_w: expected 1 dimension"):
        normalise(np.zeros((3, 1)))
    with pytest.raises(ValueError, match=r"blocks: expected shape \(3,\), got \(2,\)"):
        elbo(np.zeros(3), blocks=np.zeros(2))
    with pytest.raises(ValueError, match="blocks: expected at least 2 different labels, got 1"):
        elbo(np.zeros(3), blocks=np.zeros(3))


def test_results_repeat_with_the_stream():
    log_w = from_model(np.random.default_rng(1), 500)
    first, second = (reverse_ess(log_w, rng=np.random.default_rng(3)) for _ in range(2))
    assert first == second
    assert isinstance(first, Estimate)
