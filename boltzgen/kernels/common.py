"""What the Metropolis kernels share: energies with gradients, acceptance, checks of a state."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_controls, check_event
from boltzgen.errors import NonFiniteError
from boltzgen.protocols import Target
from boltzgen.random import draw_uniform


class Info(NamedTuple):
    """What a step did to each chain.

    Args:
        accepted: Whether the proposal was taken, bool (B,).
        acceptance: The probability with which it was to be, (B,).
    """

    accepted: Tensor
    acceptance: Tensor


class ChainState(NamedTuple):
    """Position x (B, *E), its reduced energy (B,) and gradient (B, *E), step size (B,)."""

    x: Tensor
    energy: Tensor
    gradient: Tensor
    step_size: Tensor


class Moving(Protocol):
    """A state with a position, its energy and gradient, and a step size of each chain."""

    @property
    def x(self) -> Tensor:
        """Configurations, (B, *E)."""

    @property
    def energy(self) -> Tensor:
        """Reduced energy, (B,)."""

    @property
    def gradient(self) -> Tensor:
        """Its gradient in x, (B, *E)."""

    @property
    def step_size(self) -> Tensor:
        """Step size, (B,)."""

    @property
    def _replace(self) -> Callable[..., Self]:
        """The same with other fields, as of every NamedTuple."""


MovingT = TypeVar("MovingT", bound=Moving)


def energy_and_gradient(target: Target, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Reduced energy (B,) and its gradient (B, *E), detached; no gradient where it is +inf.

    Raises:
        NonFiniteError: The target returned NaN.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        energy = target.energy(leaf, c)
        (gradient,) = torch.autograd.grad(energy.sum(), leaf)
    energy = energy.detach()
    if bool(energy.isnan().any()):
        raise NonFiniteError(f"energy: NaN in {int(energy.isnan().sum())} of {len(energy)} rows")
    allowed = wide(energy != torch.inf, x)
    return energy, torch.where(allowed, gradient, 0.0)


def started(
    target: Target, x: Tensor, c: Tensor, *, step_size: Tensor | float, scale: Tensor | float
) -> ChainState:
    """State of chains at configurations x (B, *E) and controls c (B, C).

    Raises:
        ValueError: A shape is wrong, a configuration is forbidden, a step is not positive, or the
            scale does not fit.
    """
    check_event("x", x, target.event_shape)
    check_controls("c", c, len(x), len(target.control_names))
    energy, gradient = energy_and_gradient(target, x, c)
    n_bad = int((energy == torch.inf).sum())
    if n_bad:
        raise ValueError(f"x: expected allowed configurations, got {n_bad} of energy +inf")
    scale_of(scale, x)
    return ChainState(x, energy, gradient, per_chain("step_size", step_size, x))


def moved(state: MovingT, info: Info, x: Tensor, energy: Tensor, gradient: Tensor) -> MovingT:
    """The state with the proposal where it was accepted."""
    taken = wide(info.accepted, x)
    return state._replace(
        x=torch.where(taken, x, state.x),
        energy=torch.where(info.accepted, energy, state.energy),
        gradient=torch.where(taken, gradient, state.gradient),
    )


def accept(log_ratio: Tensor, *, generator: Generator) -> Info:
    """Metropolis: accept with probability min(1, exp(log_ratio)); NaN counts as 0."""
    acceptance = log_ratio.nan_to_num(nan=-torch.inf, posinf=torch.inf).clamp_max(0).exp()
    uniform = draw_uniform(log_ratio.shape, like=log_ratio, generator=generator)
    return Info(uniform < acceptance, acceptance)


def wide(rows: Tensor, x: Tensor) -> Tensor:
    """Bring (B,) to (B, 1, ..., 1), to go with x of shape (B, *E)."""
    return rows.reshape(-1, *[1] * (x.dim() - 1))


def rows_sum(x: Tensor) -> Tensor:
    """Sum over all but the first axis: (B, *E) -> (B,)."""
    return x.flatten(1).sum(1)


def scale_of(scale: Tensor | float, x: Tensor) -> Tensor:
    """Sizes of the components of x, a number or broadcasting to the event shape, as x has them.

    Raises:
        ValueError: Another shape, or a value that is not finite and positive.
    """
    found = torch.as_tensor(scale, dtype=x.dtype, device=x.device)
    fits = found.dim() < x.dim() and all(
        a in (1, b) for a, b in zip(found.shape[::-1], x.shape[:0:-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"scale: expected a number or a shape that broadcasts to {tuple(x.shape[1:])}, got "
            f"{tuple(found.shape)}"
        )
    if not bool((found.isfinite() & (found > 0)).all()):
        raise ValueError(f"scale: expected finite numbers above 0, got {found.min().item()}")
    return found


def per_chain(name: str, value: Tensor | float, like: Tensor) -> Tensor:
    """A positive number, or one for each chain, as (B,).

    Raises:
        ValueError: Another shape, or a value that is not finite and positive.
    """
    found = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if found.dim() == 0:
        found = found.expand(len(like)).clone()
    if tuple(found.shape) != (len(like),):
        raise ValueError(f"{name}: expected a number or shape ({len(like)},), got {found.shape}")
    if not bool((found.isfinite() & (found > 0)).all()):
        raise ValueError(f"{name}: expected finite numbers above 0, got {found.min().item()}")
    return found
