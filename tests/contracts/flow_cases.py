"""Flows and objectives for the contract tests: small, conditional, with numbers and angles."""

import math

import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.flows import (
    AffineTransform,
    Chain,
    CircularSplineTransform,
    Coupling,
    Flow,
    Joined,
    LogRatio,
    Part,
    ScaledBase,
    SplineTransform,
    Standardised,
    StandardNormal,
    VectorLayout,
    VolumePreservingTransform,
    Whitening,
    conditional_flow,
    coupling_flow,
)
from boltzgen.flows.lattice import (
    CheckerboardCoupling,
    ControlEmbedding,
    LatticeLayout,
    ParityNetwork,
    ParityTransform,
    SinhArcsinh,
    SpectralScaling,
    SymmetricModeBase,
    TanhStep,
    TranslationAverage,
    lattice_flow,
)
from boltzgen.objectives import (
    CausalSampler,
    ControlGradient,
    ControlPoints,
    ExpectationTable,
    FlowPoints,
    ForwardKL,
    GradientBalance,
    GridlessControlGradient,
    LogUniform,
    LogVariance,
    Ramp,
    ReverseKL,
    Term,
    Weighted,
    log_spaced_grid,
)
from boltzgen.protocols import Batch
from systems.toys import DoubleWell2D
from tests.contracts.case import BijectionCase, DensityCase, ObjectiveCase

TURN = 2 * math.pi
PLAIN = VectorLayout(torch.zeros(4, dtype=torch.bool), torch.ones(4), LogRatio(torch.ones(1)))
# Two numbers, an angle and a folded angle.
MIXED = VectorLayout(
    torch.tensor([False, False, True, True]),
    torch.tensor([1.0, 1.0, 1.0, 3.0]),
    LogRatio(torch.ones(1)),
)
PERIOD = torch.tensor([math.inf, math.inf, TURN, TURN], dtype=torch.float64)
UNCONDITIONAL = VectorLayout(
    torch.zeros(2, dtype=torch.bool), torch.ones(2), LogRatio(torch.ones(0))
)
SIZE = {"n_hidden": 16, "n_blocks": 1}


def draw_mixed(n: int, g: Generator) -> Tensor:
    """Two normal numbers, some beyond the spline's domain, and two angles in [-pi, pi)."""
    numbers = 3 * torch.randn(n, 2, generator=g, dtype=torch.float64)
    angles = TURN * (torch.rand(n, 2, generator=g, dtype=torch.float64) - 0.5)
    return torch.cat([numbers, angles], 1)


def affine(layout: VectorLayout = PLAIN) -> Coupling:
    return Coupling(layout, [Part((0,), AffineTransform())], **SIZE)


def mixed() -> Coupling:
    parts = [Part((1,), SplineTransform(n_bins=4)), Part((3,), CircularSplineTransform(n_bins=4))]
    return Coupling(MIXED, parts, **SIZE)


def other_half() -> Coupling:
    parts = [Part((0,), SplineTransform(n_bins=4)), Part((2,), CircularSplineTransform(n_bins=4))]
    return Coupling(MIXED, parts, **SIZE)


def volume_preserving() -> Coupling:
    return Coupling(PLAIN, [Part((1, 3), VolumePreservingTransform())], **SIZE)


def recipe() -> Flow:
    layers = [SplineTransform(n_bins=4), SplineTransform(n_bins=4), AffineTransform()]
    return coupling_flow(MIXED, layers, n_bins=4, **SIZE)


def embedding(n_controls: int = 1) -> ControlEmbedding:
    return ControlEmbedding([0.5] * n_controls, [2.0] * n_controls, n_features=8)


def checkerboard(
    shape: tuple[int, ...] = (4, 2), n_controls: int = 1, transform: ParityTransform | None = None
) -> CheckerboardCoupling:
    kind = transform or SinhArcsinh()
    network = ParityNetwork(
        len(shape), embedding(n_controls), n_even=kind.n_even, n_odd=kind.n_odd, n_channels=4
    )
    return CheckerboardCoupling(shape, network, kind, unchanged=1)


def small_lattice_flow() -> Flow:
    return lattice_flow(LatticeLayout((4, 2), [0.5], [2.0]), n_couplings=2, n_channels=4)


def whitening() -> Whitening:
    factor = torch.tensor([[1.5, 0.0], [-0.4, 0.3]], dtype=torch.float64)
    return Whitening(torch.tensor([0.3, -2.0], dtype=torch.float64), factor, 1)


