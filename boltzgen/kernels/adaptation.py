"""Step sizes by dual averaging, before the sampling proper."""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_at_least
from boltzgen.kernels.common import MovingT
from boltzgen.protocols import Kernel

_GAMMA, _OFFSET, _DECAY = 0.05, 10.0, 0.75


class AveragingState(NamedTuple):
    """Log step size (G,), its average, the averaged shortfall of acceptance, updates."""

    log_step: Tensor
    log_average: Tensor
    shortfall: Tensor
    origin: Tensor
    n_updates: int


class DualAveraging:
    """Moves step sizes until the mean acceptance is what is wanted.

    Chains of one group share a step size; their acceptance is averaged.

    Args:
        acceptance: Wanted mean acceptance, between 0 and 1.
        groups: Number of the group of each chain, (B,), from 0 on; by default all in one.

    Raises:
        ValueError: The acceptance is not between 0 and 1.

    References:
        Hoffman and Gelman, J. Mach. Learn. Res. 15, 1593 (2014), section 3.2, with the constants
        given there.
    """

    def __init__(self, acceptance: float = 0.8, *, groups: Tensor | None = None) -> None:
        if not 0 < acceptance < 1:
            raise ValueError(f"acceptance: expected a number between 0 and 1, got {acceptance}")
        self.acceptance, self.groups = acceptance, groups

    def init(self, step_size: Tensor) -> AveragingState:
        """Start from step sizes (G,)."""
        log_step = step_size.log()
        zero = torch.zeros_like(log_step)
        return AveragingState(log_step, zero, zero, log_step + math.log(10.0), 0)

    def update(self, state: AveragingState, acceptance: Tensor) -> AveragingState:
        """Take in the mean acceptance of each group (G,)."""
        n_updates = state.n_updates + 1
        weight = 1 / (n_updates + _OFFSET)
        shortfall = (1 - weight) * state.shortfall + weight * (self.acceptance - acceptance)
        log_step = state.origin - n_updates**0.5 / _GAMMA * shortfall
        share = n_updates**-_DECAY
        log_average = share * log_step + (1 - share) * state.log_average
        return AveragingState(log_step, log_average, shortfall, state.origin, n_updates)


def tune(
    kernel: Kernel,
    state: MovingT,
    c: Tensor,
    *,
    n_steps: int,
    generator: Generator,
    averaging: DualAveraging | None = None,
) -> MovingT:
    """Run a kernel while adapting the step sizes in its state; return the state with the last ones.

    The chains move on as they do, but what they visit here does not follow p: throw it away.

    Args:
        kernel: A kernel whose state has a `step_size` (B,) and whose info an `acceptance` (B,).
        state: Where to start.
        c: Controls, (B, C).
        n_steps: Steps of adaptation.
        generator: Of the kernel.
        averaging: How; by default towards an acceptance of 0.8, all chains alike.

    Raises:
        ValueError: There are no steps or chains, the groups have another shape, or the kernel has
            no step size or accepts everything.
    """
    check_at_least("n_steps", n_steps, 1)
    if not hasattr(state, "step_size") or not getattr(kernel, "metropolis", True):
        raise ValueError(
            f"kernel: expected one with a step size and a Metropolis test, got "
            f"{type(kernel).__name__}; of a replica exchange, tune the inner kernel"
        )
    if len(state.x) == 0:
        raise ValueError("state: expected at least one chain, got none")
    averaging = averaging or DualAveraging()
    groups = averaging.groups
    if groups is None:
        groups = torch.zeros(len(state.x), dtype=torch.long, device=state.x.device)
    if groups.shape != (len(state.x),):
        raise ValueError(f"groups: expected shape ({len(state.x)},), got {tuple(groups.shape)}")
    found = averaging.init(_means(state.step_size.log(), groups).exp())
    for _ in range(n_steps):
        state = state._replace(step_size=found.log_step.exp()[groups])
        state, info = kernel.step(state, c, generator=generator)
        found = averaging.update(found, _means(info.acceptance, groups))
    return state._replace(step_size=found.log_average.exp()[groups])


def _means(values: Tensor, groups: Tensor) -> Tensor:
    """Mean of each group, (B,) -> (G,)."""
    n_groups = int(groups.max()) + 1
    sums = values.new_zeros(n_groups).index_add_(0, groups, values)
    counts = values.new_zeros(n_groups).index_add_(0, groups, torch.ones_like(values))
    return sums / counts
