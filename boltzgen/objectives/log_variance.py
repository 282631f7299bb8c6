"""Log-variance divergence: log w should be the same at all points of one control."""

import torch
from torch import Generator, nn

from boltzgen.base import Density
from boltzgen.objectives.groups import deviations_from_medians
from boltzgen.objectives.penalties import Huber, Penalty
from boltzgen.objectives.points import PointSource
from boltzgen.protocols import Batch, LossTerms, Target


class LogVariance(nn.Module):
    """Spread of log w = -E(x, c) - log q(x | c) about its median over points of one control.

    It is zero at q = p wherever the points lie, and needs energies but no forces; nothing is
    differentiated through the sampling. On samples of the flow at their own control, with `Squared`
    as penalty, its gradient is on average and up to a share of 1 / n_samples that of the reverse
    KL, and like the reverse KL it does not find modes that q has lost. On data (`DataPoints`) or on
    samples from nearer to the data (`FlowPoints(reach=...)`, best the ones of largest w among them,
    `MissingPoints`) it does; and unlike forward KL it does not learn the data by heart, since what
    it asks of each frame is the frame's energy. Points of energy +inf are left out of the mean
    (share: metric `log_variance_forbidden`); the metrics are of the points it is given.

    Args:
        target: The target.
        points: Where to look; at least two points to a control.
        penalty: Of the deviation from the median; a Huber penalty bounds the pull of the tail.
        name: Prefix of the metrics, for use of more than one in a sum.

    References:
        Richter, Boustati, Nuesken, Ruiz and Akyildiz, VarGrad (2020), arXiv:2010.10436.
    """

    def __init__(
        self,
        target: Target,
        points: PointSource,
        *,
        penalty: Penalty | None = None,
        name: str = "log_variance",
    ) -> None:
        super().__init__()
        self.target, self.points = target, points
        self.penalty = penalty or Huber()
        self.name = name

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Mean penalty of log w about its median at each control."""
        x, c = self.points(density, batch, generator=generator)
        with torch.no_grad():
            energy = self.target.energy(x, c)
        log_q = density.log_prob(x, c)
        allowed = energy != torch.inf
        log_w = torch.where(allowed, -energy, 0.0) - log_q
        deviation = deviations_from_medians(log_w, allowed, c)
        count = allowed.sum().clamp_min(1)
        metrics = {
            f"{self.name}_rms": (deviation.detach().square().sum() / count).sqrt(),
            f"{self.name}_forbidden": 1 - allowed.to(x.dtype).mean(),
        }
        return LossTerms(self.penalty(deviation).sum() / count, metrics)
