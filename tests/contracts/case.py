"""What one case of a contract consists of, and how its inputs are drawn."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Bijection, Density
from boltzgen.protocols import Batch, Objective, Target
from boltzgen.random import draw_seed, seeded

SEED = 7
ModuleT = TypeVar("ModuleT", bound=nn.Module)
Draw = Callable[[int, Generator], Tensor]


def stream() -> Generator:
    """The random stream of one check."""
    return torch.Generator().manual_seed(SEED)


def draw_controls(n: int, n_controls: int, bounds: tuple[float, float], g: Generator) -> Tensor:
    """Controls (n, C), uniform within the bounds, float64."""
    u = torch.rand(n, n_controls, generator=g, dtype=torch.float64)
    return bounds[0] + (bounds[1] - bounds[0]) * u


@dataclass(frozen=True)
class BijectionCase:
    """A bijection and the inputs that suit it.

    make: Builds it, in any dtype. draw: x (n, *E), float64; standard normal if None. controls:
    Range of every control. period: Length of the circle of each component, inf where there is
    none; a scalar inf where none is periodic. tolerance: Of round trips and log-determinants in
    float64 and in float32.
    """

    make: Callable[[], Bijection]
    draw: Draw | None = None
    controls: tuple[float, float] = (0.5, 2.0)
    period: Tensor | float = math.inf
    tolerance: tuple[float, float] = (1e-9, 1e-3)

    def build(self, dtype: torch.dtype = torch.float64) -> Bijection:
        """The bijection with its parameters moved away from where they start."""
        return perturbed(self.make, dtype)

    def inputs(self, bijection: Bijection, n: int, g: Generator) -> tuple[Tensor, Tensor]:
        """x (n, *E) and c (n, C), float64."""
        shape = (n, *bijection.event_shape)
        if self.draw is None:
            x = torch.randn(shape, generator=g, dtype=torch.float64)
        else:
            x = self.draw(n, g)
        return x, draw_controls(n, bijection.n_controls, self.controls, g)


@dataclass(frozen=True)
class DensityCase:
    """A density and the range of its controls.

    coordinates: Orthonormal coordinates (n, F) of the space that x (n, *E) lies in; x itself if
    None. aside: Start of the names of parameters on which the density does not depend.
    """

    make: Callable[[], Density]
    controls: tuple[float, float] = (0.5, 2.0)
    tolerance: float = 1e-8
    coordinates: Callable[[Tensor], Tensor] | None = None
    aside: tuple[str, ...] = ()

    def build(self, dtype: torch.dtype = torch.float64) -> Density:
        """The density with its parameters moved away from where they start."""
        return perturbed(self.make, dtype)

    def inputs(self, density: Density, n: int, g: Generator) -> Tensor:
        """Controls c (n, C), float64."""
        return draw_controls(n, density.n_controls, self.controls, g)


@dataclass(frozen=True)
class TargetCase:
    """A target, configurations where its energy is finite, and the range of its controls.

    draw: x (n, *E), float64; standard normal if None. step: Of finite differences, in the units
    of x. tolerance: Of forces against such differences.
    """

    make: Callable[[], Target]
    draw: Draw | None = None
    controls: tuple[float, float] = (0.5, 2.0)
    step: float = 1e-5
    tolerance: float = 1e-6

    def inputs(self, target: Target, n: int, g: Generator) -> tuple[Tensor, Tensor]:
        """x (n, *E) and c (n, C), float64."""
        shape = (n, *target.event_shape)
        if self.draw is None:
            x = torch.randn(shape, generator=g, dtype=torch.float64)
        else:
            x = self.draw(n, g)
        return x, draw_controls(n, len(target.control_names), self.controls, g)


@dataclass(frozen=True)
class ObjectiveCase:
    """An objective, a density it can be called with, and a batch for it."""

    make: Callable[[], Objective]
    density: Callable[[], Density]
    batch: Callable[[Density, int, Generator], Batch]

    def build(self) -> Density:
        """The density with its parameters moved away from where they start."""
        return perturbed(self.density, torch.float64)


def perturbed(make: Callable[[], ModuleT], dtype: torch.dtype) -> ModuleT:
    """Build in a seeded block, cast, and add noise to every parameter.

    Layers often start at the identity, where half of what a contract checks is trivially true.
    """
    g = stream()
    with seeded(g):
        module = make().to(dtype)
    noise = torch.Generator().manual_seed(draw_seed(g))
    with torch.no_grad():
        for parameter in module.parameters():
            step = torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
            parameter.add_(0.1 * step.to(dtype))
    return module
