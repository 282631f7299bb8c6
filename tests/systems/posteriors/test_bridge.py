import math

import pytest
import torch

from systems.posteriors import Bridge, Parameter, Positive, Simplex

F64 = torch.float64


def log_laplace(x):
    """Log-density of independent Laplace numbers of scale 1/2."""
    return -2 * x.abs().sum(1)


def bridge(width=1.5):
    return Bridge(log_laplace, [Parameter("a"), Parameter("b", (2,))], width=width)


def test_the_path_leads_from_the_reference_to_the_target(generator):
    target = bridge((1.0, 2.0, 3.0))
    assert target.widths == (1.0, 2.0, 3.0)
    x = torch.randn(8, 3, generator=generator, dtype=F64)
    reference = torch.distributions.Normal(0.0, torch.tensor([1.0, 2.0, 3.0], dtype=F64))
    expected = reference.log_prob(x).sum(1)
    torch.testing.assert_close(target.log_reference(x), expected)
    for beta in (0.0, 0.3, 1.0):
        path = (1 - beta) * expected + beta * log_laplace(x)
        torch.testing.assert_close(target.energy(x, beta), -path)
    torch.testing.assert_close(target.denergy_dc(x, 0.5)[:, 0], expected - log_laplace(x))


def test_the_evidence_at_one_is_the_integral_of_the_target(generator):
    target = bridge()
    assert target.widths == (1.5, 1.5, 1.5)
    n = 100_000
    x = target.sample_prior(n, generator=generator)
    likelihood = target.log_likelihood(x).exp()
    # The integral of exp(-2 |x|) is 1 in every direction.
    assert abs(likelihood.mean() - 1) < 4 * likelihood.std() / math.sqrt(n)
    assert bool(((x.square().mean(0) / 2.25 - 1).abs() < 4 * math.sqrt(2 / n)).all())


def test_a_density_may_vanish_and_squares_may_overflow():
    target = Bridge(
        lambda x: torch.where(x[:, 0] > 0, -x[:, 0], -torch.inf), [Parameter("x")], width=1.0
    )
    x = torch.tensor([[-1.0], [1.0], [1e30]], requires_grad=True)
    energy = target.energy(x, 0.5)
    assert energy.isfinite().tolist() == [False, True, False]
    (gradient,) = torch.autograd.grad(energy[:2].sum(), x)
    assert bool(gradient.isfinite().all())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="^b: expected the support Real, got Positive"):
        Bridge(log_laplace, [Parameter("a"), Parameter("b", support=Positive())], width=1.0)
    with pytest.raises(ValueError, match="^a: expected the support Real, got Simplex"):
        Bridge(log_laplace, [Parameter("a", (3,), Simplex())], width=1.0)
    with pytest.raises(ValueError, match="^width: expected a number or 3, got 2"):
        bridge((1.0, 2.0))
    for bad in (0.0, (1.0, -1.0, 1.0), math.inf):
        with pytest.raises(ValueError, match="^width: expected a finite number above 0"):
            bridge(bad)
