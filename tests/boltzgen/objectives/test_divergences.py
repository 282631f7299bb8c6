"""Forward KL, reverse KL and log-variance on a Gaussian family, whose gradients are known.

For q = N(m, s^2) in two dimensions, s = e^b, against E = |x|^2 / 2 at T = 1:
KL = |m|^2 / 2 + s^2 - 1 - 2 b, with the derivatives 2 m (both coordinates share m) and 2 s^2 - 2.
"""

import math

import pytest
import torch

from boltzgen.objectives import (
    ControlGrid,
    FlowPoints,
    ForwardKL,
    Huber,
    LogUniform,
    LogVariance,
    ReverseKL,
    Squared,
    regularise,
)
from boltzgen.protocols import Batch
from systems.toys import HarmonicWell
from tests.boltzgen.objectives.families import DOUBLE, PowerNormal, Walled, batch, z_score

M, B = 0.4, 0.3
WELL = HarmonicWell(n_dims=2)
AT_ONE = LogUniform(1.0, 1.0)
GRID = ControlGrid(torch.tensor([0.5, 1.0], dtype=DOUBLE), (1,))


def gradients(objective, density, generator, n):
    """Independent draws of the gradient in m and b, shape (n, 2)."""
    draws = []
    for step in range(n):
        loss = objective(density, batch(), step=step, generator=generator).loss
        draws.append(torch.stack(torch.autograd.grad(loss, (density.m, density.b))))
    return torch.stack(draws)


def test_forward_kl_of_the_exact_density_is_the_entropy(generator):
    draws = []
    for _ in range(50):
        x = WELL.sample_exact(0.7, 1000, generator=generator)
        data = Batch(x, torch.full((1000, 1), 0.7, dtype=DOUBLE))
        draws.append(ForwardKL()(PowerNormal(), data, step=0, generator=generator).loss.detach())
    assert abs(z_score(torch.stack(draws), WELL.entropy(0.7))) < 4


def test_forward_kl_uses_the_controls_of_the_batch(generator):
    x = torch.ones(2, 2, dtype=DOUBLE)
    c = torch.tensor([[1.0], [4.0]], dtype=DOUBLE)
    found = ForwardKL()(PowerNormal(), Batch(x, c), step=0, generator=generator)
    by_hand = [1 / T + math.log(T) + math.log(2 * math.pi) for T in (1.0, 4.0)]
    assert found.loss.item() == pytest.approx(sum(by_hand) / 2, rel=1e-14)
    assert torch.equal(found.metrics["nll"], found.loss.detach())


@pytest.mark.parametrize("path_gradient", [True, False])
def test_gradient_of_the_reverse_kl(generator, path_gradient):
    objective = ReverseKL(WELL, AT_ONE, n_samples=64, path_gradient=path_gradient)
    draws = gradients(objective, PowerNormal(m=M, b=B), generator, 500)
    exact = 2 * M, 2 * math.exp(2 * B) - 2
    for k in range(2):
        assert abs(z_score(draws[:, k], exact[k])) < 4
        assert draws[:, k].std() / 500**0.5 < 0.05 * exact[k]


def test_the_path_gradient_is_zero_at_the_optimum(generator):
    """Sample by sample, to rounding; the plain gradient is zero only on average."""
    density = PowerNormal()
    objectives = [ReverseKL(WELL, AT_ONE, n_samples=64, path_gradient=p) for p in (True, False)]
    path, plain = (gradients(o, density, generator, 50) for o in objectives)
    assert path.abs().max() < 1e-13
    assert plain.std(0).min() > 0.01
    assert abs(z_score(plain[:, 1], 0.0)) < 4


def test_value_of_the_reverse_kl_at_the_optimum(generator):
    """log q + E = -log Z for every sample, at every temperature drawn."""
    objective = ReverseKL(WELL, AT_ONE, n_samples=64)
    found = objective(PowerNormal(), batch(), step=0, generator=generator)
    assert found.loss.item() == pytest.approx(-WELL.log_partition(1.0), rel=1e-13)
    wide = ReverseKL(WELL, LogUniform(0.5, 2.0), n_samples=4000)
    found = wide(PowerNormal(), batch(), step=0, generator=generator)
    # log Z is linear in log T and uniform over log(1/4) to log 4, of standard deviation 0.4.
    assert abs(found.loss.item() + WELL.log_partition(1.0)) < 4 * 0.41 / 4000**0.5


@pytest.mark.parametrize("path_gradient", [True, False])
def test_forbidden_samples_have_no_force(generator, path_gradient):
    """The target's own gradient there is NaN; half of the samples are on that side."""
    target = Walled(wall=0.0)
    objective = ReverseKL(target, AT_ONE, n_samples=256, path_gradient=path_gradient)
    found = objective(PowerNormal(), batch(), step=0, generator=generator)
    assert abs(found.metrics["reverse_kl_regularised"].item() - 0.5) < 4 * 0.5 / 16
    assert found.loss.isfinite()
    draws = gradients(objective, PowerNormal(), generator, 3)
    assert draws.isfinite().all()


