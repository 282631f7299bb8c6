"""Metropolis-adjusted Langevin algorithm."""

from torch import Generator, Tensor

from boltzgen.kernels.common import (
    ChainState,
    Info,
    accept,
    energy_and_gradient,
    moved,
    rows_sum,
    scale_of,
    started,
    wide,
)
from boltzgen.protocols import Target
from boltzgen.random import draw_normal


class MALA:
    """Drift down the gradient and noise, y = x - h^2 s^2 grad E / 2 + h s xi, then Metropolis.

    Args:
        target: The target.
        step_size: h, a number or one for each chain (B,).
        scale: s, the size of each component of x, broadcasting to the event shape.

    References:
        Roberts and Tweedie, Bernoulli 2, 341 (1996).
    """

    def __init__(
        self, target: Target, *, step_size: Tensor | float, scale: Tensor | float = 1.0
    ) -> None:
        self.target, self.step_size, self.scale = target, step_size, scale

    def init(self, x: Tensor, c: Tensor) -> ChainState:
        """State at configurations x (B, *E) and controls c (B, C).

        Raises:
            ValueError: A shape is wrong, a configuration is forbidden, a step is not positive, or
                the scale does not fit.
        """
        return started(self.target, x, c, step_size=self.step_size, scale=self.scale)

    def step(
        self, state: ChainState, c: Tensor, *, generator: Generator
    ) -> tuple[ChainState, Info]:
        """One proposal for every chain."""
        x, h = state.x, wide(state.step_size, state.x) * scale_of(self.scale, state.x)
        noise = draw_normal(x.shape, like=x, generator=generator)
        y = x - 0.5 * h**2 * state.gradient + h * noise
        energy, gradient = energy_and_gradient(self.target, y, c)
        back = (x - y + 0.5 * h**2 * gradient) / h
        log_ratio = state.energy - energy + 0.5 * rows_sum(noise**2 - back**2)
        info = accept(log_ratio, generator=generator)
        return moved(state, info, y, energy, gradient), info
