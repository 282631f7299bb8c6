"""Where a loss that may look anywhere looks: at samples of the flow, all or some, or at data."""

import math
from typing import Protocol

import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.checks import check_at_least
from boltzgen.objectives.controls import ControlSampler
from boltzgen.objectives.grid import ControlGrid
from boltzgen.protocols import Batch, Target
from boltzgen.random import draw_index, draw_uniform

_BEYOND = 1e4
"""Differences of log w are counted up to here, so that those of forbidden points leave the choice
among them to chance."""


class PointSource(Protocol):
    """Draws evaluation points of one step, without gradient."""

    def __call__(
        self, density: Density, batch: Batch, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Points x (B, *E) and the controls c (B, C) to evaluate them at."""


class FlowPoints:
    """Samples of the flow at random grid points, or at grid points nearer to a boundary.

    With `reach` > 0 a mode that the flow has lost at one control is still seen there, through the
    flow's samples nearer to the data (`ControlGrid.towards_boundary`).

    Args:
        grid: Where to look; drawn uniformly.
        n_controls: Grid points a step.
        n_samples: Samples for each.
        reach: Greatest distance, in grid points, to the grid point the samples come from.
    """

    def __init__(
        self, grid: ControlGrid, *, n_controls: int, n_samples: int, reach: int = 0
    ) -> None:
        check_at_least("n_controls", n_controls, 1)
        check_at_least("n_samples", n_samples, 2)
        check_at_least("reach", reach, 0)
        self.grid, self.reach = grid, reach
        self.n_controls, self.n_samples = n_controls, n_samples

    @torch.no_grad()
    def __call__(
        self, density: Density, batch: Batch, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw n_controls * n_samples points, those of one grid point together."""
        values = self.grid.values.to(dtype=batch.x.dtype, device=batch.x.device)
        index = draw_index(len(values), self.n_controls, generator=generator)
        source = self.grid.towards_boundary(index, self.reach, generator=generator)
        x = density.sample(self._column(values, source), generator=generator)
        return x, self._column(values, index)

    def _column(self, values: Tensor, index: Tensor) -> Tensor:
        return values[index.to(values.device)].repeat_interleave(self.n_samples)[:, None]


class ControlPoints:
    """Samples of the flow at controls that need no grid, several samples for each.

    With `reach` > 0 the samples of each control come from the flow at another one, whose first
    control lies nearer to the boundary: level + u reach (level of the boundary - level) with
    u uniform in [0, 1), level = log(c + offset). What the flow has lost is still seen there.

    Args:
        controls: Where to look.
        n_controls: Controls a step.
        n_samples: Samples for each.
        boundary: Value of the first control at which data exist; needed where reach is not 0.
        reach: Greatest share of the way to the boundary, in [0, 1].
        offset: As of the derivative in the control.

    Raises:
        ValueError: A number is out of range, or the boundary is missing.
    """

    def __init__(  # noqa: PLR0913
        self,
        controls: ControlSampler,
        *,
        n_controls: int,
        n_samples: int,
        boundary: float | None = None,
        reach: float = 0.0,
        offset: float = 0.0,
    ) -> None:
        check_at_least("n_controls", n_controls, 1)
        check_at_least("n_samples", n_samples, 2)
        if not 0 <= reach <= 1 or (reach > 0 and boundary is None):
            raise ValueError(
                "reach, boundary: expected a share between 0 and 1, and a boundary where it is "
                f"above 0, got {reach} and {boundary}"
            )
        self.controls, self.boundary = controls, boundary
        self.n_controls, self.n_samples = n_controls, n_samples
        self.reach, self.offset = reach, offset

    @torch.no_grad()
    def __call__(
        self, density: Density, batch: Batch, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw n_controls * n_samples points, those of one control together."""
        c = self.controls(self.n_controls, like=batch.x, generator=generator)
        source = self._towards_boundary(c, generator=generator)
        x = density.sample(source.repeat_interleave(self.n_samples, 0), generator=generator)
        return x, c.repeat_interleave(self.n_samples, 0)

    def _towards_boundary(self, c: Tensor, *, generator: Generator) -> Tensor:
        if self.boundary is None or self.reach == 0:
            return c
        level = (c[:, :1] + self.offset).log()
        end = math.log(self.boundary + self.offset)
        share = self.reach * draw_uniform(level.shape, like=level, generator=generator)
        first = (level + share * (end - level)).exp() - self.offset
        return torch.cat([first, c[:, 1:]], 1)


class MissingPoints:
    """Of many points the ones where the flow puts too little: those of large log w = -E - log q.

    Points of one control are drawn without replacement, with probabilities that begin
    proportional to w = exp(-E(x, c)) / q(x | c) (Gumbel's top k). Where w is the same everywhere
    they are a plain subset; a rare mode that the flow undervalues is among them far more often than
    its share, so that a loss which is zero at q = p sees it at every step. They follow no simple
    distribution: a loss that needs samples of the flow or of the target has no use for them.

    Args:
        source: The candidates; n_controls * n_samples of them, grouped by control.
        target: The target.
        n_samples: Points kept for each control.

    Raises:
        ValueError: There are fewer candidates than points to keep.
    """

    def __init__(
        self, source: FlowPoints | ControlPoints, target: Target, *, n_samples: int
    ) -> None:
        check_at_least("n_samples", n_samples, 2)
        if n_samples > source.n_samples:
            raise ValueError(
                f"n_samples: expected at most the {source.n_samples} candidates, got {n_samples}"
            )
        self.source, self.target, self.n_samples = source, target, n_samples

    @torch.no_grad()
    def __call__(
        self, density: Density, batch: Batch, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw n_controls * n_samples points, those of one grid point together."""
        x, c = self.source(density, batch, generator=generator)
        log_w = (-self.target.energy(x, c) - density.log_prob(x, c)).view(
            self.source.n_controls, -1
        )
        log_w = log_w - log_w.nanmedian(1, keepdim=True).values.nan_to_num(0.0, 0.0, 0.0)
        log_w = log_w.nan_to_num(nan=-torch.inf).clamp(-_BEYOND, _BEYOND)
        noise = draw_uniform(log_w.shape, like=log_w, generator=generator)
        keys = log_w - (-noise.log()).log()
        best = keys.topk(self.n_samples, dim=1).indices
        first = torch.arange(len(best), device=best.device)[:, None] * self.source.n_samples
        chosen = (first + best).flatten()
        return x[chosen], c[chosen]


class DataPoints:
    """The first `n_points` configurations of the batch at their own controls.

    Args:
        n_points: How many; a smaller batch is used whole.
    """

    def __init__(self, n_points: int) -> None:
        check_at_least("n_points", n_points, 2)
        self.n_points = n_points

    def __call__(
        self, density: Density, batch: Batch, *, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """The head of the batch."""
        return batch.x[: self.n_points], batch.c[: self.n_points]
