"""Free-form flows and their objectives for the contract tests."""

import math

import torch
from torch import Tensor

from boltzgen.flows import CentredNormal, LogRatio, ScaledBase, StandardNormal
from boltzgen.flows.free_form import (
    AngleCut,
    EquivariantGraph,
    FreeFormFlow,
    ResidualField,
    Rolled,
    Unrolled,
)
from boltzgen.objectives import (
    ControlPoints,
    FreeFormControlGradient,
    FreeFormLikelihood,
    FreeFormReverseKL,
    LogUniform,
    Reconstruction,
)
from systems.toys import DoubleWell2D
from tests.contracts.case import DensityCase, ObjectiveCase
from tests.contracts.flow_cases import well_batch

TEMPERATURE = LogRatio(torch.ones(1))


def of_numbers() -> FreeFormFlow:
    networks = [ResidualField(2, TEMPERATURE, n_hidden=16, n_blocks=1) for _ in range(2)]
    return FreeFormFlow(*networks, StandardNormal((2,), 1))


def of_angles() -> FreeFormFlow:
    """A number and an angle, which is cut at pi: there the density goes to 0."""
    cut = AngleCut(torch.tensor([False, True]), torch.tensor([0.0, math.pi]))
    encoder, decoder = (ResidualField(2, TEMPERATURE, n_hidden=16, n_blocks=1) for _ in range(2))
    base = ScaledBase(torch.zeros(2, dtype=torch.bool), torch.ones(1))
    return FreeFormFlow(Unrolled(encoder, cut), Rolled(decoder, cut), base, canonical=cut)


def of_particles() -> FreeFormFlow:
    networks = [EquivariantGraph(3, 2, TEMPERATURE, n_hidden=8, n_layers=2) for _ in range(2)]
    return FreeFormFlow(*networks, CentredNormal(3, 2, 1))


def likelihood() -> FreeFormLikelihood:
    return FreeFormLikelihood(Reconstruction(10.0, 1.0, start=0.1, length=5))


def trade() -> FreeFormControlGradient:
    points = ControlPoints(LogUniform(0.5, 1.0), n_controls=4, n_samples=4)
    return FreeFormControlGradient(DoubleWell2D(), points)


def reverse() -> FreeFormReverseKL:
    return FreeFormReverseKL(DoubleWell2D(), LogUniform(0.5, 1.0), n_samples=16, n_probes=2)


def jacobi(x: Tensor) -> Tensor:
    """Coordinates of three centred particles in the plane: (n, 3, 2) -> (n, 4)."""
    pair = (x[:, 0] - x[:, 1]) / math.sqrt(2)
    third = (x[:, 0] + x[:, 1] - 2 * x[:, 2]) / math.sqrt(6)
    return torch.cat([pair, third], 1)


DENSITIES = {
    "CentredNormal": DensityCase(lambda: CentredNormal(3, 2, 1), coordinates=jacobi),
    "FreeFormFlow, numbers": DensityCase(of_numbers, aside=("encoder",)),
    "FreeFormFlow, angles": DensityCase(of_angles, aside=("encoder",)),
    "FreeFormFlow, particles": DensityCase(of_particles, coordinates=jacobi, aside=("encoder",)),
}

OBJECTIVES = {
    "FreeFormLikelihood": ObjectiveCase(likelihood, of_numbers, well_batch),
    "FreeFormReverseKL": ObjectiveCase(reverse, of_numbers, well_batch),
    "FreeFormControlGradient": ObjectiveCase(trade, of_numbers, well_batch),
}
