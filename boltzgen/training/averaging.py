"""A running average of the weights, which samples better than the last noisy step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from boltzgen.base import Density


class WeightAverage:
    """Exponential moving average of a density's parameters (Polyak averaging).

    The decay rises with the number of updates n as min(decay, (1 + n) / (10 + n)), so that the
    first steps are forgotten.

    Args:
        density: The density to follow.
        decay: Share of the old average kept at each step; 0 keeps no average.
    """

    def __init__(self, density: Density, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}
        if decay > 0:
            self.weights = {k: v.detach().clone() for k, v in density.named_parameters()}
            self.weights["n_updates"] = torch.zeros((), dtype=torch.long)

    @torch.no_grad()
    def update(self, density: Density) -> None:
        """Move towards the present weights."""
        if not self.weights:
            return
        n_updates = int(self.weights["n_updates"])
        keep = min(self.decay, (1 + n_updates) / (10 + n_updates))
        for name, parameter in density.named_parameters():
            self.weights[name].lerp_(parameter, 1 - keep)
        self.weights["n_updates"] += 1

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take up saved averages.

        Raises:
            ValueError: The names or shapes differ from those of this average.
        """
        expected = {name: tuple(value.shape) for name, value in self.weights.items()}
        given = {name: tuple(value.shape) for name, value in weights.items()}
        if given != expected:
            differ = sorted(dict(given.items() ^ expected.items()))
            raise ValueError(f"weights: expected those of this average, got others for {differ}")
        self.weights = {
            name: value.to(self.weights[name].device, copy=True) for name, value in weights.items()
        }

    @contextmanager
    def applied(self, density: Density) -> Iterator[None]:
        """Put the averages in place of the density's weights inside the block."""
        own = {name: value.detach().clone() for name, value in density.named_parameters()}
        try:
            if self.weights:
                _copy_weights(density, self.weights)
            yield
        finally:
            _copy_weights(density, own)


@torch.no_grad()
def _copy_weights(density: Density, weights: dict[str, Tensor]) -> None:
    for name, parameter in density.named_parameters():
        parameter.copy_(weights[name])
