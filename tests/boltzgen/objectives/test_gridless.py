"""TRADE without a table: zero where the slope is right, whatever E[A] and other controls are."""

import pytest
import torch
from torch import nn

from boltzgen.base import Density
from boltzgen.objectives import (
    CentralDifference,
    ControlPoints,
    ExactDerivative,
    FlowPoints,
    GridlessControlGradient,
    LogUniform,
    Squared,
    WithContexts,
    log_spaced_grid,
)
from boltzgen.protocols import Batch
from systems.posteriors import Parameter, Posterior
from systems.toys import HarmonicWell
from tests.boltzgen.objectives.families import DOUBLE, PowerNormal, Walled, batch, z_score


def points(n_controls=64, n_samples=8, **options):
    return ControlPoints(
        LogUniform(0.25, 2.0), n_controls=n_controls, n_samples=n_samples, **options
    )


def gridless(target=None, source=None, **options):
    return GridlessControlGradient(
        target or HarmonicWell(n_dims=2), source or points(), penalty=Squared(), **options
    )


def rms(density, generator, **options):
    result = gridless(**options)(density, batch(), step=1, generator=generator)
    return result.metrics["trade_rms"].item()


@pytest.mark.parametrize("derivative", [None, CentralDifference()])
def test_it_is_zero_iff_the_slope_is_right(derivative, generator):
    """The central difference is off by h^2 / 6 of the third derivative, c (z^2 / 2) here."""
    limit = 1e-6 if derivative is None else 1e-3
    assert rms(PowerNormal(a=1.0), generator, derivative=derivative) < limit
    for a in (0.9, 1.1):
        assert rms(PowerNormal(a=a), generator, derivative=derivative) > 0.03


def test_the_expected_loss_is_the_variance_up_to_one_in_n(generator):
    """At one control r = (a - c^(a - 1)) |z|^2 / 2 + const, of variance (a - c^(a - 1))^2 d / 2."""
    a, c, n = 1.4, 2.0, 4
    source = ControlPoints(LogUniform(c, c), n_controls=1, n_samples=n)
    objective = gridless(source=source)
    losses = torch.stack(
        [
            objective(PowerNormal(a=a), batch(), step=1, generator=generator).loss.detach()
            for _ in range(4000)
        ]
    )
    variance = (a - c ** (a - 1)) ** 2
    assert abs(z_score(losses, 0.5 * variance * (n - 1) / n)) < 4


def test_training_finds_the_power(generator):
    density = PowerNormal(a=0.4)
    optimizer = torch.optim.Adam([density.a], lr=0.05)
    objective = gridless()
    for step in range(300):
        optimizer.zero_grad()
        objective(density, batch(), step=step, generator=generator).loss.backward()
        optimizer.step()
    assert density.a.item() == pytest.approx(1.0, abs=0.01)


def test_points_of_a_grid_serve_as_well(generator):
    grid = log_spaced_grid(0.25, 2.0, 5, 1.0)
    source = FlowPoints(grid, n_controls=32, n_samples=8)
    assert rms(PowerNormal(), generator, source=source) < 1e-6


def test_forbidden_points_are_left_out_and_counted(generator):
    result = gridless(Walled(wall=0.5))(PowerNormal(), batch(), step=1, generator=generator)
    share = result.metrics["trade_forbidden"].item()
    assert 0.2 < share < 0.5
    assert result.metrics["trade_rms"].item() < 1e-6


def test_a_target_that_leaks_nan_shows(generator):
    result = gridless(Walled(value=float("nan")))(
        PowerNormal(), batch(), step=1, generator=generator
    )
    assert result.loss.isnan()


class Shrunk(Density):
    """The posterior of a normal mean given y, prior and noise of width 1, at a power beta.

    Precision 1 + beta, mean beta y / (1 + beta), and a parameter that spoils the slope in beta.
    """

    def __init__(self, wrong=0.0):
        super().__init__((1,), 2)
        self.wrong = nn.Parameter(torch.tensor(wrong, dtype=DOUBLE))

    def _place(self, c):
        beta, y = c[:, :1], c[:, 1:]
        return beta * y / (1 + beta) + self.wrong * beta.log() * y, (1 + beta).rsqrt()

    def _log_prob(self, x, c):
        mean, width = self._place(c)
        return (-0.5 * ((x - mean) / width) ** 2 - width.log()).sum(1)

    def _sample_and_log_prob(self, c, generator):
        mean, width = self._place(c)
        z = torch.randn(len(c), 1, generator=generator, dtype=c.dtype)
        return mean + width * z, self._log_prob(mean + width * z, c)


def shrunk_target():
    return Posterior(
        lambda v, y: -0.5 * (y[:, 0] - v["mean"]) ** 2, lambda v: -0.5 * v["mean"] ** 2,
        [Parameter("mean")], observed=["y"],
    )  # fmt: skip


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_other_controls_only_go_along(offset, generator):
    """Every observation has its own E[A]; none of them has to be known."""
    y = 2 * torch.randn(500, 1, generator=generator, dtype=DOUBLE)
    controls = WithContexts(LogUniform(0.2, 3.0, offset=offset), y)
    source = ControlPoints(
        controls, n_controls=50, n_samples=4, boundary=1.0, reach=0.7, offset=offset
    )
    data = Batch(torch.zeros(1, 1, dtype=DOUBLE), torch.ones(1, 2, dtype=DOUBLE))
    for wrong, low, high in ((0.0, 0.0, 1e-10), (0.1, 0.01, 10.0)):
        objective = GridlessControlGradient(
            shrunk_target(), source, derivative=ExactDerivative(offset=offset), penalty=Squared()
        )
        found = objective(Shrunk(wrong), data, step=1, generator=generator).metrics["trade_rms"]
        assert low <= found.item() <= high


def test_it_needs_two_points_to_a_control(generator):
    def lonely(density, given, *, generator):
        c = torch.tensor([[1.0], [2.0]], dtype=DOUBLE)
        return density.sample(c, generator=generator), c

    with pytest.raises(ValueError, match="at least two points to a control"):
        gridless(source=lonely)(PowerNormal(), batch(), step=1, generator=generator)
