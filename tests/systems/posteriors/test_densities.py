import math

import pytest
import torch
from scipy import stats

from systems.posteriors import (
    half_cauchy_log_density,
    lognormal_log_density,
    normal_log_density,
)
from systems.posteriors.densities import positive_part

POSITIVE = {
    "lognormal": (
        lambda x: lognormal_log_density(x, 0.3, 0.7),
        stats.lognorm(0.7, 0, math.exp(0.3)),
    ),
    "half-Cauchy": (lambda x: half_cauchy_log_density(x, 5.0), stats.halfcauchy(0, 5.0)),
}


@pytest.mark.parametrize(("log_density", "expected"), POSITIVE.values(), ids=POSITIVE)
def test_densities_of_positive_numbers(log_density, expected):
    x = torch.logspace(-6, 6, 200, dtype=torch.float64)
    torch.testing.assert_close(log_density(x), torch.from_numpy(expected.logpdf(x.numpy())))


def test_the_normal_density_takes_a_mean_for_each_number(generator):
    x, mean = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    expected = torch.from_numpy(stats.norm(mean.numpy(), 2.5).logpdf(x.numpy()))
    torch.testing.assert_close(normal_log_density(x, mean, 2.5), expected)


@pytest.mark.parametrize(("log_density", "expected"), POSITIVE.values(), ids=POSITIVE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_they_are_zero_and_nowhere_is_a_slope_not_finite(log_density, expected, dtype):
    tiny = torch.finfo(dtype).tiny
    x = torch.tensor([-1.0, 0.0, tiny / 4, math.inf, math.nan, 2e6 * tiny, 1e30], dtype=dtype)
    x.requires_grad_()
    found = log_density(x)
    assert found[:5].tolist() == [-math.inf] * 5
    assert bool(found[5:].isfinite().all())
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert bool(slope.isfinite().all())


def test_the_positive_part_has_a_reciprocal():
    x = torch.tensor([0.0, 1e-40, 1e-30, math.inf, math.nan])
    inside, usable = positive_part(x)
    assert inside.tolist() == [False, False, True, False, False]
    assert bool(usable.reciprocal().isfinite().all())
