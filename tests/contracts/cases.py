"""One case, at least, for every concrete bijection, density, target and objective.

A class that has none fails `test_coverage.py`. Flows and objectives are in `flow_cases.py` and
`free_form_cases.py`.
"""

import torch
from torch import Generator, Tensor

from systems.capped import CappedTarget
from systems.charts import ChartedTarget, fit_chart
from systems.counting import CountedTarget
from systems.lattices import CanonicalPhi4, ContinuousIsing, HoppingPhi4, Ising, KineticPhi4
from systems.ledger import EnergyLedger
from systems.molecules import OpenMMTarget, TensorTarget, named
from systems.particles import DoubleWellCluster, HarmonicCluster, LennardJonesCluster
from systems.posteriors import (
    SLCP,
    Bridge,
    EightSchools,
    FortyGaussians,
    Funnel,
    GaussianProcess,
    LogisticRegression,
    ManyWellBridge,
    MixtureBridge,
    Parameter,
    Positive,
    Posterior,
    SixGaussians,
    TwoMoons,
)
from systems.toys import (
    DoubleWell2D,
    GaussianMixture,
    HarmonicWell,
    ManyWell,
    MultiWell,
    QuarticWell,
)
from tests.contracts import flow_cases, free_form_cases
from tests.contracts.case import TargetCase

__all__ = ["BIJECTIONS", "DENSITIES", "OBJECTIVES", "TARGETS"]

BIJECTIONS = flow_cases.BIJECTIONS
DENSITIES = flow_cases.DENSITIES | free_form_cases.DENSITIES
OBJECTIVES = flow_cases.OBJECTIVES | free_form_cases.OBJECTIVES

MOLECULE = named("ala2/ff99sbildn-obc2")
KELVIN = (300.0, 600.0)


def rattled(n: int, g: Generator) -> Tensor:
    """Configurations of the molecule near its reference, in nm: (n, n_atoms, 3)."""
    reference = torch.tensor(MOLECULE.positions)
    return reference + 0.003 * torch.randn(n, *reference.shape, generator=g, dtype=torch.float64)


def tetrahedra(n: int, g: Generator) -> Tensor:
    """Four particles about as far apart as a pair likes to be, (n, 4, 3)."""
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double()
    return corners / 8**0.5 + 0.03 * torch.randn(n, 4, 3, generator=g, dtype=torch.float64)


def chart():
    """A chart fitted to rattled configurations."""
    x = rattled(1000, torch.Generator().manual_seed(1))
    return fit_chart(x, bonds=MOLECULE.bonds, elements=MOLECULE.elements)


def charted(n: int, g: Generator) -> Tensor:
    """Rattled configurations in the coordinates of the chart."""
    return chart().to_internal(rattled(n, g))[0]


def amortised():
    """A mean and a width from one observed number."""
    return Posterior(
        lambda values, y: -((y[:, 0] - values["mean"]) ** 2) - values["width"],
        lambda values: -(values["mean"] ** 2) - values["width"],
        [Parameter("mean"), Parameter("width", support=Positive())],
        observed=("y",),
    )


def regression():
    """Logistic regression of the parity of 12 numbers."""
    x = torch.linspace(-1, 1, 12, dtype=torch.float64)
    return LogisticRegression(torch.stack([x, x**2], 1), torch.arange(12) % 2)


def gaussian_process():
    """Gaussian-process regression of a sine in one of two inputs."""
    x = torch.linspace(-1, 1, 12, dtype=torch.float64)
    return GaussianProcess(torch.stack([x, x**2], 1), (3 * x).sin())


TARGETS: dict[str, TargetCase] = {
    "HarmonicWell": TargetCase(lambda: HarmonicWell(n_dims=3, stiffness=2.0)),
    "DoubleWell2D": TargetCase(DoubleWell2D),
    "DoubleWell2D, tilted": TargetCase(lambda: DoubleWell2D(QuarticWell(a=0.5, b=-2.0, c=0.8))),
    "MultiWell": TargetCase(MultiWell),
    "ManyWell": TargetCase(lambda: ManyWell(n_dims=8)),
    "GaussianMixture": TargetCase(GaussianMixture),
    "HarmonicCluster": TargetCase(lambda: HarmonicCluster(3, 2)),
    "DoubleWellCluster": TargetCase(DoubleWellCluster, tolerance=1e-5),
    "LennardJonesCluster": TargetCase(
        lambda: LennardJonesCluster(4), tetrahedra, step=1e-6, tolerance=1e-4
    ),
    "OpenMMTarget": TargetCase(lambda: OpenMMTarget(MOLECULE), rattled, KELVIN, tolerance=1e-4),
    "TensorTarget": TargetCase(lambda: TensorTarget(MOLECULE), rattled, KELVIN, tolerance=1e-4),
    "HoppingPhi4, one control": TargetCase(lambda: HoppingPhi4((4, 3), {"lambda": 0.02})),
    "HoppingPhi4, three dimensions": TargetCase(lambda: HoppingPhi4((2, 3, 4))),
    "KineticPhi4": TargetCase(lambda: KineticPhi4((4, 4))),
    "CanonicalPhi4": TargetCase(lambda: CanonicalPhi4((5,))),
    "Ising": TargetCase(lambda: Ising((4, 4))),
    "Ising, three controls": TargetCase(lambda: Ising((3, 4), {})),
    "ContinuousIsing": TargetCase(lambda: ContinuousIsing((4, 4))),
    "ContinuousIsing, three controls": TargetCase(lambda: ContinuousIsing((3, 4), {})),
    "Posterior": TargetCase(amortised),
    "Posterior, one observation": TargetCase(lambda: amortised().observe([0.7])),
    "Bridge": TargetCase(
        lambda: Bridge(lambda x: -x.abs().sum(1), [Parameter("x", (3,))], width=2.0)
    ),
    "TwoMoons": TargetCase(TwoMoons),
    "Funnel": TargetCase(Funnel),
    "MixtureBridge": TargetCase(lambda: MixtureBridge(GaussianMixture(), width=3.0)),
    "FortyGaussians": TargetCase(FortyGaussians),
    "SixGaussians": TargetCase(SixGaussians),
    "ManyWellBridge": TargetCase(ManyWellBridge),
    "EightSchools, centred": TargetCase(EightSchools),
    "EightSchools, not centred": TargetCase(lambda: EightSchools(centred=False)),
    "LogisticRegression": TargetCase(regression),
    "GaussianProcess": TargetCase(gaussian_process),
    "SLCP": TargetCase(SLCP),
    "CountedTarget": TargetCase(lambda: CountedTarget(DoubleWell2D(), EnergyLedger())),
    "CappedTarget": TargetCase(lambda: CappedTarget(DoubleWell2D(), 2.0, scale=1.0)),
    "ChartedTarget": TargetCase(
        lambda: ChartedTarget(OpenMMTarget(MOLECULE), chart()), charted, KELVIN, tolerance=1e-4
    ),
}
