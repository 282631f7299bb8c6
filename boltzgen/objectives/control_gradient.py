"""TRADE: carry a density along a control by the known derivative of its log-density.

References:
    Wahl, Rousselot, Draxler, Schopmans and Koethe, TRADE (2024), arXiv:2410.19492.
"""

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least
from boltzgen.objectives.derivatives import ControlDerivative, ExactDerivative
from boltzgen.objectives.expectations import ExpectationTable
from boltzgen.objectives.grid import CausalSampler
from boltzgen.objectives.penalties import Huber, Penalty
from boltzgen.objectives.slopes import energy_and_first_slope
from boltzgen.protocols import Batch, LossTerms, Target
from boltzgen.random import draw_normal


class ControlGradient(nn.Module):
    """Residual of d log p(x | c) / dc = E_p[A] - A(x, c), A = dE/dc, at points of the flow.

    Both sides are multiplied by c, so that the residual is the dimensionless derivative in log c:
    r = d log q(x | c) / d log c - c (E_p[A](c) - A(x, c)); a derivative with an offset has
    c + offset in place of c. Only the first term is trained. x is
    drawn from the flow at the same c, which the causal sampler picks from the grid; E_p[A] comes
    from the table. Together with a boundary condition at one c (maximum likelihood there) the
    minimum r = 0 fixes the density at all c. It fails where the flow at some c has no overlap with
    the target: then the table is wrong, and its `log_z` and `integrated_log_z()` disagree.

    The memory (table and running losses) stays on the CPU, whatever device the flow is on.

    Points of infinite energy or slope, and grid points where the table has no estimate yet, carry
    no information on the slope and are left out of the mean; their share is the metric
    `trade_forbidden`.

    Args:
        target: The target, with one control.
        sampler: Where on the table's grid to look.
        table: Running estimates of E_p[A] on the grid.
        n_points: Evaluation points a step.
        derivative: How to differentiate log q.
        penalty: Of the residual.
        reach: Greatest distance, in grid points, to the point nearer to a boundary at which the
            evaluation points are drawn (`ControlGrid.towards_boundary`).
        noise: Standard deviation of Gaussian noise on the evaluation points at c0 (it scales with
            the square root of c / c0, c0 being the first boundary).

    Raises:
        ValueError: The target has not one control, or the sampler and the table differ in grid.
    """

    def __init__(  # noqa: PLR0913
        self,
        target: Target,
        *,
        sampler: CausalSampler,
        table: ExpectationTable,
        n_points: int,
        derivative: ControlDerivative | None = None,
        penalty: Penalty | None = None,
        reach: int = 0,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        check_at_least("n_points", n_points, 1)
        check_at_least("reach", reach, 0)
        if len(target.control_names) != 1:
            raise ValueError(f"target: expected one control, got {target.control_names}")
        if (sampler.n_points, sampler.boundaries) != (len(table.grid), table.grid.boundaries):
            raise ValueError(
                f"sampler: expected the table's grid of {len(table.grid)} points with boundaries "
                f"{table.grid.boundaries}, got {sampler.n_points} and {sampler.boundaries}"
            )
        first = float(table.grid.values[table.grid.boundaries[0]])
        if not noise >= 0 or (noise > 0 and first == 0):
            raise ValueError(
                "noise: expected a number of at least 0, and 0 where the first boundary is 0, got "
                f"{noise}"
            )
        self.target, self.sampler, self.table = target, sampler, table
        self.grid = table.grid
        self.derivative = derivative or ExactDerivative()
        self.penalty = penalty or Huber()
        self.n_points, self.reach, self.noise = n_points, reach, noise

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Mean penalty of the residual at fresh points of the flow."""
        if self.table.due(step):
            self.table.refresh(density, self.target, like=batch.x, generator=generator)
        index = self.sampler.draw(self.n_points, generator=generator)
        x, c = self._points(density, index, like=batch.x, generator=generator)
        with torch.no_grad():
            energy, slope = energy_and_first_slope(self.target, x, c)
        expected = self.table.mean_slope[index].to(dtype=x.dtype, device=x.device)
        allowed = (energy != torch.inf) & ~slope.isinf() & ~expected.isnan()
        level = c[:, 0] + self.derivative.offset
        wanted = torch.where(allowed, level * (expected - slope), 0.0)
        known = self.derivative(density, x, c)
        residual = torch.where(allowed, known.slope - wanted, 0.0)
        penalty = self.penalty(residual)
        count = allowed.sum().clamp_min(1)
        seen = allowed.cpu()
        self.sampler.record(index[seen], penalty.detach().cpu()[seen])
        metrics = {
            "trade": penalty.detach().sum() / count,
            "trade_rms": (residual.detach().square().sum() / count).sqrt(),
            "trade_forbidden": 1 - allowed.to(x.dtype).mean(),
        }
        return LossTerms(penalty.sum() / count, metrics)

    @torch.no_grad()
    def _points(
        self, density: Density, index: Tensor, *, like: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Evaluation points (B, *E) and their controls (B, 1)."""
        values = self.grid.values.to(dtype=like.dtype, device=like.device)
        c = values[index.to(values.device)][:, None]
        source = self.grid.towards_boundary(index, self.reach, generator=generator)
        x = density.sample(values[source.to(values.device)][:, None], generator=generator)
        if self.noise > 0:
            spread = self.noise * (c / values[self.grid.boundaries[0]]).sqrt()
            normal = draw_normal(x.shape, like=x, generator=generator)
            x = x + normal * spread.reshape(-1, *[1] * (x.dim() - 1))
        return x, c
