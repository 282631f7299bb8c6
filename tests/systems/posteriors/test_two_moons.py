import math

import numpy as np
import pytest
import torch

from systems.posteriors import TwoMoons

MOONS = TwoMoons()
OBSERVATIONS = [(0.0, 0.0), (0.25, 0.0), (-0.2, 0.5), (0.33, 0.05), (0.35, 0.1), (0.4, 0.2)]


def panels(low, high, n):
    """Nodes and weights of Gauss quadrature with 12 nodes in each of n panels."""
    x, w = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(low, high, n + 1)
    half = (edges[1] - edges[0]) / 2
    return (edges[:-1, None] + half * (x + 1)).ravel(), np.tile(half * w, n)


def grid(beta, y):
    """Parameters on a grid of differences y - theta's, one of the two moons, with weights."""
    low = max(0.0, y[0] - 0.25)
    high = 0.1 + math.hypot(max(low - 0.1, 0.0), 0.095 / math.sqrt(min(beta, 1.0)))
    first, first_weight = panels(low, high, 40)
    second, second_weight = panels(-high, high, 80)
    u, v = np.meshgrid(first - (y[0] - 0.25), y[1] - second, indexing="ij")
    theta = torch.tensor(np.stack([(u - v).ravel(), (u + v).ravel()], 1)) / math.sqrt(2)
    return theta, torch.tensor(np.outer(first_weight, second_weight).ravel())


def controls(beta, y, n):
    return torch.tensor([beta, *y], dtype=torch.float64).expand(n, -1)


@pytest.mark.parametrize("y", OBSERVATIONS)
@pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])
def test_the_evidence_is_that_of_a_sum_over_the_plane(beta, y):
    theta, weight = grid(beta, y)
    log_terms = weight.log() - MOONS.energy(theta, controls(beta, y, len(theta)))
    expected = math.log(2) + log_terms.logsumexp(0).item()
    assert MOONS.log_evidence(beta, y) == pytest.approx(expected, abs=2e-9)


def test_the_evidence_of_all_observations_integrates_to_one():
    """Below y0 = 1/4 it is smooth over the width of the prior, above over that of the crescent."""
    first = [panels(-1.75, 0.25, 3), panels(0.25, 0.45, 4)]
    # In y1 it is even and as smooth everywhere, so that a trapezoid sum converges at once.
    second = [(0.2 * k, 0.2 * (2 if k else 1)) for k in range(11)]
    total = sum(
        w0 * w1 * math.exp(MOONS.log_evidence(1.0, (y0, y1)))
        for nodes, weights in first
        for y0, w0 in zip(nodes, weights, strict=True)
        for y1, w1 in second
    )
    assert total == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("y", [(0.0, 0.0), (-0.2, 0.5), (0.33, 0.05)])
@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_exact_samples_have_the_moments_of_a_grid(beta, y, generator):
    n = 20_000
    x = MOONS.sample_exact(beta, y, n, generator=generator)
    assert x.shape == (n, 2)
    assert x.dtype == torch.float64
    theta, weight = grid(beta, y)
    weight = weight * (-MOONS.energy(theta, controls(beta, y, len(theta)))).exp()
    weight = weight / weight.sum()
    for function in (
        lambda t: (t[:, 0] + t[:, 1]).abs(),
        lambda t: t[:, 1] - t[:, 0],
        lambda t: (t[:, 1] - t[:, 0]) ** 2,
        lambda t: MOONS.log_likelihood(t, controls(beta, y, len(t))[:, 1:]),
    ):
        drawn = function(x)
        z = (drawn.mean() - weight @ function(theta)) / (drawn.std() / math.sqrt(n))
        assert abs(z.item()) < 4
    # The two moons have equal weight.
    assert abs((x.sum(1) > 0).double().mean().item() - 0.5) * 2 * math.sqrt(n) < 4


def test_samples_of_an_observation_that_only_one_side_explains(generator):
    y = (0.9, 0.1)
    x = MOONS.sample_exact(1.0, y, 100, generator=generator)
    assert bool(MOONS.energy(x, controls(1.0, y, 100)).isfinite().all())
    with pytest.raises(ValueError, match="^beta: expected a finite number above 0"):
        MOONS.log_evidence(0.0, y)
    with pytest.raises(ValueError, match="^beta: expected a finite number above 0"):
        MOONS.sample_exact(-1.0, y, 3, generator=generator)


def test_the_simulator_draws_from_the_likelihood(generator):
    """Mean over draws of 1 / L inside a disc of the moon is its area; radii and angles too."""
    n = 40_000
    theta = torch.tensor([[0.1, -0.3]], dtype=torch.float64).expand(n, -1)
    y = MOONS.simulate(theta, generator=generator)
    assert y.shape == (n, 2)
    # The crescent of theta without its shift by theta and by 1/4.
    q = y - torch.tensor([0.25 - 0.2 / math.sqrt(2), -0.4 / math.sqrt(2)], dtype=torch.float64)
    level = torch.special.ndtr((q.norm(dim=1) - 0.1) / 0.01)
    turn = torch.atan2(q[:, 1], q[:, 0]) / math.pi + 0.5
    for share in (level, turn):
        statistic = (torch.histogram(share, 20, range=(0.0, 1.0))[0] - n / 20) ** 2 / (n / 20)
        assert abs(statistic.sum().item() - 19) < 4 * math.sqrt(2 * 19)
    centre = torch.tensor([0.1, 0.03], dtype=torch.float64)
    inside = (q - centre).norm(dim=1) < 0.01
    inverse = torch.where(inside, (-MOONS.log_likelihood(theta, y)).exp(), 0.0)
    z = (inverse.mean() - math.pi * 1e-4) / (inverse.std() / math.sqrt(n))
    assert abs(z.item()) < 4


def test_an_observation_on_the_wrong_side_is_impossible():
    theta = torch.zeros(2, 2, dtype=torch.float64)
    c = torch.tensor([[1.0, 0.2, 0.0], [1.0, 0.3, 0.0]], dtype=torch.float64)
    assert MOONS.energy(theta, c).isfinite().tolist() == [False, True]


def test_prior_and_its_draws(generator):
    x = torch.linspace(-3, 3, 301, dtype=torch.float64)
    log_prior = MOONS.log_prior(torch.cartesian_prod(x, x))
    assert log_prior.exp().sum().item() * 0.02**2 == pytest.approx(1.0, abs=1e-10)
    drawn = MOONS.sample_prior(20_000, generator=generator)
    square = drawn.square().sum(1) / 0.09
    assert abs(square.mean().item() - 2) < 4 * 2 / math.sqrt(20_000)
