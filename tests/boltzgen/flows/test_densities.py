import math

import numpy as np
import pytest
import torch
from scipy import stats

from boltzgen.flows import Flow, LogRatio, ScaledBase, SplineTransform, VectorLayout, coupling_flow
from tests.contracts.case import perturbed

MIXED = VectorLayout(torch.tensor([False, True]), torch.ones(2), LogRatio(torch.tensor([2.0])))


def test_the_base_is_the_normal_and_the_circle(generator):
    """Against scipy: variance c / c0 for numbers, 1 / 2 pi for angles; the angle's value is
    immaterial."""
    base = ScaledBase(torch.tensor([False, True, False]), torch.tensor([2.0]))
    x = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    c = 0.1 + 4 * torch.rand(50, 1, generator=generator, dtype=torch.float64)
    width = (c[:, 0] / 2).sqrt().numpy()
    expected = sum(stats.norm.logpdf(x[:, i].numpy(), scale=width) for i in (0, 2))
    found = base.log_prob(x, c).numpy()
    np.testing.assert_allclose(found, expected - math.log(2 * math.pi), rtol=1e-13)


def test_the_base_without_controls_has_unit_variance():
    base = ScaledBase(torch.tensor([False]), torch.ones(0))
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    found = base.log_prob(x, torch.zeros(7, 0, dtype=torch.float64))
    np.testing.assert_allclose(found, stats.norm.logpdf(x[:, 0].numpy()), rtol=1e-14)


@pytest.mark.parametrize("c", [0.3, 2.0, 7.0])
def test_the_base_is_normalised(c):
    """Trapezoid sums, exact to rounding for a normal cut at 12 widths and for a constant."""
    base = ScaledBase(MIXED.periodic, MIXED.controls.reference)
    width = math.sqrt(c / 2)
    numbers = torch.linspace(-12 * width, 12 * width, 401, dtype=torch.float64)
    angles = torch.linspace(-math.pi, math.pi, 5, dtype=torch.float64)
    density = base.log_prob(torch.cartesian_prod(numbers, angles), c).exp().reshape(401, 5)
    total = torch.trapezoid(torch.trapezoid(density, angles), numbers)
    assert total.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("c", [0.5, 4.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_of_the_base_pass_kolmogorov_smirnov(generator, c, dtype):
    """p above 6e-5, the two-sided share of a normal beyond four standard deviations."""
    base = ScaledBase(MIXED.periodic, MIXED.controls.reference)
    x = base.sample(torch.full((20_000, 1), c, dtype=dtype), generator=generator).double().numpy()
    assert stats.kstest(x[:, 0] / math.sqrt(c / 2), "norm").pvalue > 6e-5
    assert stats.kstest(x[:, 1], "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 6e-5
    pi = float(torch.tensor(math.pi, dtype=dtype))
    assert x[:, 1].min() >= -pi
    assert x[:, 1].max() < pi


@pytest.mark.parametrize("c", [1.0, 2.0, 3.0])
def test_a_flow_of_a_number_and_an_angle_integrates_to_one(c):
    """On a grid; splines have jumps in the second derivative, so a trapezoid is good to 1e-4."""
    flow = perturbed(
        lambda: coupling_flow(MIXED, [SplineTransform(4)] * 4, n_hidden=16, n_blocks=1, n_bins=4),
        torch.float64,
    )
    numbers = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    angles = torch.linspace(-math.pi, math.pi, 401, dtype=torch.float64)
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(numbers, angles), c).exp().reshape(1201, 401)
    total = torch.trapezoid(torch.trapezoid(density, angles), numbers)
    assert total.item() == pytest.approx(1, abs=1e-4)
    assert density.max() / density.mean() > 5


def test_log_prob_is_that_of_the_change_of_variables(generator):
    flow = perturbed(
        lambda: coupling_flow(MIXED, [SplineTransform(4)] * 2, n_hidden=8, n_blocks=1),
        torch.float64,
    )
    x = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    c = torch.full((4, 1), 1.5, dtype=torch.float64)
    z, _ = flow.bijection(x, c)
    for row in range(4):
        matrix = torch.autograd.functional.jacobian(
            lambda v: flow.bijection(v[None], c[:1])[0][0], x[row]
        )
        expected = flow.base.log_prob(z, c)[row] + torch.linalg.slogdet(matrix)[1]
        assert flow.log_prob(x, c)[row].item() == pytest.approx(expected.item(), abs=1e-10)


def test_a_base_that_does_not_fit():
    flow = coupling_flow(MIXED, [SplineTransform()] * 2, n_hidden=4, n_blocks=0)
    with pytest.raises(ValueError, match="base: expected event shape and C"):
        Flow(flow.bijection, ScaledBase(torch.zeros(3, dtype=torch.bool), torch.ones(1)))
    with pytest.raises(ValueError, match="base: expected event shape and C"):
        Flow(flow.bijection, ScaledBase(MIXED.periodic, torch.ones(0)))
