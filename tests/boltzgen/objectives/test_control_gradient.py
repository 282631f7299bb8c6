import math

import pytest
import torch

from boltzgen.objectives import (
    CausalSampler,
    ControlGradient,
    ControlGrid,
    ExactDerivative,
    ExpectationTable,
    Squared,
    log_spaced_grid,
)
from systems.toys import HarmonicWell
from tests.boltzgen.objectives.families import DOUBLE, PowerNormal, Walled, batch, z_score

VALUES = torch.tensor([0.25, 0.5, 1.0, 2.0], dtype=DOUBLE)


def trade(target=None, *, exact_table=True, noise=0.0, n_points=256, reach=0):
    """TRADE of a harmonic well in two dimensions, E[dE/dc] = -1 / c put into its table."""
    grid = ControlGrid(VALUES, (2,))
    table = ExpectationTable(grid, n_samples=200, every=10**6 if exact_table else 20)
    if exact_table:
        table.mean_slope.copy_(-1 / VALUES)
        table.n_refreshes += 1
    return ControlGradient(
        target or HarmonicWell(n_dims=2),
        sampler=CausalSampler(grid),
        table=table,
        n_points=n_points,
        penalty=Squared(),
        reach=reach,
        noise=noise,
    )


def residual_rms(density, generator, **options):
    result = trade(**options)(density, batch(), step=1, generator=generator)
    return result.metrics["trade_rms"].item()


def test_the_residual_of_the_gaussian_family_is_zero_iff_the_power_is_one(generator):
    """Spec (h) 1: x = z c^(a / 2) has r = a (z^2 - d) / 2 - (c^(a - 1) z^2 - d) / 2, which is
    compared point by point; the values of c keep it from vanishing by chance."""
    assert residual_rms(PowerNormal(a=1.0), generator) < 1e-6
    for a in (0.9, 0.99, 1.01, 1.5):
        assert residual_rms(PowerNormal(a=a), generator) > 0.3 * abs(a - 1)
    density, objective = PowerNormal(a=1.3), trade(n_points=1000)
    stream = generator.get_state()
    loss = objective(density, batch(), step=1, generator=generator).loss
    generator.set_state(stream)
    c = VALUES[trade().sampler.draw(1000, generator=generator)][:, None]
    z = torch.randn(1000, 2, generator=generator, dtype=DOUBLE).square().sum(1)
    residual = 1.3 * (z - 2) / 2 - (c[:, 0] ** 0.3 * z - 2) / 2
    assert loss.item() == pytest.approx(0.5 * residual.square().mean().item(), rel=1e-10)


@pytest.mark.parametrize("start", [0.4, 1.8])
def test_training_the_power_alone_converges_to_one(generator, start):
    """With a table that is estimated along the way."""
    density, objective = PowerNormal(a=start), trade(exact_table=False)
    optimizer = torch.optim.Adam([density.a], lr=0.05)
    for step in range(150):
        optimizer.zero_grad()
        objective(density, batch(), step=step, generator=generator).loss.backward()
        optimizer.step()
        if step == 75:
            optimizer.param_groups[0]["lr"] = 0.005
    assert density.a.item() == pytest.approx(1, abs=0.02)
    table = ExpectationTable(objective.grid, n_samples=200)
    table.refresh(density, objective.target, like=batch().x, generator=generator)
    expected = [HarmonicWell(n_dims=2).log_partition(T) for T in VALUES.tolist()]
    torch.testing.assert_close(table.log_z, torch.tensor(expected, dtype=DOUBLE), rtol=0, atol=0.02)


def test_only_the_first_term_is_trained(generator):
    """The gradient is that of the slope with the wanted value held: r d slope / da, averaged."""
    density, objective = PowerNormal(a=1.3), trade()
    stream = generator.get_state()
    result = objective(density, batch(), step=1, generator=generator)
    (found,) = torch.autograd.grad(result.loss, density.a)
    generator.set_state(stream)
    objective = trade()
    index = objective.sampler.draw(256, generator=generator)
    c = VALUES[index][:, None]
    x = density.sample(c, generator=generator).detach()
    slope = ExactDerivative()(density, x, c).slope
    wanted = -1 + x.square().sum(1) / (2 * c[:, 0])
    (expected,) = torch.autograd.grad(0.5 * (slope - wanted).square().mean(), density.a)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)


