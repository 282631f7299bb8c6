"""Underdamped Langevin dynamics by the BAOAB splitting, with a Metropolis correction if wanted."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_positive
from boltzgen.kernels.common import (
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


class LangevinState(NamedTuple):
    """Position x (B, *E), energy (B,), gradient (B, *E), step size (B,), velocity (B, *E).

    Velocities are in units of `scale` over time: standard normal in equilibrium.
    """

    x: Tensor
    energy: Tensor
    gradient: Tensor
    step_size: Tensor
    velocity: Tensor


class Langevin:
    """Half kick, half drift, friction with noise, half drift, half kick.

    Without correction the positions follow p up to an error of second order in the step, which
    vanishes for a harmonic target; only a step to where the energy is +inf is turned back. With
    `metropolis` a step is accepted with probability
    min(1, exp(-work)), work being the change of total energy in kicks and drifts; at a rejection
    the velocity is turned back, and p is followed exactly.

    Args:
        target: The target.
        step_size: Time step, a number or one for each chain (B,).
        friction: Friction over time.
        scale: Size of each component of x (the square root of its inverse mass), broadcasting to
            the event shape.
        metropolis: Whether to correct.

    References:
        Leimkuhler and Matthews, Appl. Math. Res. eXpress 2013, 34: BAOAB.
        Sivak, Chodera and Crooks, Phys. Rev. X 3, 011007 (2013): the work of a step.
    """

    def __init__(
        self,
        target: Target,
        *,
        step_size: Tensor | float,
        friction: float,
        scale: Tensor | float = 1.0,
        metropolis: bool = False,
    ) -> None:
        check_positive("friction", friction)
        self.target, self.step_size, self.scale = target, step_size, scale
        self.friction, self.metropolis = friction, metropolis

    def init(self, x: Tensor, c: Tensor) -> LangevinState:
        """State at configurations x (B, *E) and controls c (B, C), at rest.

        Velocities take a few times 1 / friction to warm up; `draw_velocities` makes them at once.

        Raises:
            ValueError: A shape is wrong, a configuration is forbidden, a step is not positive, or
                the scale does not fit.
        """
        start = started(self.target, x, c, step_size=self.step_size, scale=self.scale)
        return LangevinState(*start, torch.zeros_like(x))

    def draw_velocities(self, state: LangevinState, *, generator: Generator) -> LangevinState:
        """The same with velocities of equilibrium."""
        drawn = draw_normal(state.x.shape, like=state.x, generator=generator)
        return state._replace(velocity=drawn)

    def step(
        self, state: LangevinState, c: Tensor, *, generator: Generator
    ) -> tuple[LangevinState, Info]:
        """One time step of every chain."""
        time = wide(state.step_size, state.x)
        h, keep = time * scale_of(self.scale, state.x), torch.exp(-self.friction * time)
        kicked = state.velocity - 0.5 * h * state.gradient
        y = state.x + 0.5 * h * kicked
        noise = draw_normal(y.shape, like=y, generator=generator)
        mixed = keep * kicked + (1 - keep**2).sqrt() * noise
        y = y + 0.5 * h * mixed
        energy, gradient = energy_and_gradient(self.target, y, c)
        velocity = mixed - 0.5 * h * gradient
        if self.metropolis:
            kinetic = kicked**2 - state.velocity**2 + velocity**2 - mixed**2
            work = energy - state.energy + 0.5 * rows_sum(kinetic)
            info = accept(-work, generator=generator)
        else:
            allowed = energy < torch.inf
            info = Info(allowed, allowed.to(energy.dtype))
        new = moved(state, info, y, energy, gradient)
        taken = wide(info.accepted, y)
        return new._replace(velocity=torch.where(taken, velocity, -state.velocity)), info
