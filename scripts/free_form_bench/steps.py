"""What a training step of a free-form flow costs, beside an autoencoder's, and over D and K."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from boltzgen.flows import CentredNormal, LogRatio, StandardNormal
from boltzgen.flows.free_form import EquivariantGraph, FreeFormFlow, ResidualField
from boltzgen.objectives import FreeFormLikelihood, Reconstruction
from boltzgen.protocols import Batch
from boltzgen.random import seeded

_WEIGHT = 100.0
DENSITY = "samples with density"


def graph_flow(n_particles: int, n_dims: int, *, n_hidden: int, n_layers: int) -> FreeFormFlow:
    """Graph networks on particles."""
    seen = LogRatio(torch.ones(1))
    with seeded(Generator().manual_seed(0)):
        encoder, decoder = (
            EquivariantGraph(n_particles, n_dims, seen, n_hidden=n_hidden, n_layers=n_layers)
            for _ in range(2)
        )
    return FreeFormFlow(encoder, decoder, CentredNormal(n_particles, n_dims, 1))


def dense_flow(n_features: int, *, n_hidden: int, n_blocks: int) -> FreeFormFlow:
    """Dense networks on numbers."""
    seen = LogRatio(torch.ones(1))
    with seeded(Generator().manual_seed(0)):
        encoder, decoder = (
            ResidualField(n_features, seen, n_hidden=n_hidden, n_blocks=n_blocks) for _ in range(2)
        )
    return FreeFormFlow(encoder, decoder, StandardNormal((n_features,), 1))


def batch_for(flow: FreeFormFlow, n: int, *, generator: Generator) -> Batch:
    """Draws of the base as data, float32."""
    c = torch.ones(n, 1)
    return Batch(flow.base.sample(c, generator=generator), c)


def autoencoder_step(flow: FreeFormFlow, batch: Batch) -> None:
    """Forward and backward pass of |x - g(f(x))|^2 + |f(x)|^2 / 2."""
    flow.zero_grad(set_to_none=True)
    z = flow.encode(batch.x, batch.c)
    gap: Tensor = (batch.x - flow.decode(z, batch.c)).square().flatten(1).sum(1).mean()
    (_WEIGHT * gap + 0.5 * z.square().flatten(1).sum(1).mean()).backward()


def free_form_step(
    flow: FreeFormFlow, batch: Batch, n_probes: int, *, generator: Generator
) -> None:
    """Forward and backward pass of the likelihood with K probes and the reconstruction."""
    flow.zero_grad(set_to_none=True)
    objective = FreeFormLikelihood(Reconstruction(_WEIGHT), n_probes=n_probes)
    objective(flow, batch, step=0, generator=generator).loss.backward()


@torch.no_grad()
def density_pass(flow: FreeFormFlow, batch: Batch, *, generator: Generator) -> None:
    """Samples with their exact log-density."""
    flow.sample_and_log_prob(batch.c, generator=generator)


def step_passes(
    flow: FreeFormFlow, batch: Batch, probes: tuple[int, ...], *, generator: Generator
) -> dict[str, Callable[[], None]]:
    """Passes to time, by name: the autoencoder, the flow with each number of probes, samples."""
    steps = {
        f"K = {k}": partial(free_form_step, flow, batch, k, generator=generator) for k in probes
    }
    return {
        "autoencoder": partial(autoencoder_step, flow, batch),
        **steps,
        DENSITY: partial(density_pass, flow, batch, generator=generator),
    }
