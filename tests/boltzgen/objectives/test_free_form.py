"""The likelihood of free-form flows: gradients against determinants, known optima."""

import math

import pytest
import torch
from torch import nn

from boltzgen.estimators import effective_sample_size
from boltzgen.flows import CentredNormal, LogRatio, StandardNormal
from boltzgen.flows.free_form import FreeFormFlow, ResidualField
from boltzgen.objectives import (
    ControlPoints,
    ExactDerivative,
    FreeFormControlGradient,
    FreeFormLikelihood,
    LogUniform,
    Ramp,
    Reconstruction,
    Term,
    Weighted,
    control_slopes,
    free_form_surrogate,
)
from boltzgen.protocols import Batch
from boltzgen.random import seeded
from boltzgen.training import RandomBatches, TrainConfig, Trainer
from systems.particles import HarmonicCluster
from systems.toys import HarmonicWell
from tests.boltzgen.flows.test_free_form import field_flow

F64 = torch.float64


class Bent(nn.Module):
    """(A + c B) x, with a sine of the first component in the last: triangular, one-to-one."""

    def __init__(self, generator):
        super().__init__()
        normal = torch.randn(2, 3, 3, generator=generator, dtype=F64)
        self.a = nn.Parameter(torch.eye(3, dtype=F64) + 0.3 * normal[0])
        self.b = nn.Parameter(0.3 * normal[1])
        self.bend = nn.Parameter(torch.tensor(0.7, dtype=F64))

    def forward(self, x, c):
        last = x[:, 2] + self.bend * c[:, 0] * x[:, 0].sin()
        straight = torch.cat([x[:, :2], last[:, None]], 1)
        return (self.matrix(c) @ straight[..., None])[..., 0]

    def matrix(self, c):
        return self.a + c[:, :, None] * self.b


class Unbent(nn.Module):
    """The inverse of a `Bent`, by the same parameters without gradient."""

    def __init__(self, other):
        super().__init__()
        self.other = [other]

    def forward(self, z, c):
        (other,) = self.other
        straight = torch.linalg.solve(other.matrix(c).detach(), z[..., None])[..., 0]
        last = straight[:, 2] - other.bend.detach() * c[:, 0] * straight[:, 0].sin()
        return torch.cat([straight[:, :2], last[:, None]], 1)


class Encoded(nn.Module):
    """The encoder's density, for `ExactDerivative`."""

    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def log_prob(self, x, c):
        return self.flow.encoded(x, c)[1]


@pytest.fixture
def inverse_pair(generator):
    encoder = Bent(generator)
    flow = FreeFormFlow(encoder, Unbent(encoder), StandardNormal((3,), 1))
    x = torch.randn(7, 3, generator=generator, dtype=F64)
    return flow, x, 0.5 + torch.rand(7, 1, generator=generator, dtype=F64)


def gradient(value, flow):
    found = torch.autograd.grad(value, list(flow.encoder.parameters()), retain_graph=True)
    return torch.cat([one.flatten() for one in found])


def test_all_probes_give_the_gradient_of_the_determinant(inverse_pair, generator):
    flow, x, c = inverse_pair
    found = free_form_surrogate(flow, x, c, n_probes=3, generator=generator)
    exact = flow.encoded(x, c)[1] - flow.base.log_prob(found.z, c)
    torch.testing.assert_close(
        gradient(found.log_volume.sum(), flow), gradient(exact.sum(), flow), rtol=0, atol=1e-8
    )
    torch.testing.assert_close(found.back, x)


def test_one_probe_gives_it_on_average(inverse_pair, generator):
    flow, x, c = inverse_pair
    x, c = x[:1].repeat(500, 1), c[:1].repeat(500, 1)
    draws = torch.stack(
        [
            gradient(
                free_form_surrogate(flow, x, c, n_probes=1, generator=generator).log_volume.mean(),
                flow,
            )
            for _ in range(60)
        ]
    )
    exact = gradient(flow.encoded(x[:1], c[:1])[1].sum(), flow) - gradient(
        flow.base.log_prob(flow.encode(x[:1], c[:1]), c[:1]).sum(), flow
    )
    error = draws.std(0) / math.sqrt(len(draws))
    assert (error > 0).all()
    assert ((draws.mean(0) - exact).abs() / error).max() < 4


