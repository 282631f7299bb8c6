"""Log-variance divergence: on samples of the flow, log w should be the same for all."""

import torch
from torch import Generator, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least
from boltzgen.objectives.grid import ControlGrid
from boltzgen.objectives.penalties import Huber, Penalty
from boltzgen.protocols import Batch, LossTerms, Target


class LogVariance(nn.Module):
    """Spread of log w = -E(x, c) - log q(x | c) about its median over samples x ~ q(.|c).

    With `Squared` as penalty its gradient is, on average and up to a share of 1 / n_samples, that
    of the reverse KL; it needs energies but no forces and nothing is differentiated through the
    sampling. Like the reverse KL it does not find modes that q has lost. Each step uses
    `n_controls` grid points with `n_samples` each. Samples of energy +inf are left out of the mean
    (share: metric `log_variance_forbidden`).

    Args:
        target: The target, with one control.
        grid: Where to look; drawn uniformly.
        n_controls: Grid points a step.
        n_samples: Samples of each.
        penalty: Of the deviation from the median; a Huber penalty bounds the pull of the tail.

    References:
        Richter, Boustati, Nuesken, Ruiz and Akyildiz, VarGrad (2020), arXiv:2010.10436.
    """

    def __init__(
        self,
        target: Target,
        grid: ControlGrid,
        *,
        n_controls: int,
        n_samples: int,
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        check_at_least("n_controls", n_controls, 1)
        check_at_least("n_samples", n_samples, 2)
        self.target, self.grid = target, grid
        self.n_controls, self.n_samples = n_controls, n_samples
        self.penalty = penalty or Huber()

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Mean penalty of log w about its median at each control."""
        values = self.grid.values.to(dtype=batch.x.dtype, device=batch.x.device)
        index = torch.randint(len(values), (self.n_controls,), generator=generator)
        c = values[index.to(values.device)].repeat_interleave(self.n_samples)[:, None]
        with torch.no_grad():
            x = density.sample(c, generator=generator)
            energy = self.target.energy(x, c)
        log_q = density.log_prob(x, c)
        allowed = energy != torch.inf
        log_w = torch.where(allowed, -energy, 0.0) - log_q
        rows = log_w.detach().masked_fill(~allowed, torch.nan).reshape(self.n_controls, -1)
        middle = rows.nanmedian(1).values.nan_to_num(0.0).repeat_interleave(self.n_samples)
        deviation = torch.where(allowed, log_w - middle, 0.0)
        count = allowed.sum().clamp_min(1)
        metrics = {
            "log_w_rms": (deviation.detach().square().sum() / count).sqrt(),
            "log_variance_forbidden": 1 - allowed.to(x.dtype).mean(),
        }
        return LossTerms(self.penalty(deviation).sum() / count, metrics)
