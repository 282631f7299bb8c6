"""Run a kernel and keep what its chains visit."""

from typing import NamedTuple, Protocol, TypeVar

from torch import Generator, Tensor

from boltzgen.checks import check_at_least
from boltzgen.kernels.common import Info
from boltzgen.protocols import Kernel


class Placed(Protocol):
    """A state with a position."""

    @property
    def x(self) -> Tensor:
        """Configurations, (B, *E)."""


PlacedT = TypeVar("PlacedT", bound=Placed)


class ChainRun(NamedTuple):
    """What chains visited: xs (n_steps, B, *E), and their mean acceptance probability (B,)."""

    xs: Tensor
    acceptance: Tensor


def run_chain(
    kernel: Kernel[PlacedT, Info], state: PlacedT, c: Tensor, n_steps: int, *, generator: Generator
) -> ChainRun:
    """Run a kernel and keep every position after a step; the start is not among them.

    Args:
        kernel: A kernel whose info has an `acceptance` (B,).
        state: Where to start, as `kernel.init` returns it.
        c: Controls, (B, C).
        n_steps: How many steps, at least 1.
        generator: Of the kernel.

    Returns:
        All positions, which fill memory, and the mean acceptance of each chain.

    Raises:
        ValueError: There are no steps.
    """
    check_at_least("n_steps", n_steps, 1)
    xs, total = state.x.new_empty((n_steps, *state.x.shape)), state.x.new_zeros(len(state.x))
    for step in range(n_steps):
        state, info = kernel.step(state, c, generator=generator)
        xs[step] = state.x
        total = total + info.acceptance
    return ChainRun(xs, total / n_steps)