def test_regularise():
    """Untouched below, logarithmic above, +inf as the ceiling, NaN not hidden."""
    energy = torch.tensor([-5.0, 0.0, 99.0, 100.0, 101.0, 1e30, torch.inf], dtype=DOUBLE)
    energy.requires_grad_()
    regular, touched = regularise(energy, 100.0)
    expected = [-5.0, 0.0, 99.0, 100.0, 100 + math.log(2), 100 + math.log(1e30), 100.0]
    torch.testing.assert_close(regular, torch.tensor(expected, dtype=DOUBLE), rtol=1e-14, atol=0)
    assert torch.equal(regular[:4], energy[:4])
    assert touched.tolist() == [False] * 4 + [True] * 3
    (force,) = torch.autograd.grad(regular.sum(), energy)
    assert force.isfinite().all()
    assert force[:4].tolist() == [1.0] * 4
    assert force[4].item() == pytest.approx(0.5)
    assert force[6].item() == 0
    assert regularise(torch.tensor([torch.nan]), 100.0)[0].isnan()


def log_variance(target=WELL, n_samples=512, penalty=None, grid=GRID):
    points = FlowPoints(grid, n_controls=2, n_samples=n_samples)
    return LogVariance(target, points, penalty=penalty)


def test_gradient_of_the_log_variance_is_that_of_the_reverse_kl(generator):
    """With the squared penalty, averaged over the two temperatures of the grid; the median adds a
    bias of a share of 1 / 512. With m = mean and scale^2 = e^2b T the KL at T has the derivatives
    2 m / T in m and 2 e^2b - 2 in b."""
    draws = gradients(log_variance(penalty=Squared()), PowerNormal(m=M, b=B), generator, 600)
    exact = 2 * M * (1 / 0.5 + 1) / 2, 2 * math.exp(2 * B) - 2
    for k in range(2):
        assert abs(z_score(draws[:, k], exact[k])) < 4
        assert draws[:, k].std() / 600**0.5 < 0.05 * exact[k]


@pytest.mark.parametrize("penalty", [Squared(), Huber()])
def test_the_log_variance_is_zero_at_the_optimum(generator, penalty):
    objective = log_variance(penalty=penalty)
    found = objective(PowerNormal(), batch(), step=0, generator=generator)
    assert found.loss.item() < 1e-25
    assert gradients(objective, PowerNormal(), generator, 3).abs().max() < 1e-12


def test_log_variance_leaves_out_forbidden_samples(generator):
    """The exact density off the wall is flat there, so that the rest deviates by nothing."""
    found = log_variance(Walled(wall=0.0))(PowerNormal(), batch(), step=0, generator=generator)
    assert found.loss.item() < 1e-25
    assert abs(found.metrics["log_variance_forbidden"].item() - 0.5) < 4 * 0.5 / 32
    nowhere = log_variance(Walled(wall=-math.inf))
    density = PowerNormal(m=M)
    found = nowhere(density, batch(), step=0, generator=generator)
    assert found.loss.item() == 0
    assert torch.autograd.grad(found.loss, density.m)[0].item() == 0
    leaking = log_variance(Walled(value=math.nan))
    assert leaking(PowerNormal(), batch(), step=0, generator=generator).loss.isnan()


def test_log_uniform(generator):
    c = LogUniform(0.5, 2.0)(20_000, like=batch().x, generator=generator)
    assert c.shape == (20_000, 1)
    assert bool((c >= 0.5).all() & (c <= 2.0).all())
    level = c.log() / math.log(4) + 0.5
    assert abs(z_score(level, 0.5)) < 4
    assert abs(z_score(level.square(), 1 / 3)) < 4
    for low, high in ((0.0, 1.0), (2.0, 1.0), (1.0, math.nan)):
        with pytest.raises(ValueError, match=r"low|high"):
            LogUniform(low, high)


def test_penalties():
    r = torch.tensor([-3.0, -0.5, 0.0, 0.5, 1.0, 1e30], dtype=DOUBLE)
    torch.testing.assert_close(Squared()(r[:5]), r[:5] ** 2 / 2)
    expected = torch.tensor([2.5, 0.125, 0.0, 0.125, 0.5, 1e30], dtype=DOUBLE)
    torch.testing.assert_close(Huber()(r), expected)
    assert Huber(0.1)(r[:1]).item() == pytest.approx(0.1 * (3 - 0.05))
    with pytest.raises(ValueError, match="delta"):
        Huber(0.0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="n_samples"):
        ReverseKL(WELL, AT_ONE, n_samples=0)
    with pytest.raises(ValueError, match="ceiling"):
        ReverseKL(WELL, AT_ONE, n_samples=1, ceiling=0.0)
    with pytest.raises(ValueError, match="n_samples"):
        log_variance(n_samples=1)
    with pytest.raises(ValueError, match="n_controls"):
        FlowPoints(GRID, n_controls=0, n_samples=2)
