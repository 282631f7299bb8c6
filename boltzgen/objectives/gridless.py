"""TRADE without a grid and a table: for several controls, and for every observation at once.

References:
    Wahl, Rousselot, Draxler, Schopmans and Koethe, TRADE (2024), arXiv:2410.19492.
"""

import torch
from torch import Generator, nn

from boltzgen.base import Density
from boltzgen.objectives.derivatives import ControlDerivative, ExactDerivative
from boltzgen.objectives.groups import deviations_from_means
from boltzgen.objectives.penalties import Huber, Penalty
from boltzgen.objectives.points import PointSource
from boltzgen.objectives.slopes import energy_and_first_slope
from boltzgen.protocols import Batch, LossTerms, Target


class GridlessControlGradient(nn.Module):
    """Spread of d log q(x | c) / d log c + c A(x, c) over points x of one c, A = dE/dc.

    For p ~ exp(-E) that sum is c E_p[A], the same at all x; conversely, where it does not depend on
    x, its value is fixed by the normalisation of q, so that q is p at every c once it is at a
    boundary (the first control is meant; the others, such as an observation, only go along). So no
    table of E_p[A] is needed, which an observation would have one of its own of; its place takes
    the mean over the points of the same c, of which there must be several. With `Squared` as
    penalty the expected loss is the variance times (G - 1) / G for G points, without bias from the
    noise of the mean. Points of infinite energy or slope are left out (share: metric
    `trade_forbidden`).

    Args:
        target: The target; its first control is the one along which q is carried.
        points: Where to look; at least two points to a control.
        derivative: How to differentiate log q; its offset is added to c.
        penalty: Of the deviation from the mean.
    """

    def __init__(
        self,
        target: Target,
        points: PointSource,
        *,
        derivative: ControlDerivative | None = None,
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        if not target.control_names:
            raise ValueError("target: expected at least one control, got none")
        self.target, self.points = target, points
        self.derivative = derivative or ExactDerivative()
        self.penalty = penalty or Huber()

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Mean penalty of the deviations at fresh points."""
        x, c = self.points(density, batch, generator=generator)
        with torch.no_grad():
            energy, slope = energy_and_first_slope(self.target, x, c)
        allowed = (energy != torch.inf) & ~slope.isinf()
        wanted = torch.where(allowed, (c[:, 0] + self.derivative.offset) * slope, 0.0)
        known = self.derivative(density, x, c)
        deviation = deviations_from_means(known.slope + wanted, allowed, c)
        count = allowed.sum().clamp_min(1)
        loss = self.penalty(deviation).sum() / count
        metrics = {
            "trade": loss.detach(),
            "trade_rms": (deviation.detach().square().sum() / count).sqrt(),
            "trade_forbidden": 1 - allowed.to(x.dtype).mean(),
        }
        return LossTerms(loss, metrics)
