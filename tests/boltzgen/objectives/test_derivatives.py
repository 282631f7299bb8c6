import pytest
import torch

from boltzgen.flows import LogRatio, SplineTransform, VectorLayout, coupling_flow
from boltzgen.objectives import CentralDifference, ExactDerivative
from tests.boltzgen.objectives.families import PowerNormal
from tests.contracts.case import perturbed

LAYOUT = VectorLayout(torch.zeros(4, dtype=torch.bool), torch.ones(4), LogRatio(torch.ones(1)))


def make_flow():
    return coupling_flow(LAYOUT, [SplineTransform(4)] * 4, n_hidden=16, n_blocks=1)


def drawn(flow, n, g):
    dtype = next(flow.parameters()).dtype
    c = 0.5 + torch.rand(n, 1, generator=g, dtype=dtype)
    return flow.sample(c, generator=g).detach(), c


def test_exact_slope_of_a_closed_form(generator):
    """d log q / d log c of x = z c^(a / 2) is a (|z|^2 - d) / 2."""
    density = PowerNormal(a=1.7)
    x, c = drawn(density, 50, generator)
    log_prob, slope = ExactDerivative()(density, x, c)
    z_square = (x.square() / c**1.7).sum(1)
    torch.testing.assert_close(slope, 1.7 * (z_square - 2) / 2, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_prob, density.log_prob(x, c), rtol=1e-12, atol=1e-12)


def test_exact_slope_against_extrapolated_differences(generator):
    """Richardson's difference, of order h^4, in float64; and its gradient in the weights."""
    flow = perturbed(make_flow, torch.float64)
    x, c = drawn(flow, 200, generator)
    slope = ExactDerivative()(flow, x, c).slope
    wide, narrow = (CentralDifference(h)(flow, x, c).slope for h in (2e-3, 1e-3))
    expected = (4 * narrow - wide) / 3
    away = (slope - expected).abs()
    # The second derivative in x of a spline jumps at its knots: where one lies in between, 1e-3.
    assert away.median() < 1e-9
    assert away.max() < 2e-2
    found = torch.autograd.grad(slope.mean(), list(flow.parameters()))
    wanted = torch.autograd.grad(expected.mean(), list(flow.parameters()))
    scale = max(float(w.abs().max()) for w in wanted)
    assert all((a - b).abs().max() < 1e-3 * scale for a, b in zip(found, wanted, strict=True))


def test_central_difference_converges_with_the_square_of_its_step(generator):
    """For x = z c^(a / 2) the error is (sinh(a h) / (a h) - 1) a |z|^2 / 2, by expansion of
    c^-a; CentralDifference(0.02) is then off by 1e-4 |z|^2."""
    density = PowerNormal(a=1.5)
    x, c = drawn(density, 50, generator)
    exact = ExactDerivative()(density, x, c)
    z_square = (x.square() / c**1.5).sum(1)
    for h in (0.1, 0.02):
        found = CentralDifference(h)(density, x, c)
        factor = torch.sinh(torch.tensor(1.5 * h, dtype=torch.float64)) / (1.5 * h) - 1
        expected = factor * 1.5 * z_square / 2
        torch.testing.assert_close(found.slope - exact.slope, expected, rtol=1e-8, atol=1e-12)
        assert (found.slope - exact.slope).abs().max() < 0.6 * h**2 * z_square.max()
        assert (found.log_prob - exact.log_prob).abs().max() < h**2 * z_square.max()


def test_central_difference_in_float32_is_far_below_a_typical_residual(generator):
    """Measured on 2,000 samples of a random flow of four spline layers, whose slopes have a
    standard deviation of 1.5 (a residual before training), with h = 0.02: root mean square error
    0.015, median 7e-5. Where a knot of a spline lies between c e^-h and c e^h, whose share falls
    with h, the error is a share of the jump of the slope there (0.36 at most); elsewhere it is of
    order h^2. Rounding in float32 adds 1.3e-6 / h, at most 1.1e-5 / h."""
    flow = perturbed(make_flow, torch.float64)
    x, c = drawn(flow, 2000, generator)
    exact = ExactDerivative()(flow, x, c).slope.detach()
    fine = {h: CentralDifference(h)(flow, x, c).slope.detach() for h in (0.005, 0.02, 0.08)}
    flow.float()
    error = {h: (slope - exact).abs() for h, slope in fine.items()}
    assert error[0.02].square().mean().sqrt() < 0.02 * exact.std()
    assert error[0.02].median() < 2e-4
    assert error[0.005].median() < 0.2 * error[0.02].median()
    struck = [(error[h] > 1e-2).double().mean() for h in (0.005, 0.02, 0.08)]
    assert struck[0] < struck[1] < struck[2]
    for h, slope in fine.items():
        rough = CentralDifference(h)(flow, x.float(), c.float()).slope.detach()
        rounding = (rough - slope).abs()
        assert rounding.square().mean().sqrt() < 3e-6 / h
        assert rounding.max() < 3e-5 / h


def test_the_slope_of_a_difference_trains(generator):
    density = PowerNormal(a=0.5)
    x, c = drawn(density, 20, generator)
    for derivative in (ExactDerivative(), CentralDifference()):
        slope = derivative(density, x, c).slope
        (gradient,) = torch.autograd.grad(slope.sum(), density.a)
        assert gradient.abs() > 0.1


def test_bad_step():
    with pytest.raises(ValueError, match="step: expected a finite number above 0"):
        CentralDifference(0.0)
