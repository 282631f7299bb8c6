import itertools
import math

import pytest
import torch

from systems.posteriors import SLCP

F64 = torch.float64
TARGET = SLCP()


def covariance(theta):
    first, second, rho = theta[:, 2] ** 2, theta[:, 3] ** 2, theta[:, 4].tanh()
    rows = [torch.stack([first**2, rho * first * second], 1)]
    rows.append(torch.stack([rho * first * second, second**2], 1))
    return torch.stack(rows, 1)


def free(theta):
    return TARGET.space.unconstrain({"theta": theta})


def test_the_likelihood_is_that_of_four_normal_points(generator):
    assert TARGET.control_names == ("beta", *(f"y{k}" for k in range(8)))
    x = TARGET.sample_prior(30, generator=generator)
    theta = TARGET.space.constrain(x)[0]["theta"]
    y = 3 * torch.randn(30, 8, generator=generator, dtype=F64)
    normal = torch.distributions.MultivariateNormal(theta[:, None, :2], covariance(theta)[:, None])
    expected = normal.log_prob(y.reshape(30, 4, 2)).sum(1)
    torch.testing.assert_close(TARGET.log_likelihood(x, y), expected, rtol=1e-8, atol=1e-8)


def test_there_are_four_equal_modes(generator):
    theta = 3 * (2 * torch.rand(10, 5, generator=generator, dtype=F64) - 1)
    c = torch.cat(
        [torch.ones(10, 1, dtype=F64), torch.randn(10, 8, generator=generator, dtype=F64)], 1
    )
    energies = []
    for first, second in itertools.product((1, -1), repeat=2):
        signs = torch.tensor([1, 1, first, second, 1], dtype=F64)
        energies.append(TARGET.energy(free(signs * theta), c))
    for energy in energies[1:]:
        torch.testing.assert_close(energy, energies[0])


def test_the_prior_is_uniform(generator):
    u = torch.linspace(-25, 25, 2001, dtype=F64)
    x = torch.zeros(2001, 5, dtype=F64)
    x[:, 2] = u
    # A uniform number has a logistic logit, of density 1/4 at 0.
    total = TARGET.log_prior(x).exp().sum().item() * 0.025
    assert total == pytest.approx(0.25**4, rel=1e-9)
    n = 20_000
    drawn = TARGET.sample_prior(n, generator=generator).sigmoid()
    for power in (1, 2):
        z = (drawn**power).mean(0) - 1 / (power + 1)
        assert bool((z.abs() * math.sqrt(n) < 4 * (drawn**power).std(0)).all())


def test_the_simulator_draws_from_the_likelihood(generator):
    n = 20_000
    theta = torch.tensor([[0.7, -2.1, 1.3, -0.6, 1.1]], dtype=F64).expand(n, -1)
    y = TARGET.simulate(free(theta), generator=generator)
    assert y.shape == (n, 8)
    points = y.reshape(n, 4, 2) - theta[:, None, :2]
    factor = torch.linalg.cholesky(covariance(theta[:1]))[0]
    white = torch.linalg.solve_triangular(factor, points.reshape(-1, 2).T, upper=False)
    for value in (*white, white[0] * white[1]):
        assert abs(value.mean().item()) * math.sqrt(4 * n) < 4
        assert abs(value.square().mean().item() - 1) < 4 * value.square().std() / math.sqrt(4 * n)
    # The four points of an observation are independent.
    across = (points[:, 0] * points[:, 1]) / points.var((0, 1))
    assert bool((across.mean(0).abs() * math.sqrt(n) < 4 * across.std(0)).all())


def test_the_mean_of_exp_of_a_likelihood_ratio_is_one(generator):
    """Under y ~ L(theta), the mean of L(other) / L(theta) is 1."""
    n = 40_000
    theta = torch.tensor([[0.7, -2.1, 1.3, -1.6, 1.1]], dtype=F64).expand(n, -1)
    other = torch.tensor([[0.8, -2.0, -1.25, 1.55, 1.0]], dtype=F64).expand(n, -1)
    y = TARGET.simulate(free(theta), generator=generator)
    ratio = (TARGET.log_likelihood(free(other), y) - TARGET.log_likelihood(free(theta), y)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(n)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_width_of_zero_is_impossible_and_no_slope_is_nan(dtype):
    x = torch.tensor([[0.0] * 5, [0.0, 0.0, 1e-3, 1.0, 8.0]], dtype=dtype, requires_grad=True)
    c = torch.ones(2, 9, dtype=dtype)
    c[:, 1:] = torch.tensor([1.0, 2, 3, 4, 4, 3, 2, 1])
    energy, slopes = TARGET.energy_and_denergy_dc(x, c)
    assert energy[0].item() == slopes[0, 0].item() == math.inf
    assert bool((slopes[0, 1:] == 0).all())
    assert bool(energy[1].isfinite())
    assert bool(slopes[1].isfinite().all())
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    assert bool(gradient.isfinite().all())


def test_one_observation_leaves_beta_alone(generator):
    y = torch.randn(8, generator=generator, dtype=F64)
    target, x = TARGET.observe(y.tolist()), TARGET.sample_prior(4, generator=generator)
    full = torch.cat([torch.ones(4, 1, dtype=F64), y.expand(4, -1)], 1)
    torch.testing.assert_close(target.energy(x, 1.0), TARGET.energy(x, full))
