"""Every model's gradient in x, far out and in both precisions."""

import pytest
import torch

from systems.posteriors import (
    SLCP,
    EightSchools,
    FortyGaussians,
    Funnel,
    GaussianProcess,
    LogisticRegression,
    ManyWellBridge,
    SixGaussians,
    TwoMoons,
)

F64 = torch.float64


def lines():
    return torch.linspace(-2, 2, 20, dtype=F64)


MODELS = {
    "two moons": TwoMoons,
    "funnel": Funnel,
    "forty Gaussians": FortyGaussians,
    "six Gaussians": SixGaussians,
    "many well": ManyWellBridge,
    "eight schools, centred": EightSchools,
    "eight schools, not centred": lambda: EightSchools(centred=False),
    "regression": lambda: LogisticRegression(lines()[:, None] ** 2, lines() > 0.3),
    "Gaussian process": lambda: GaussianProcess(lines(), lines().sin() + 0.1 * (9 * lines()).cos()),
    "SLCP": SLCP,
}


def inputs(target, n, reach, generator):
    x = reach * (2 * torch.rand(n, *target.event_shape, generator=generator, dtype=F64) - 1)
    c = torch.rand(n, len(target.control_names), generator=generator, dtype=F64)
    return x, c


def gradient(target, x, c):
    x = x.clone().requires_grad_()
    energy = target.energy(x, c)
    (found,) = torch.autograd.grad(energy.sum(), x)
    return energy.detach(), found


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_far_out_gradients_are_finite_and_the_same_in_both_precisions(make, generator):
    target = make()
    x, c = inputs(target, 500, 8.0, generator)
    x[:100] = 8 * x[:100].sign()
    energy, found = gradient(target, x.float().double(), c.float().double())
    single_energy, single = gradient(target, x.float(), c.float())
    assert single.dtype == torch.float32
    finite = energy.isfinite()
    assert torch.equal(single_energy.isfinite(), finite)
    assert bool(finite.any())
    assert bool(found.isfinite().all())
    assert bool(single.isfinite().all())
    scale = 1 + found[finite].norm(dim=1, keepdim=True)
    assert bool(((single[finite] - found[finite]).abs() < 2e-3 * scale).all())


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_gradients_are_those_of_differences(make, generator):
    target = make()
    x, c = inputs(target, 50, 2.0, generator)
    energy, found = gradient(target, x, c)
    step = 1e-6 * torch.randn(x.shape, generator=generator, dtype=F64)
    difference = (target.energy(x + step, c) - target.energy(x - step, c)) / 2
    along = (found * step).sum(1)
    finite = energy.isfinite() & difference.isfinite()
    assert bool(finite.any())
    excess = (along - difference).abs()[finite] - 1e-5 * found[finite].norm(dim=1) * 1e-6
    assert bool((excess < 1e-13 * (1 + energy[finite].abs())).all())
