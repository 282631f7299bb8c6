"""A running table of E_p(x|c)[dE/dc] and log Z(c) on a grid, by importance sampling from the flow.

References:
    Wahl et al., TRADE (2024), arXiv:2410.19492, section 3.
"""

import math

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.errors import NonFiniteError
from boltzgen.objectives.grid import ControlGrid
from boltzgen.objectives.slopes import energy_and_first_slope
from boltzgen.protocols import Target


class ExpectationTable(nn.Module):
    """Self-normalised importance estimates at every grid point, averaged over refreshes.

    With x_j ~ q(.|c) and log w_j = -E(x_j, c) - log q(x_j | c),
    log Z(c) = log mean_j w_j and E_p[A] = sum_j w_j A_j / sum_j w_j, A = dE/dc.
    The running value keeps a share `memory` of the old at each refresh, less while it is young, so
    that the first refreshes are a plain average. A grid point where all samples have energy +inf
    keeps its value; where it has none yet, that is NaN.

    Beside them stand `spread`, the variance of A under p, which peaks at a transition, and `noise`,
    sum_j w_j^2 / (sum_j w_j)^2 of a refresh and of the running mean accordingly: about the variance
    of the mean of a number of variance 1.

    Args:
        grid: The grid of the control.
        n_samples: Samples for each grid point and refresh.
        memory: Largest share of the old value kept, in [0, 1).
        every: Steps between refreshes.
    """

    mean_slope: Tensor
    log_z: Tensor
    spread: Tensor
    noise: Tensor
    n_refreshes: Tensor

    def __init__(
        self, grid: ControlGrid, *, n_samples: int, memory: float = 0.8, every: int = 100
    ) -> None:
        super().__init__()
        if n_samples < 2 or every < 1 or not 0 <= memory < 1:
            raise ValueError(
                "n_samples, every, memory: expected n_samples >= 2, every >= 1, 0 <= memory < 1, "
                f"got {n_samples}, {every}, {memory}"
            )
        self.grid, self.n_samples, self.memory, self.every = grid, n_samples, memory, every
        zeros = torch.zeros(len(grid), dtype=torch.float64)
        self.register_buffer("mean_slope", zeros.clone())
        self.register_buffer("log_z", zeros.clone())
        self.register_buffer("spread", zeros.clone())
        self.register_buffer("noise", zeros.clone())
        self.register_buffer("n_refreshes", torch.zeros((), dtype=torch.long))

    def due(self, step: int) -> bool:
        """Whether the table is empty or it is time to refresh it."""
        return int(self.n_refreshes) == 0 or step % self.every == 0

    @torch.no_grad()
    def refresh(
        self, density: Density, target: Target, *, like: Tensor, generator: Generator
    ) -> None:
        """Sample every grid point and update the running values.

        Args:
            density: The flow.
            target: The target.
            like: A tensor of the dtype and on the device of the flow.
            generator: The random stream.

        Raises:
            NonFiniteError: An energy or log-density is NaN, or an energy is -inf.
        """
        values = self.grid.values.to(dtype=like.dtype, device=like.device)
        c = values.repeat_interleave(self.n_samples)[:, None]
        x, log_q = density.sample_and_log_prob(c, generator=generator)
        energy, slope = energy_and_first_slope(target, x, c)
        log_w = (-energy.double() - log_q.double()).cpu().reshape(len(self.grid), self.n_samples)
        if bool((log_w.isnan() | (log_w == torch.inf)).any()):
            raise NonFiniteError("table: a log-weight of the flow's samples is NaN or +inf")
        slopes = slope.double().cpu().reshape(log_w.shape)
        log_z = log_w.logsumexp(1) - math.log(self.n_samples)
        weights = log_w.softmax(1)
        mean_slope = torch.where(weights > 0, weights * slopes, 0.0).sum(1)
        away = torch.where(weights > 0, slopes - mean_slope[:, None], 0.0).square()
        usable, age = log_z.isfinite(), int(self.n_refreshes)
        share = min(self.memory, age / (age + 1))
        _blend(self.mean_slope, mean_slope, usable, (share, 1 - share), age)
        _blend(self.log_z, log_z, usable, (share, 1 - share), age)
        _blend(self.spread, (weights * away).sum(1), usable, (share, 1 - share), age)
        squares = (share**2, (1 - share) ** 2)
        _blend(self.noise, weights.square().sum(1), usable, squares, age)
        self.n_refreshes += 1

    def worth(self) -> Tensor:
        """Samples of p that each running mean is worth, (K,); NaN where there is none yet."""
        return 1 / self.noise

    def integrated_log_z(self) -> Tensor:
        """Log Z(c) - log Z(c_0) by integrating the table (trapezoid in c), shape (K,).

        d log Z / dc = -E[dE/dc]: thermodynamic integration, a check on `log_z`.
        """
        steps = torch.cumulative_trapezoid(-self.mean_slope, self.grid.values)
        return torch.cat([steps.new_zeros(1), steps])


def _blend(
    running: Tensor, fresh: Tensor, usable: Tensor, shares: tuple[float, float], age: int
) -> None:
    """Move a running value towards a fresh one, where that is usable."""
    empty = running.isnan() if age else torch.ones_like(running, dtype=torch.bool)
    blend = torch.where(empty, fresh, shares[0] * running + shares[1] * fresh)
    kept = torch.where(empty, torch.nan, running)
    running.copy_(torch.where(usable, blend, kept))
