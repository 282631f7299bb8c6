"""Hamiltonian Monte Carlo with jittered length."""

from collections.abc import Callable

from torch import Generator, Tensor

from boltzgen.checks import check_at_least
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
from boltzgen.random import draw_index, draw_normal


class HMC:
    """Fresh momenta, some leapfrog steps, Metropolis.

    The number of leapfrog steps is drawn anew each time, uniformly between half and one and a half
    times `n_leapfrog`, so that no component stays in step with its own period; it is the same for
    all chains of a batch.

    Args:
        target: The target.
        step_size: Of the leapfrog, a number or one for each chain (B,).
        n_leapfrog: Mean number of leapfrog steps, at least 1.
        scale: Size of each component of x (the square root of its inverse mass), broadcasting to
            the event shape; or a symmetric linear map of (B, *E), such as `FourierScale`.

    References:
        Duane et al., Phys. Lett. B 195, 216 (1987); Neal, MCMC using Hamiltonian dynamics (2011),
        arXiv:1206.1901.
    """

    def __init__(
        self,
        target: Target,
        *,
        step_size: Tensor | float,
        n_leapfrog: int,
        scale: Tensor | float | Callable[[Tensor], Tensor] = 1.0,
    ) -> None:
        check_at_least("n_leapfrog", n_leapfrog, 1)
        self.target, self.step_size, self.scale = target, step_size, scale
        self.n_leapfrog = n_leapfrog

    def init(self, x: Tensor, c: Tensor) -> ChainState:
        """State at configurations x (B, *E) and controls c (B, C).

        Raises:
            ValueError: A shape is wrong, a configuration is forbidden, a step is not positive, or
                the scale does not fit.
        """
        state = started(
            self.target, x, c, step_size=self.step_size,
            scale=1.0 if callable(self.scale) else self.scale,
        )  # fmt: skip
        self._scaled(state.x)
        return state

    def _scaled(self, v: Tensor) -> Tensor:
        """The scale applied to v (B, *E)."""
        return self.scale(v) if callable(self.scale) else scale_of(self.scale, v) * v

    def step(
        self, state: ChainState, c: Tensor, *, generator: Generator
    ) -> tuple[ChainState, Info]:
        """One trajectory for every chain."""
        h = wide(state.step_size, state.x)
        start = draw_normal(state.x.shape, like=state.x, generator=generator)
        low, high = (self.n_leapfrog + 1) // 2, self.n_leapfrog + self.n_leapfrog // 2
        n_steps = low + int(draw_index(high - low + 1, 1, generator=generator))
        y, energy, gradient, momentum = state.x, state.energy, state.gradient, start
        for _ in range(n_steps):
            momentum = momentum - 0.5 * h * self._scaled(gradient)
            y = y + h * self._scaled(momentum)
            energy, gradient = energy_and_gradient(self.target, y, c)
            momentum = momentum - 0.5 * h * self._scaled(gradient)
        kinetic = 0.5 * rows_sum(start**2 - momentum**2)
        info = accept(state.energy - energy + kinetic, generator=generator)
        return moved(state, info, y, energy, gradient), info
