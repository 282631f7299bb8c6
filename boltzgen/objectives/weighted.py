"""Several objectives as one: fixed weights, warm-up ramps and balancing of gradient norms."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least
from boltzgen.errors import NonFiniteError
from boltzgen.protocols import Batch, LossTerms, Objective


@dataclass(frozen=True)
class Ramp:
    """A factor that is 0 before step `start` and rises linearly to 1 over `length` steps."""

    start: int = 0
    length: int = 0

    def __post_init__(self) -> None:
        check_at_least("start", self.start, 0)
        check_at_least("length", self.length, 0)

    def __call__(self, step: int) -> float:
        """Value at a step."""
        if step < self.start:
            return 0.0
        return min(1.0, (step - self.start + 1) / max(self.length, 1))


@dataclass(frozen=True)
class Term:
    """One objective of a sum.

    Args:
        name: Unique name, used in metrics and error messages; not empty and without a dot.
        objective: The objective.
        weight: Its weight once its ramp is up.
        ramp: Its warm-up; while it is 0 the objective is not evaluated at all.
    """

    name: str
    objective: Objective
    weight: float = 1.0
    ramp: Ramp = Ramp()

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise ValueError(f"name: expected a word without a dot, got {self.name!r}")
        if not self.weight > 0:
            raise ValueError(
                f"weight: expected a number above 0 for {self.name}, got {self.weight}"
            )


class GradientBalance(nn.Module):
    """Factors that give every term a gradient as long as that of the first.

    Every `every` steps the gradient norm g_k of each term is measured; the factor of term k moves
    towards g_0 / (g_k + 1e-4 g_0), clipped to [1 / limit, limit], keeping a share `memory`.

    Args:
        n_terms: Number of terms.
        every: Steps between measurements.
        memory: Share of the old factor kept.
        limit: Largest factor, and inverse of the smallest.
    """

    factors: Tensor
    measured: Tensor

    def __init__(
        self, n_terms: int, *, every: int = 25, memory: float = 0.9, limit: float = 100.0
    ) -> None:
        super().__init__()
        check_at_least("every", every, 1)
        if not 0 <= memory < 1 or not limit >= 1:
            raise ValueError(
                f"memory, limit: expected 0 <= memory < 1 and limit >= 1, got {memory}, {limit}"
            )
        self.every, self.memory, self.limit = every, memory, limit
        self.register_buffer("factors", torch.ones(n_terms, dtype=torch.float64))
        self.register_buffer("measured", torch.zeros(n_terms, dtype=torch.bool))

    def update(self, losses: dict[int, Tensor], parameters: Sequence[Tensor], step: int) -> None:
        """Measure the gradient norms of the active terms, if it is time to.

        A term's first measurement sets its factor at once. Where the first term's gradient is
        zero there is nothing to compare with, and the factors stay.
        """
        new = any(not bool(self.measured[index]) for index in losses)
        if 0 not in losses or len(losses) < 2 or not (new or step % self.every == 0):
            return
        norms = {index: gradient_norm(loss, parameters) for index, loss in losses.items()}
        if bool(norms[0] == 0):
            return
        for index, norm in norms.items():
            ratio = float(norms[0] / (norm + 1e-4 * norms[0]))
            fresh = min(max(ratio, 1 / self.limit), self.limit)
            keep = self.memory if bool(self.measured[index]) else 0.0
            self.factors[index] = keep * self.factors[index] + (1 - keep) * fresh
            self.measured[index] = True
        self.factors[0] = 1.0


def gradient_norm(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of a loss's gradient; the graph is kept."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    squares = [gradient.square().sum() for gradient in gradients if gradient is not None]
    return torch.stack(squares).sum().sqrt()


class Weighted(nn.Module):
    """Sum of objectives, each times its weight, its ramp and, if balanced, its factor.

    Args:
        terms: At least one, with distinct names; gradients are balanced against the first.
        balance: The balance, or None for fixed weights.

    Raises:
        ValueError: No terms, names that repeat, or a balance for another number of terms.
    """

    def __init__(self, terms: Sequence[Term], balance: GradientBalance | None = None) -> None:
        super().__init__()
        names = [term.name for term in terms]
        if not terms or len(set(names)) != len(names):
            raise ValueError(f"terms: expected at least one and distinct names, got {names}")
        if balance is not None and len(balance.factors) != len(terms):
            raise ValueError(f"balance: expected {len(terms)} factors, got {len(balance.factors)}")
        self.terms = tuple(terms)
        self.balance = balance
        self.memory = nn.ModuleDict(
            {t.name: t.objective for t in terms if isinstance(t.objective, nn.Module)}
        )

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Weighted sum of the terms whose ramp is up at this step."""
        losses: dict[int, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        for index, term in enumerate(self.terms):
            if term.ramp(step) > 0:
                try:
                    result = term.objective(density, batch, step=step, generator=generator)
                except NonFiniteError as error:
                    raise NonFiniteError(f"{term.name} at step {step}: {error}") from error
                losses[index] = result.loss
                metrics |= result.metrics
                metrics[f"loss/{term.name}"] = result.loss.detach()
        if not losses:
            raise ValueError(f"terms: no term is active at step {step}; check the ramps")
        if self.balance is not None:
            self.balance.update(losses, [p for p in density.parameters() if p.requires_grad], step)
        total = batch.x.new_zeros(())
        for index, loss in losses.items():
            factor = 1.0 if self.balance is None else float(self.balance.factors[index])
            share = factor * self.terms[index].weight * self.terms[index].ramp(step)
            metrics[f"weight/{self.terms[index].name}"] = batch.x.new_tensor(share)
            total = total + share * loss
        return LossTerms(total, metrics)