def test_noise_widens_the_points_but_not_the_residual_of_the_truth(generator):
    """The noise is that of the first boundary times sqrt(c / c0): points have variance
    (1 + noise^2) c, to 4 standard errors of 1 / sqrt(n); r is zero wherever it is evaluated."""
    assert residual_rms(PowerNormal(), generator, noise=0.5) < 1e-6
    objective = trade(noise=0.5)
    for k in range(4):
        index = torch.full((20_000,), k)
        x, c = objective._points(PowerNormal(), index, like=batch().x, generator=generator)
        ratio = x.square().mean() / (1.25 * c.mean())
        assert abs(ratio.item() - 1) < 4 / math.sqrt(20_000)


def test_reach_draws_the_points_nearer_to_the_boundary(generator):
    """The boundary is c = 1: from 0.25 a reach of one draws at 0.25 or 0.5, from 2 at 2 or 1; so
    the mean of |x|^2 / 2 is the mean of the two. r is zero wherever it is evaluated."""
    assert residual_rms(PowerNormal(), generator, reach=2) < 1e-6
    objective = trade(reach=1)
    for k, variance in enumerate((0.375, 0.75, 1.0, 1.5)):
        index = torch.full((20_000,), k)
        x, c = objective._points(PowerNormal(), index, like=batch().x, generator=generator)
        assert bool((c == VALUES[k]).all())
        assert abs(z_score(x.square().mean(1), variance)) < 4


def test_forbidden_points_are_left_out_and_counted(generator):
    """Half of the plane is forbidden; the residual of the rest is what it was."""
    objective = trade(Walled(wall=0.0))
    density = PowerNormal(a=1.2)
    result = objective(density, batch(), step=1, generator=generator)
    result.loss.backward()
    assert density.a.grad.isfinite()
    assert result.loss.isfinite()
    assert abs(result.metrics["trade_forbidden"].item() - 0.5) < 4 * 0.5 / 16
    assert bool((objective.sampler.losses > 0).all())


def test_all_forbidden_is_a_loss_of_zero_and_no_estimate(generator):
    objective = trade(Walled(wall=-math.inf), exact_table=False)
    density = PowerNormal(a=1.2)
    result = objective(density, batch(), step=0, generator=generator)
    result.loss.backward()
    assert result.loss.item() == 0
    assert result.metrics["trade_forbidden"].item() == 1
    assert density.a.grad.item() == 0
    assert objective.table.mean_slope.isnan().all()
    assert torch.equal(objective.sampler.losses, torch.zeros(4, dtype=DOUBLE))


def test_grid_points_without_an_estimate_are_left_out(generator):
    objective = trade()
    objective.table.mean_slope[1] = torch.nan
    result = objective(PowerNormal(), batch(), step=1, generator=generator)
    assert result.loss.item() < 1e-12
    assert 0 < result.metrics["trade_forbidden"].item() < 1


def test_a_target_that_leaks_nan_shows(generator):
    objective = trade(Walled(value=math.nan))
    assert objective(PowerNormal(), batch(), step=1, generator=generator).loss.isnan()


def test_the_sampler_learns_where_the_residual_is(generator):
    """E[r^2] / 2 at every c, with |z|^2 of mean 2 and variance 4: to 20 %, five times the error of
    the mean over some 5,000 points."""
    objective = trade(n_points=20_000)
    objective(PowerNormal(a=1.5), batch(), step=1, generator=generator)
    steep = 1.5 - VALUES**0.5
    expected = (steep.square() + (steep - 0.5).square()) / 2
    torch.testing.assert_close(objective.sampler.losses, expected, rtol=0.2, atol=0)


class TwoControls(HarmonicWell):
    control_names = ("temperature", "pressure")


def test_bad_arguments():
    grid, other = log_spaced_grid(1.0, 2.0, 4, 1.0), log_spaced_grid(1.0, 2.0, 4, 2.0)
    table = ExpectationTable(grid, n_samples=2)
    good = {"sampler": CausalSampler(grid), "table": table, "n_points": 4}
    with pytest.raises(ValueError, match="target: expected one control"):
        ControlGradient(TwoControls(), **good)
    with pytest.raises(ValueError, match="sampler: expected the table's grid of 4 points"):
        ControlGradient(HarmonicWell(), **(good | {"sampler": CausalSampler(other)}))
    with pytest.raises(ValueError, match="noise: expected a number of at least 0"):
        ControlGradient(HarmonicWell(), noise=-1.0, **good)
    for name, value in {"n_points": 0, "reach": -1}.items():
        with pytest.raises(ValueError, match=name):
            ControlGradient(HarmonicWell(), **(good | {name: value}))
