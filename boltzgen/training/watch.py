"""Whether the likelihood follows the loss, for losses that are none."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least
from boltzgen.protocols import Batch, LossTerms, Objective

_MOST_Z = 3.0


@dataclass(frozen=True)
class Watched:
    """One look.

    Args:
        step: When.
        loss: Mean of the loss since the last look.
        nll: Mean of -log q over the held-out data, in nats; +inf where one of them has no density.
        error: Its standard error.
    """

    step: int
    loss: float
    nll: float
    error: float


class LikelihoodWatch(nn.Module):
    """Compares the exact likelihood of held-out data with a loss that stands for it.

    The surrogate of a free-form flow goes on falling where encoder and decoder drift apart, while
    the likelihood gets worse. Every look takes the exact -log q of the same data, so that the
    change since the best look is known much better than either. What it remembers is part of its
    state, so that training which goes on from a checkpoint remembers it too.

    Args:
        held_out: Data that are not trained on.
        every: Steps between looks.

    Raises:
        ValueError: There are fewer than two data, or every is below 1.
    """

    best_numbers: Tensor
    last_numbers: Tensor
    best_rows: Tensor
    last_rows: Tensor
    losses: Tensor

    def __init__(self, held_out: Batch, *, every: int) -> None:
        super().__init__()
        check_at_least("held_out", len(held_out.x), 2)
        check_at_least("every", every, 1)
        self.held_out, self.every = held_out, every
        unknown = torch.full((4,), torch.nan, dtype=torch.float64)
        rows = torch.zeros(len(held_out.x), dtype=torch.float64)
        for name, value in (
            ("best_numbers", unknown), ("last_numbers", unknown.clone()),
            ("best_rows", rows), ("last_rows", rows.clone()),
            ("losses", torch.zeros(2, dtype=torch.float64)),
        ):  # fmt: skip
            self.register_buffer(name, value)

    @property
    def best(self) -> Watched | None:
        """The look with the best likelihood; None before the first."""
        return _look(self.best_numbers)

    @property
    def last(self) -> Watched | None:
        """The last look; None before the first."""
        return _look(self.last_numbers)

    def forward(self, density: Density, step: int, loss: float) -> Watched | None:
        """Take a step's loss into account; look, if it is time to."""
        self.losses += torch.tensor([loss, 1.0], dtype=torch.float64, device=self.losses.device)
        if step % self.every:
            return None
        with torch.no_grad():
            rows = -density.log_prob(self.held_out.x, self.held_out.c).double()
        mean = float(rows.mean())
        error = float(rows.std()) / math.sqrt(len(rows)) if math.isfinite(mean) else math.inf
        look = Watched(step, float(self.losses[0] / self.losses[1]), mean, error)
        self.losses.zero_()
        self._remember(look, rows, self.last_numbers, self.last_rows)
        if self.best is None or mean < self.best.nll:
            self._remember(look, rows, self.best_numbers, self.best_rows)
        return look

    def _remember(self, look: Watched, rows: Tensor, numbers: Tensor, kept: Tensor) -> None:
        numbers.copy_(
            torch.tensor([look.step, look.loss, look.nll, look.error], dtype=torch.float64)
        )
        kept.copy_(rows)

    @property
    def warning(self) -> str | None:
        """What to say if the loss has gone on falling since the best likelihood, which has not."""
        best, last = self.best, self.last
        if best is None or last is None or not last.loss < best.loss or last.step == best.step:
            return None
        change = self.last_rows - self.best_rows
        rise = float(change.mean())
        error = float(change.std()) / math.sqrt(len(change))
        if math.isfinite(rise) and not rise > _MOST_Z * error:
            return None
        return (
            f"From step {best.step} to {last.step} the loss fell from {best.loss:.4g} to "
            f"{last.loss:.4g} while the negative log-likelihood of held-out data rose by "
            f"{rise:.3g} nats: the loss no longer stands for it; give the reconstruction more "
            "weight or stop there."
        )


def _look(numbers: Tensor) -> Watched | None:
    step, loss, nll, error = numbers.tolist()
    return None if math.isnan(step) else Watched(int(step), loss, nll, error)


class WatchedObjective(nn.Module):
    """An objective beside which the exact likelihood of held-out data is looked at.

    Looks show as the metric `held_out_nll` of their step, in nats, where every datum has a density.

    Args:
        objective: The objective.
        watch: Takes its losses.
        metric: The metric of the objective that stands for the likelihood.
    """

    def __init__(self, objective: Objective, watch: LikelihoodWatch, *, metric: str) -> None:
        super().__init__()
        self.objective, self.watch, self.metric = objective, watch, metric

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """The loss of the objective.

        Raises:
            ValueError: It has no such metric.
        """
        found = self.objective(density, batch, step=step, generator=generator)
        if self.metric not in found.metrics:
            raise ValueError(
                f"metric: expected one of {', '.join(found.metrics)}, got {self.metric!r}"
            )
        look = self.watch(density, step + 1, float(found.metrics[self.metric]))
        if look is not None and math.isfinite(look.nll):
            nll = torch.tensor(look.nll, device=found.loss.device)
            return LossTerms(found.loss, found.metrics | {"held_out_nll": nll})
        return found