def test_the_decoder_learns_from_the_reconstruction_alone(generator):
    flow = field_flow(generator)
    batch = Batch(torch.randn(20, 3, generator=generator, dtype=F64), torch.ones(20, 1, dtype=F64))
    stream = torch.Generator()
    found = []
    for weight in (1.0, 2.0):
        objective = FreeFormLikelihood(Reconstruction(weight))
        loss = objective(flow, batch, step=0, generator=stream.manual_seed(1)).loss
        found.append(torch.autograd.grad(loss, list(flow.decoder.parameters())))
    for once, twice in zip(*found, strict=True):
        torch.testing.assert_close(2 * once, twice)


def log_weights_of(flow, target, temperature, generator):
    """Of 2,000 samples at a temperature."""
    c = torch.full((2000, 1), temperature, dtype=F64)
    with torch.no_grad():
        draws, log_q = flow.sample_and_log_prob(c, generator=generator)
    return (-target.energy(draws, temperature) - log_q).numpy()


class Linear(nn.Module):
    def __init__(self, generator):
        super().__init__()
        start = torch.eye(3, dtype=F64) + 0.1 * torch.randn(3, 3, generator=generator, dtype=F64)
        self.matrix = nn.Parameter(start)

    def forward(self, x, c):
        return x @ self.matrix.mT


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_a_linear_problem_ends_at_the_entropy_for_any_weight(weight, generator):
    flow = FreeFormFlow(Linear(generator), Linear(generator), StandardNormal((3,), 0))
    width = torch.tensor([1.0, 2.0, 3.0], dtype=F64)
    draws = torch.randn(64, 3, generator=generator, dtype=F64)
    factor = torch.linalg.cholesky(draws.mT @ draws / len(draws))
    x = torch.linalg.solve_triangular(factor, draws.mT, upper=False).mT * width
    batch = Batch(x, x.new_zeros(len(x), 0))
    objective = FreeFormLikelihood(Reconstruction(weight), n_probes=3)
    adam = torch.optim.Adam(flow.parameters())
    for step in range(3000):
        adam.param_groups[0]["lr"] = 0.05 * math.exp(-6 * step / 3000)
        adam.zero_grad()
        objective(flow, batch, step=step, generator=generator).loss.backward()
        adam.step()
    with torch.no_grad():
        nll = -flow.log_prob(batch.x, batch.c).mean().item()
    assert nll == pytest.approx(1.5 * math.log(2 * math.pi * math.e) + math.log(6), abs=1e-4)
    matrix = flow.encoder.matrix.detach()
    covariance = matrix @ torch.diag(width**2) @ matrix.mT
    torch.testing.assert_close(covariance, torch.eye(3, dtype=F64), rtol=0, atol=1e-3)


def test_slopes_in_the_control_are_exact_with_all_probes(inverse_pair, generator):
    flow, x, c = inverse_pair
    for offset in (0.0, 0.4):
        exact = ExactDerivative(offset=offset)(Encoded(flow), x, c).slope
        both = control_slopes(flow, x, c, n_probes=3, generator=generator, offset=offset)
        for slope in both:
            torch.testing.assert_close(slope, exact)
        torch.testing.assert_close(
            gradient((both[0] * both[1]).sum(), flow), gradient(exact.square().sum(), flow)
        )


def test_the_product_of_two_estimates_has_no_bias(inverse_pair, generator):
    flow, x, c = inverse_pair
    x, c = x[:1].repeat(20_000, 1), c[:1].repeat(20_000, 1)
    exact = ExactDerivative()(Encoded(flow), x[:1], c[:1]).slope
    first, second = control_slopes(flow, x, c, n_probes=1, generator=generator)
    product = (first * second).detach()
    error = product.std() / math.sqrt(len(product))
    assert abs(product.mean() - exact.square()) < 4 * error
    alone = first.detach().square()
    assert alone.mean() - exact.square() > 4 * alone.std() / math.sqrt(len(alone))


class Scaled(nn.Module):
    """sqrt(c)^power x: for power 1 and -1 the exact flow of a harmonic well and its inverse."""

    def __init__(self, power, factor=1.0):
        super().__init__()
        self.power = power
        self.factor = nn.Parameter(torch.tensor(factor, dtype=F64))

    def forward(self, x, c):
        width = c ** (0.5 * self.power * self.factor)
        return x * width.reshape(-1, *[1] * (x.dim() - 1))


def trade(n_samples=8):
    points = ControlPoints(LogUniform(0.5, 2.0), n_controls=64, n_samples=n_samples)
    return FreeFormControlGradient(HarmonicWell(n_dims=2), points, n_probes=2)


