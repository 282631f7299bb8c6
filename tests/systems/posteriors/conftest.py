"""Fixtures of the tests of posteriors."""

import math

import pytest
import torch


def agree_along_the_path(target, beta, other, *, n, generator):
    """Mean of L^(other - beta) over exact samples at beta is Z(other) / Z(beta), |z| < 4."""
    x = target.sample_exact(beta, n, generator=generator)
    assert x.shape == (n, *target.event_shape)
    assert x.dtype == torch.float64
    expected = target.log_evidence(other) - target.log_evidence(beta)
    weight = ((other - beta) * target.log_likelihood(x) - expected).exp()
    z = (weight.mean().item() - 1) / (weight.std().item() / math.sqrt(n))
    assert abs(z) < 4


@pytest.fixture
def along_the_path():
    """Compare exact samples, energies and evidence of a target at two powers."""
    return agree_along_the_path
