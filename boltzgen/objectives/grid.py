"""The grid of one control on which TRADE works, and where on it each step looks.

References:
    Wahl, Rousselot, Draxler, Schopmans and Koethe, TRADE (2024), arXiv:2410.19492.
    Wang, Sankaran and Perdikaris, Respecting causality for training PINNs (2022),
    arXiv:2203.07404.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from boltzgen.checks import check_at_least, check_positive
from boltzgen.random import draw_index


class ControlGrid(nn.Module):
    """Increasing values of one control, some of which are boundaries where data exist.

    Args:
        values: The grid, shape (K,), not negative and increasing.
        boundaries: Indices of the boundary values, at least one.

    Raises:
        ValueError: The grid does not increase, or a boundary is not on it.
    """

    values: Tensor
    boundaries: tuple[int, ...]

    def __init__(self, values: Tensor, boundaries: tuple[int, ...]) -> None:
        super().__init__()
        if values.dim() != 1 or len(values) < 2 or not bool((values.diff() > 0).all()):
            raise ValueError(f"values: expected two or more increasing numbers, got {values}")
        if not bool(values[0] >= 0):
            raise ValueError(f"values: expected numbers of at least 0, got {values[0].item()}")
        known = set(range(len(values)))
        if not boundaries or not set(boundaries) <= known:
            raise ValueError(f"boundaries: expected indices below {len(values)}, got {boundaries}")
        self.register_buffer("values", values.clone())
        self.boundaries = tuple(sorted(set(boundaries)))

    def __len__(self) -> int:
        return len(self.values)

    def towards_boundary(self, index: Tensor, reach: int, *, generator: Generator) -> Tensor:
        """Grid points drawn uniformly 0 to `reach` points nearer to the nearest boundary.

        A rare mode that a flow has lost at one control is never visited by the flow's own samples
        there, and no loss on those samples brings it back. Samples drawn at the points returned
        here and evaluated at `index` do: where the data are, the mode is alive, and what is alive
        at one point is seen by the next.

        Args:
            index: Grid points, shape (B,).
            reach: Greatest distance; 0 returns `index` and draws nothing.
            generator: Of the distances.
        """
        if reach == 0:
            return index
        steps = draw_index(reach + 1, len(index), generator=generator)
        gaps = torch.tensor(self.boundaries) - index[:, None]
        gap = gaps.gather(1, gaps.abs().argmin(1, keepdim=True))[:, 0]
        return index + gap.sign() * steps.minimum(gap.abs())


def log_spaced_grid(
    low: float,
    high: float,
    n_values: int,
    boundary: float | Sequence[float],
    *,
    offset: float = 0.0,
) -> ControlGrid:
    """Values even in log(c + offset) from low to high, with boundaries put in if they are missing.

    Args:
        low: Smallest value; low + offset is positive.
        high: Largest value.
        n_values: How many, before boundaries are put in.
        boundary: The value where data exist, or several.
        offset: As of the derivative in the control; 0 for temperatures.

    Raises:
        ValueError: There are fewer than two values or no boundary, or low + offset is not positive.
    """
    check_at_least("n_values", n_values, 2)
    check_positive("low + offset", low + offset)
    values = torch.logspace(
        math.log10(low + offset), math.log10(high + offset), n_values, dtype=torch.float64
    )
    values = values - offset
    values[0], values[-1] = low, high
    boundaries = [boundary] if isinstance(boundary, int | float) else list(boundary)
    for known in boundaries:
        nearest = int((values - known).abs().argmin())
        if abs(float(values[nearest]) - known) <= 1e-9 * known:
            values[nearest] = known
        else:
            values = torch.cat([values, values.new_tensor([known])]).sort().values
    indices = tuple(int((values == known).nonzero()[0, 0]) for known in boundaries)
    return ControlGrid(values, indices)


class CausalSampler(nn.Module):
    """Draws grid points so that a point is visited once the points before it are learnt.

    With running residual losses l_k, the log-weight of point i is -strength times the sum of l
    over the points from the nearest boundary (included) to i (excluded). Between two boundaries
    the weights from both sides are mixed linearly in the distance to them, in points. The weights
    are a distribution over where to look, not factors of the loss.

    Args:
        grid: The grid.
        strength: epsilon; 0 gives uniform draws.
        memory: Factor by which a running loss keeps its old value at each visit, in [0, 1).
    """

    losses: Tensor

    def __init__(self, grid: ControlGrid, *, strength: float = 0.1, memory: float = 0.9) -> None:
        super().__init__()
        if strength < 0 or not 0 <= memory < 1:
            raise ValueError(
                "strength, memory: expected strength >= 0 and 0 <= memory < 1, "
                f"got {strength} and {memory}"
            )
        self.n_points, self.boundaries = len(grid), grid.boundaries
        self.strength, self.memory = strength, memory
        self.register_buffer("losses", torch.zeros(len(grid), dtype=torch.float64))

    def log_weights(self) -> Tensor:
        """Log-weights of the grid points, up to a constant, shape (K,)."""
        # rising[i] - rising[j] sums l over j .. i - 1, falling the same for l over i + 1 .. j.
        rising = torch.cat([self.losses.new_zeros(1), self.losses.cumsum(0)])
        weights = []
        for i in range(self.n_points):
            left = max((b for b in self.boundaries if b <= i), default=None)
            right = min((b for b in self.boundaries if b >= i), default=None)
            from_left = None if left is None else rising[i] - rising[left]
            from_right = None if right is None else rising[right + 1] - rising[i + 1]
            if from_left is None or from_right is None:
                only = from_right if from_left is None else from_left
                weights.append(-self.strength * (only if only is not None else rising[0]))
                continue
            span = max((right or 0) - (left or 0), 1)
            near = 1 - (i - (left or 0)) / span
            terms = [
                torch.log(rising.new_tensor(share)) - self.strength * exponent
                for share, exponent in ((near, from_left), (1 - near, from_right))
                if share > 0
            ]
            weights.append(torch.stack(terms).logsumexp(0))
        return torch.stack(weights)

    def draw(self, n_draws: int, *, generator: Generator) -> Tensor:
        """Draw grid indices, shape (n_draws,)."""
        return (
            self.log_weights()
            .softmax(0)
            .multinomial(n_draws, replacement=True, generator=generator)
        )

    def record(self, index: Tensor, residual_loss: Tensor) -> None:
        """Update the running losses by those of a batch, each (B,).

        A point hit m times moves by 1 - memory^m towards the mean of its m losses.
        """
        ones = torch.ones_like(residual_loss, dtype=torch.float64)
        hits = torch.zeros_like(self.losses).index_add_(0, index, ones)
        total = torch.zeros_like(self.losses).index_add_(0, index, residual_loss.double())
        keep = self.memory**hits
        fresh = torch.where(hits > 0, total / hits.clamp_min(1), 0.0)
        self.losses.copy_(
            torch.where(hits > 0, keep * self.losses + (1 - keep) * fresh, self.losses)
        )