def test_trade_is_zero_at_the_answer(generator):
    flow = FreeFormFlow(Scaled(-1), Scaled(1), StandardNormal((2,), 1))
    batch = Batch(torch.zeros(1, 2, dtype=F64), torch.ones(1, 1, dtype=F64))
    found = trade()(flow, batch, step=0, generator=generator)
    assert abs(found.metrics["trade"].item()) < 1e-20


def test_trade_is_zero_at_the_answer_for_particles_too(generator):
    """Probes and samples are centred; the scaling is exact there."""
    flow = FreeFormFlow(Scaled(-1), Scaled(1), CentredNormal(3, 2, 1))
    points = ControlPoints(LogUniform(0.5, 2.0), n_controls=16, n_samples=8)
    objective = FreeFormControlGradient(HarmonicCluster(3, 2), points)
    batch = Batch(torch.zeros(1, 3, 2, dtype=F64), torch.ones(1, 1, dtype=F64))
    found = objective(flow, batch, step=0, generator=generator).metrics
    assert abs(found["trade"].item()) < 1e-20
    assert found["trade_reconstruction"].item() < 1e-20


def test_trade_carries_both_networks_to_other_temperatures(generator):
    """Maximum likelihood at T = 1 alone leaves the other temperatures as random as weights are."""
    well, encoding = HarmonicWell(n_dims=2, stiffness=4.0), LogRatio(torch.ones(1))
    with seeded(generator):
        networks = [ResidualField(2, encoding, n_hidden=16, n_blocks=1) for _ in range(2)]
    flow = FreeFormFlow(*networks, StandardNormal((2,), 1))
    x = well.sample_exact(1.0, 4000, generator=generator).float()
    points = ControlPoints(LogUniform(0.5, 2.0), n_controls=8, n_samples=8)
    learn = Reconstruction(30.0)
    carry = FreeFormControlGradient(well, points, learn)
    terms = [
        Term("likelihood", FreeFormLikelihood(learn)),
        Term("trade", carry, 1.0, Ramp(100, 50)),
    ]
    trainer = Trainer(
        flow, Weighted(terms), RandomBatches(x, torch.ones(len(x), 1), batch_size=128),
        TrainConfig(n_steps=600, learning_rate=5e-3), generator=generator,
    )  # fmt: skip
    for _ in trainer:
        pass
    flow.double()
    for temperature in (0.5, 1.0, 2.0):
        log_w = log_weights_of(flow, well, temperature, generator)
        assert effective_sample_size(log_w) > 0.85 * len(log_w)


def test_trade_is_the_variance_of_the_residual_elsewhere(generator):
    """With sqrt(c)^a the residual is -(1 - a) x^2 / 2 c, x^2 / c of mean D and variance 2 D."""
    share, n_samples = 0.4, 8
    flow = FreeFormFlow(Scaled(-1, share), Scaled(1, share), StandardNormal((2,), 1))
    batch = Batch(torch.zeros(1, 2, dtype=F64), torch.ones(1, 1, dtype=F64))
    objective = trade(n_samples)
    draws = torch.stack(
        [objective(flow, batch, step=0, generator=generator).metrics["trade"] for _ in range(400)]
    )
    # Samples have x^2 = c^a z^2, and d log q / d log c = a (x^2 / c^a - D) / 2.
    levels = torch.linspace(math.log(0.5), math.log(2.0), 2001, dtype=F64)
    lever = 0.5 * (share - ((share - 1) * levels).exp())
    variance = torch.trapezoid(lever**2 * 4, levels) / (levels[-1] - levels[0])
    expected = 0.5 * variance * (n_samples - 1) / n_samples
    error = draws.std() / math.sqrt(len(draws))
    assert abs(draws.mean() - expected) < 4 * error
    assert expected > 20 * error


def test_other_densities_are_refused(generator):
    batch = Batch(torch.zeros(2, 2), torch.ones(2, 1))
    with pytest.raises(TypeError, match="expected a free-form flow, got StandardNormal"):
        FreeFormLikelihood()(StandardNormal((2,), 1), batch, step=0, generator=generator)


def test_the_schedule_goes_geometrically_to_one():
    schedule = Reconstruction(8.0, start=0.01, length=10)
    assert [schedule.share(step) for step in (0, 5, 10, 99)] == pytest.approx([0.01, 0.1, 1, 1])
    with pytest.raises(ValueError, match="latent"):
        Reconstruction(1.0, latent=-1.0)
