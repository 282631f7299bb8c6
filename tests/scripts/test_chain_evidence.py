"""Evidence from chains alone: MBAR over the powers against closed forms."""

import numpy as np
import pytest
import torch
from scipy import stats

from pipeline.ladders import Ladders
from posterior.chain_evidence import chain_evidence
from posterior.sampling import Model
from systems.posteriors import EightSchools, Parameter, Posterior, normal_log_density

BETAS = np.array([0.0, 0.1, 0.4, 1.0])


def ladders(posterior, n_ladders=32, n_draws=100):
    stream, n = torch.Generator().manual_seed(2), n_ladders * n_draws
    draws = [posterior.sample_prior(n, generator=stream)] + [
        posterior.sample_exact(float(beta), n, generator=stream) for beta in BETAS[1:]
    ]
    x = torch.stack(draws).reshape(len(BETAS), n_ladders, n_draws, -1).numpy()
    ones = np.ones(len(BETAS))
    return Ladders(
        name="beta", values=BETAS, x=x, acceptance=ones, swaps=ones[1:], n_round_trips=100
    )


def test_it_is_the_exact_evidence():
    posterior = EightSchools()
    found = chain_evidence(ladders(posterior), Model(posterior, posterior, None), BETAS[1:])
    exact = np.array([posterior.log_evidence(float(beta)) for beta in BETAS[1:]])
    assert (np.abs(found.values - exact) < 4 * found.errors).all()
    assert (found.errors < 0.05).all()
    assert (found.errors > 1e-3).all()


def test_draws_without_likelihood_count_at_the_prior_alone():
    """x normal a priori, L = exp(x) above 0 and 0 below: Z = sqrt(e) Phi(1) at beta = 1."""

    def log_likelihood(values):
        x = values["x"]
        return torch.where(x > 0, x, -torch.inf)

    posterior = Posterior(log_likelihood, lambda v: normal_log_density(v["x"], 0.0, 1.0),
                          [Parameter("x")])  # fmt: skip
    stream, n = torch.Generator().manual_seed(4), 8 * 200
    prior, other = torch.randn(2, 2 * n, generator=stream, dtype=torch.float64)
    above = (1 + other)[other > -1][:n]
    x = torch.stack([prior[:n], above]).reshape(2, 8, 200, 1).numpy()
    given = Ladders("beta", np.array([0.0, 1.0]), x, np.ones(2), np.ones(1), 10)
    found = chain_evidence(given, Model(posterior, posterior, None), np.array([0.0, 1.0]))
    assert found.values[0] == 0
    expected = 0.5 + stats.norm.logcdf(1)
    assert found.values[1] == pytest.approx(expected, abs=4 * found.errors[1])
    assert 0 < found.errors[1] < 0.1
