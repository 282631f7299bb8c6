"""Samples of a trained posterior flow, with exact weights."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.objectives import energy_and_first_slope
from boltzgen.protocols import Target
from posterior.results import Samples
from systems.posteriors import Posterior

_CHUNK = 4000


class Model:
    """A posterior and the flow that was trained for it.

    Args:
        posterior: The posterior.
        target: The same, counting its calls.
        flow: In float64.
    """

    def __init__(self, posterior: Posterior, target: Target, flow: Density) -> None:
        self.posterior, self.target, self.flow = posterior, target, flow
        self.labels = posterior.space.labels

    def controls(self, beta: float, y: Sequence[float], n: int) -> Tensor:
        """Controls of n rows, float64 (n, C)."""
        return torch.tensor([beta, *y], dtype=torch.float64).expand(n, -1)

    def components(self, x: Tensor) -> np.ndarray:
        """All components of the parameters, (N, P), from free numbers (N, D)."""
        space = self.posterior.space
        return space.flatten(space.constrain(x)[0]).numpy()

    @torch.no_grad()
    def draw(self, beta: float, y: Sequence[float], n: int, *, generator: Generator) -> Samples:
        """Draw n weighted samples."""
        parts = []
        for count in _counts(n):
            c = self.controls(beta, y, count)
            x, log_q = self.flow.sample_and_log_prob(c, generator=generator)
            energy, slope = energy_and_first_slope(self.target, x, c)
            parts.append((x, -energy - log_q, -slope, energy))
        x, *rest = (torch.cat(column) for column in zip(*parts, strict=True))
        log_w, log_likelihood, energies = (one.numpy() for one in rest)
        return Samples(beta, x.numpy(), self.components(x), log_w, log_likelihood, energies)

    @torch.no_grad()
    def draw_each(self, c: Tensor, n: int, *, generator: Generator) -> tuple[Tensor, np.ndarray]:
        """Draw n weighted samples for every row of c (M, C): x (M, n, D) and log_w (M, n)."""
        xs, log_w = [], []
        for rows in c.split(max(1, _CHUNK // n)):
            wide = rows.repeat_interleave(n, 0)
            x, log_q = self.flow.sample_and_log_prob(wide, generator=generator)
            log_w.append((-self.target.energy(x, wide) - log_q).reshape(len(rows), n))
            xs.append(x.reshape(len(rows), n, -1))
        return torch.cat(xs), torch.cat(log_w).numpy()

    @torch.no_grad()
    def log_weights(self, x: Tensor, beta: float, y: Sequence[float]) -> np.ndarray:
        """Log-weights of given free numbers (N, D) at one power and observation, (N,)."""
        return -self._in_parts(x, beta, y, self.target.energy) - self._in_parts(
            x, beta, y, self.flow.log_prob
        )

    @torch.no_grad()
    def log_likelihood(self, x: Tensor) -> np.ndarray:
        """Log L of given free numbers, (N,), where beta is the only control; booked as energies."""
        parts = [
            self.target.energy_and_denergy_dc(part, self.controls(1.0, (), len(part)))[1]
            for part in x.split(_CHUNK)
        ]
        return -torch.cat(parts)[:, 0].numpy()

    def log_density(self, x: Tensor, beta: float, y: Sequence[float]) -> np.ndarray:
        """Log q of given free numbers, (N,)."""
        return self._in_parts(x, beta, y, self.flow.log_prob)

    def energy(self, x: Tensor, beta: float, y: Sequence[float]) -> np.ndarray:
        """Energy of given free numbers, (N,)."""
        return self._in_parts(x, beta, y, self.target.energy)

    @torch.no_grad()
    def _in_parts(
        self,
        x: Tensor,
        beta: float,
        y: Sequence[float],
        function: Callable[[Tensor, Tensor], Tensor],
    ) -> np.ndarray:
        parts = [function(part, self.controls(beta, y, len(part))) for part in x.split(_CHUNK)]
        return torch.cat(parts).numpy()


def _counts(n: int) -> list[int]:
    return [_CHUNK] * (n // _CHUNK) + ([n % _CHUNK] if n % _CHUNK else [])