BIJECTIONS = {
    "Coupling, affine": BijectionCase(affine),
    "Coupling, no control": BijectionCase(lambda: affine(UNCONDITIONAL)),
    "Coupling, volume preserving": BijectionCase(volume_preserving),
    "Coupling, splines": BijectionCase(mixed, draw_mixed, period=PERIOD),
    "Chain": BijectionCase(lambda: Chain([mixed(), other_half()]), draw_mixed, period=PERIOD),
    "CheckerboardCoupling": BijectionCase(checkerboard),
    "CheckerboardCoupling, one dimension": BijectionCase(lambda: checkerboard((6,))),
    "CheckerboardCoupling, three dimensions": BijectionCase(lambda: checkerboard((2, 2, 4))),
    "CheckerboardCoupling, two controls": BijectionCase(lambda: checkerboard((4, 2), 2)),
    "CheckerboardCoupling, step": BijectionCase(lambda: checkerboard(transform=TanhStep())),
    "Whitening": BijectionCase(whitening),
    "SpectralScaling": BijectionCase(lambda: SpectralScaling((4, 3), embedding())),
    "SpectralScaling, one dimension": BijectionCase(lambda: SpectralScaling((5,), embedding())),
}


def encoding() -> Joined:
    """Of a power that may be 0 and of an observation that has any sign."""
    seen = Standardised(torch.tensor([0.5]), torch.tensor([2.0]))
    return Joined([LogRatio(torch.ones(1), offset=0.1), seen])


def conditional() -> Flow:
    fixed = Whitening(torch.tensor([0.3, -2.0]), torch.tensor([[1.5, 0.0], [-0.4, 0.3]]), 2)
    wide = SplineTransform(n_bins=6, half_width=8.0)
    return conditional_flow(
        fixed, encoding(), [SplineTransform(n_bins=4)] * 2, marginal=wide, **SIZE
    )  # fmt: skip


DENSITIES = {
    "StandardNormal": DensityCase(lambda: StandardNormal((3, 2), 2)),
    "Flow, conditional": DensityCase(conditional, controls=(0.0, 2.0)),
    "SymmetricModeBase": DensityCase(lambda: SymmetricModeBase((3, 2), embedding())),
    "TranslationAverage": DensityCase(lambda: TranslationAverage(small_lattice_flow())),
    "Flow, lattice": DensityCase(small_lattice_flow),
    "ScaledBase": DensityCase(lambda: ScaledBase(MIXED.periodic, MIXED.controls.reference)),
    "ScaledBase, no control": DensityCase(
        lambda: ScaledBase(UNCONDITIONAL.periodic, UNCONDITIONAL.controls.reference)
    ),
    "Flow, affine": DensityCase(lambda: Flow(affine(), ScaledBase(PLAIN.periodic, torch.ones(1)))),
    "Flow, recipe": DensityCase(recipe),
}


def well_flow() -> Flow:
    layout = VectorLayout(torch.zeros(2, dtype=torch.bool), torch.ones(2), LogRatio(torch.ones(1)))
    return coupling_flow(layout, [SplineTransform(n_bins=4)] * 2, **SIZE)


def well_batch(density: Density, n: int, g: Generator) -> Batch:
    return Batch(DoubleWell2D().sample_exact(1.0, n, generator=g), torch.ones(n, 1).double())


def trade() -> ControlGradient:
    grid = log_spaced_grid(0.5, 1.0, 4, 1.0)
    return ControlGradient(
        DoubleWell2D(),
        sampler=CausalSampler(grid, strength=1.0),
        table=ExpectationTable(grid, n_samples=16, every=1),
        n_points=16,
        noise=0.01,
    )


def weighted() -> Weighted:
    terms = [Term("nll", ForwardKL()), Term("trade", trade(), 0.5, Ramp(start=0, length=4))]
    return Weighted(terms, GradientBalance(2, every=1))


def reverse_kl() -> ReverseKL:
    return ReverseKL(DoubleWell2D(), LogUniform(0.5, 1.0), n_samples=16)


def log_variance() -> LogVariance:
    grid = log_spaced_grid(0.5, 1.0, 4, 1.0)
    return LogVariance(DoubleWell2D(), FlowPoints(grid, n_controls=2, n_samples=16, reach=1))


def gridless() -> GridlessControlGradient:
    points = ControlPoints(
        LogUniform(0.5, 1.0), n_controls=4, n_samples=4, boundary=1.0, reach=0.5
    )  # fmt: skip
    return GridlessControlGradient(DoubleWell2D(), points)


OBJECTIVES = {
    name: ObjectiveCase(make, well_flow, well_batch)
    for name, make in {
        "ForwardKL": ForwardKL,
        "ReverseKL": reverse_kl,
        "ControlGradient": trade,
        "GridlessControlGradient": gridless,
        "LogVariance": log_variance,
        "Weighted": weighted,
    }.items()
}
