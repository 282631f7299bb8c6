"""The free-form flow of a molecule, beside the coupling flow of `pipeline.model`."""

import torch
from torch import Tensor

from boltzgen.flows import LogRatio, ScaledBase
from boltzgen.flows.free_form import AngleCut, FreeFormFlow, ResidualField, Rolled, Unrolled
from boltzgen.objectives import (
    FreeFormLikelihood,
    FreeFormReverseKL,
    LogUniform,
    Ramp,
    Reconstruction,
    Term,
    Weighted,
)
from boltzgen.protocols import Target
from pipeline.settings import FreeFormConfig, RunConfig
from systems.charts import InternalChart, thinnest_cut


def build_free_form(
    chart: InternalChart, config: FreeFormConfig, *, high: float, z: Tensor | None = None
) -> FreeFormFlow:
    """Build the flow of a chart; call it inside `seeded`.

    Args:
        chart: The chart.
        config: Settings.
        high: Temperature of the data, at which latents have unit variance; it grows with T.
        z: Data by which angles are cut where they are seldom, (N, D); None where the cuts will be
            read from a file.
    """
    periodic = chart.periodic.cpu()
    where = torch.zeros(len(periodic))
    if z is not None:
        for column in periodic.nonzero()[:, 0].tolist():
            where[column] = thinnest_cut(z[:, column].double().cpu().numpy())
    cut, seen = AngleCut(periodic, where), LogRatio(torch.tensor([high]))
    encoder, decoder = (
        ResidualField(len(periodic), seen, n_hidden=config.n_hidden, n_blocks=config.n_blocks)
        for _ in range(2)
    )
    base = ScaledBase(torch.zeros_like(periodic), torch.tensor([high]))
    return FreeFormFlow(Unrolled(encoder, cut), Rolled(decoder, cut), base, canonical=cut)


def free_form_objective(config: RunConfig, own: FreeFormConfig, target: Target) -> Weighted:
    """Maximum likelihood at the top temperature, backward KL over the range."""
    n_steps = config.train.n_steps
    inverse = Reconstruction(own.reconstruction, start=own.start, length=n_steps // 2)
    reverse = FreeFormReverseKL(
        target, LogUniform(config.low, config.high), inverse, n_samples=own.n_carried,
        ceiling=own.ceiling,
    )  # fmt: skip
    return Weighted([
        Term("likelihood", FreeFormLikelihood(inverse)),
        Term("backward_kl", reverse, own.carry_weight, Ramp(n_steps // 3, n_steps // 6)),
    ])  # fmt: skip
