"""Reverse KL of free-form flows: the gradient of the decoder's determinant, and training by it."""

import pytest
import torch

from boltzgen.estimators import effective_sample_size, log_evidence
from boltzgen.flows import CentredNormal, LogRatio, StandardNormal
from boltzgen.flows.free_form import EquivariantGraph, FreeFormFlow, ResidualField
from boltzgen.objectives import (
    FreeFormLikelihood,
    FreeFormReverseKL,
    LogUniform,
    Reconstruction,
    ReverseKL,
    Term,
    Weighted,
)
from boltzgen.objectives.free_form_reverse import decoder_surrogate
from boltzgen.protocols import Batch
from boltzgen.random import seeded
from boltzgen.training import RandomBatches, TrainConfig, Trainer
from systems.particles import HarmonicCluster, LennardJonesCluster
from systems.toys import HarmonicWell
from tests.boltzgen.objectives.test_free_form import F64, Bent, Unbent, log_weights_of


@pytest.fixture
def flow(generator):
    decoder = Bent(generator)
    return FreeFormFlow(Unbent(decoder), decoder, StandardNormal((3,), 1))


def of_decoder(value, flow):
    found = torch.autograd.grad(value, list(flow.decoder.parameters()), retain_graph=True)
    return torch.cat([one.flatten() for one in found])


def exact_volume(flow, z, c):
    rows = [
        torch.func.jacrev(lambda at, row=row: flow.decode(at[None], c[row : row + 1])[0])(z[row])
        for row in range(len(z))
    ]
    return torch.linalg.slogdet(torch.stack(rows))[1]


def test_all_probes_give_the_gradient_of_the_decoders_determinant(flow, generator):
    z = torch.randn(7, 3, generator=generator, dtype=F64)
    c = 0.5 + torch.rand(7, 1, generator=generator, dtype=F64)
    found = decoder_surrogate(flow, z, c, n_probes=3, generator=generator)
    torch.testing.assert_close(found.x, flow.decode(z, c))
    torch.testing.assert_close(found.back, z)
    exact = of_decoder(exact_volume(flow, z, c).sum(), flow)
    assert exact.abs().max() > 0.1
    torch.testing.assert_close(of_decoder(found.log_volume.sum(), flow), exact, rtol=0, atol=1e-8)


def test_one_probe_gives_it_on_average(flow, generator):
    z = torch.randn(1, 3, generator=generator, dtype=F64).repeat(500, 1)
    c = torch.ones(500, 1, dtype=F64)
    draws = torch.stack([
        of_decoder(
            decoder_surrogate(flow, z, c, n_probes=1, generator=generator).log_volume.mean(), flow
        )
        for _ in range(60)
    ])  # fmt: skip
    exact = of_decoder(exact_volume(flow, z[:1], c[:1]).sum(), flow)
    error = draws.std(0) / len(draws) ** 0.5
    assert (error > 0).all()
    assert ((draws.mean(0) - exact).abs() / error).max() < 4


def test_its_gradient_is_that_of_the_exact_reverse_kl(flow, generator):
    """The same latents, all probes and a perfect encoder: the reconstruction adds nothing."""
    well, controls = HarmonicWell(n_dims=3), LogUniform(0.5, 2.0)
    batch = Batch(torch.zeros(1, 3, dtype=F64), torch.ones(1, 1, dtype=F64))
    n = 40_000
    ours = FreeFormReverseKL(well, controls, Reconstruction(1e-9), n_samples=n, n_probes=3)
    exact = ReverseKL(well, controls, n_samples=n, path_gradient=False)
    first = of_decoder(ours(flow, batch, step=0, generator=generator).loss, flow)
    second = of_decoder(exact(flow, batch, step=0, generator=generator).loss, flow)
    torch.testing.assert_close(first, second, rtol=0.1, atol=0.1)


def test_it_trains_from_the_energy_alone(generator):
    well, encoding = HarmonicWell(n_dims=2, stiffness=4.0), LogRatio(torch.ones(1))
    with seeded(generator):
        networks = [ResidualField(2, encoding, n_hidden=32, n_blocks=1) for _ in range(2)]
    flow = FreeFormFlow(*networks, StandardNormal((2,), 1))
    objective = FreeFormReverseKL(well, LogUniform(0.5, 2.0), Reconstruction(30.0), n_samples=256)
    trainer = Trainer(
        flow, objective, RandomBatches(torch.zeros(8, 2), torch.ones(8, 1), batch_size=8),
        TrainConfig(n_steps=1000, learning_rate=5e-3), generator=generator,
    )  # fmt: skip
    records = list(trainer)
    assert records[-1].metrics["reverse_reconstruction"] < 0.02
    flow.double()
    for temperature in (0.5, 1.0, 2.0):
        log_w = log_weights_of(flow, well, temperature, generator)
        assert effective_sample_size(log_w) > 0.85 * len(log_w)


def test_a_graph_flow_becomes_the_gaussian_that_it_learns(generator):
    """Likelihood at T = 1 and reverse KL elsewhere: ESS/N near 1, log Z the exact one."""
    cluster, seen = HarmonicCluster(3, 2, oscillator=2.0), LogRatio(torch.ones(1))
    with seeded(generator):
        encoder, decoder = (EquivariantGraph(3, 2, seen, n_hidden=16, n_layers=1) for _ in range(2))
    flow = FreeFormFlow(encoder, decoder, CentredNormal(3, 2, 1))
    x = cluster.sample_exact(1.0, 4000, generator=generator).float()
    inverse = Reconstruction(30.0)
    terms = [
        Term("likelihood", FreeFormLikelihood(inverse)),
        Term("reverse", FreeFormReverseKL(
            cluster, LogUniform(0.5, 2.0), inverse, n_samples=64
        )),
    ]  # fmt: skip
    trainer = Trainer(
        flow, Weighted(terms), RandomBatches(x, torch.ones(len(x), 1), batch_size=128),
        TrainConfig(n_steps=700, learning_rate=1e-2), generator=generator,
    )  # fmt: skip
    for _ in trainer:
        pass
    flow.double()
    for temperature in (0.5, 1.0, 2.0):
        log_w = log_weights_of(flow, cluster, temperature, generator)
        assert effective_sample_size(log_w) > 0.95 * len(log_w)
        found = log_evidence(log_w)
        assert abs(found.value - cluster.log_partition(temperature)) < 4 * found.error


def test_atoms_on_top_of_each_other_have_no_force_and_are_counted(generator):
    cluster = LennardJonesCluster(2, 1)
    flow = FreeFormFlow(Still(), Still(), StandardNormal((2, 1), 1))
    batch = Batch(torch.zeros(1, 2, 1, dtype=F64), torch.ones(1, 1, dtype=F64))
    objective = FreeFormReverseKL(cluster, LogUniform(0.5, 2.0), n_samples=4)
    found = objective(flow, batch, step=0, generator=generator)
    assert found.metrics["reverse_kl_regularised"] == 1
    found.loss.backward()
    assert flow.decoder.weight.grad.isfinite()


class Still(torch.nn.Module):
    """Everything at 0, nearly."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.0, dtype=F64))

    def forward(self, x, c):
        return self.weight * x


def test_a_flow_that_is_not_free_form_is_an_error(generator):
    objective = FreeFormReverseKL(HarmonicWell(n_dims=2), LogUniform(0.5, 2.0), n_samples=4)
    batch = Batch(torch.zeros(1, 2), torch.ones(1, 1))
    with pytest.raises(TypeError, match="density: expected a free-form flow, got StandardNormal"):
        objective(StandardNormal((2,), 1), batch, step=0, generator=generator)
