"""A density on the line by its values at equally spaced nodes: integral, means, samples."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class LineDensity:
    """An unnormalised density that vanishes at both ends of its nodes.

    Integrals are trapezoid sums, which for a smooth density that vanishes at both ends converge
    faster than any power of the spacing.

    Args:
        nodes: Equally spaced, increasing, (N,).
        log_density: At the nodes, (N,).
    """

    nodes: np.ndarray
    log_density: np.ndarray

    @property
    def log_integral(self) -> float:
        """Log of the integral of the density."""
        top = self.log_density.max()
        spacing = (self.nodes[-1] - self.nodes[0]) / (len(self.nodes) - 1)
        return float(np.log(np.exp(self.log_density - top).sum() * spacing) + top)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of functions given by their values at the nodes, (..., N) -> (...)."""
        weight = np.exp(self.log_density - self.log_density.max())
        found: np.ndarray = values @ (weight / weight.sum())
        return found

    def sample(self, n: int, *, generator: Generator) -> Tensor:
        """Draw n values, float64 (n,), by inversion: between nodes the density is flat."""
        density = np.exp(self.log_density - self.log_density.max())
        cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
        level = torch.rand(n, generator=generator, dtype=torch.float64).numpy()
        return torch.from_numpy(np.interp(level, cumulative / cumulative[-1], self.nodes))
