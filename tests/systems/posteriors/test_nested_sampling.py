"""Evidence and moments of a posterior by nested sampling, which shares nothing with ours."""

import dynesty
import numpy as np
import pytest
import torch
from scipy import stats

from systems.posteriors import Interval, Parameter, Positive, Posterior

COUNTS = torch.tensor([4.0, 9.0, 12.0, 6.0, 5.0], dtype=torch.float64)
SHAPE = torch.tensor([0.05, 0.25, 0.4, 0.25, 0.05], dtype=torch.float64)


def log_likelihood(v):
    mean = v["background"][:, None] + v["signal"][:, None] * SHAPE
    return (COUNTS * mean.log() - mean - (COUNTS + 1).lgamma()).sum(1)


TARGET = Posterior(
    log_likelihood,
    lambda v: -v["signal"] / 10 - np.log(10) - np.log(15),
    [
        Parameter("background", support=Interval(0.0, 15.0)),
        Parameter("signal", support=Positive()),
    ],
)


def nested(beta):
    """Dynesty on L^beta, with the prior as a map of the unit cube."""

    def place(u):
        return np.array([15 * u[0], stats.expon.ppf(u[1], scale=10)])

    def power(theta):
        values = {"background": theta[:1], "signal": theta[1:]}
        x = TARGET.space.unconstrain({k: torch.from_numpy(v) for k, v in values.items()})
        return beta * TARGET.log_likelihood(x).item()

    sampler = dynesty.NestedSampler(
        power, place, 2, nlive=150, rstate=np.random.default_rng(int(10 * beta))
    )
    sampler.run_nested(print_progress=False, dlogz=0.1)
    return sampler.results


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_evidence_and_means_agree_with_a_quadrature_of_the_energy(beta):
    """In the free numbers, so that supports and Jacobians are in it: a sum on a grid is exact."""
    u, v = torch.linspace(-9, 9, 400).double(), torch.linspace(-9, 6, 400).double()
    x = torch.cartesian_prod(u, v)
    energy = TARGET.energy(x, beta)
    cell = ((u[1] - u[0]) * (v[1] - v[0])).log().item()
    log_z = (-energy).logsumexp(0).item() + cell
    values, _ = TARGET.space.constrain(x)
    weights = (-energy).softmax(0)
    found = nested(beta)
    assert abs(found.logz[-1] - log_z) < 4 * found.logzerr[-1]
    assert found.logzerr[-1] < 0.3
    draws = found.samples_equal(rstate=np.random.default_rng(3))
    for column, name in enumerate(("background", "signal")):
        mean = (weights * values[name]).sum().item()
        spread = (weights * (values[name] - mean) ** 2).sum().sqrt().item()
        # Some 150 live points leave about as many independent draws.
        assert abs(draws[:, column].mean() - mean) < 4 * spread / np.sqrt(150)
