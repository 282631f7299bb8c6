"""A continuous normalising flow with the graph network of a free-form flow: what it is timed with.

References:
    Chen, Rubanova, Bettencourt and Duvenaud, Neural ordinary differential equations (2018),
    arXiv:1806.07366.
    Lipman, Chen, Ben-Hamu, Nickel and Le, Flow matching (2022), arXiv:2210.02747.
"""

import math
import time

import torch
from torch import Generator, Tensor, nn

from boltzgen.flows import CentredNormal, Standardised
from boltzgen.flows.free_form import EquivariantGraph
from boltzgen.random import seeded
from pipeline.console import ProgressBar

_SOLVER = "dopri5"
_DECAY = 0.999


def require_torchdiffeq() -> None:
    """Raise where the solver is missing.

    Raises:
        ImportError: It is; names the extra.
    """
    try:
        import torchdiffeq  # noqa: F401
    except ImportError as error:
        raise ImportError("torchdiffeq: pip install 'boltzgen-flows[bench]'") from error


class ContinuousFlow(nn.Module):
    """x(1) of dx/dt = graph(x, t) - x, from a normal cluster x(0).

    Args:
        n_particles: N.
        n_dims: n.
        n_hidden: Width of the graph network.
        n_layers: Its layers.
        length: Spread of the particles.
        tolerance: Relative and absolute tolerance of the adaptive solver.
    """

    def __init__(  # noqa: PLR0913
        self,
        n_particles: int,
        n_dims: int,
        *,
        n_hidden: int,
        n_layers: int,
        length: float,
        tolerance: float = 1e-5,
    ) -> None:
        super().__init__()
        seen = Standardised(torch.tensor([0.5]), torch.tensor([0.3]))
        self.graph = EquivariantGraph(
            n_particles, n_dims, seen, n_hidden=n_hidden, n_layers=n_layers, length=length
        )
        self.base = CentredNormal(n_particles, n_dims, 0, scale=length)
        self.tolerance = tolerance
        self.n_calls = 0

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """dx/dt: (B, N, n), (B, 1) -> (B, N, n)."""
        moved: Tensor = self.graph(x, t) - x
        return moved

    def matching_loss(self, x: Tensor, *, generator: Generator) -> Tensor:
        """Mean squared error of the velocity on straight lines from noise to data (B, N, n)."""
        start = self.base.sample(x.new_zeros(len(x), 0), generator=generator)
        t = torch.rand(len(x), 1, generator=generator, dtype=x.dtype, device=x.device)
        between = start + t[..., None] * (x - start)
        return (self.velocity(between, t) - (x - start)).square().sum((1, 2)).mean()

    def _rate(self, x: Tensor, time: Tensor) -> Tensor:
        self.n_calls += 1
        return self.velocity(x, time.expand(len(x), 1).to(x.dtype))

    def _rate_with_volume(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity and its divergence, which is exact: D products with tangents."""
        n = x[0].numel()
        basis = torch.eye(n, dtype=x.dtype, device=x.device).reshape(n, *x.shape[1:])

        def along(direction: Tensor) -> Tensor:
            tangent = direction.expand_as(x)
            moved: Tensor = torch.func.jvp(lambda at: self._rate(at, time), (x,), (tangent,))[1]
            return (moved * tangent).sum((1, 2))

        return self._rate(x, time), torch.func.vmap(along)(basis).sum(0)

    @torch.no_grad()
    def sample(self, n: int, *, generator: Generator, like: Tensor) -> Tensor:
        """Draw n configurations with the adaptive solver."""
        from torchdiffeq import odeint

        start = self.base.sample(like.new_zeros(n, 0), generator=generator)
        path: Tensor = odeint(
            lambda time, x: self._rate(x, time), start, like.new_tensor([0.0, 1.0]),
            method=_SOLVER, rtol=self.tolerance, atol=self.tolerance,
        )  # fmt: skip
        return path[-1]

    @torch.no_grad()
    def sample_and_log_prob(
        self, n: int, *, generator: Generator, like: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same with log-densities, (n, N, n_dims) and (n,)."""
        from torchdiffeq import odeint

        start, log_base = self.base.sample_and_log_prob(like.new_zeros(n, 0), generator=generator)
        path, volume = odeint(
            lambda time, state: self._rate_with_volume(state[0], time),
            (start, torch.zeros_like(log_base)), like.new_tensor([0.0, 1.0]),
            method=_SOLVER, rtol=self.tolerance, atol=self.tolerance,
        )  # fmt: skip
        return path[-1], log_base - volume[-1]


def train_continuous(  # noqa: PLR0913
    flow: ContinuousFlow,
    x: Tensor,
    *,
    seconds: float,
    batch_size: int,
    learning_rate: float,
    generator: Generator,
) -> int:
    """Flow matching for a given time; the weights end as their running average.

    The rate falls as a cosine of the time that has gone by. Returns the number of steps.
    """
    adam = torch.optim.Adam(flow.parameters(), lr=learning_rate)
    average = [p.detach().clone() for p in flow.parameters()]
    started, done = time.monotonic(), 0
    with ProgressBar("flow matching", unit="s", enabled=True) as progress:
        while (gone := time.monotonic() - started) < seconds:
            adam.param_groups[0]["lr"] = (
                learning_rate * (1 + math.cos(math.pi * gone / seconds)) / 2
            )
            rows = torch.randint(len(x), (batch_size,), generator=generator)
            adam.zero_grad(set_to_none=True)
            flow.matching_loss(x[rows], generator=generator).backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
            adam.step()
            done += 1
            share = min(_DECAY, done / (done + 10))
            for kept, now in zip(average, flow.parameters(), strict=True):
                kept.lerp_(now.detach(), 1 - share)
            progress(int(gone), math.ceil(seconds))
        progress(math.ceil(seconds), math.ceil(seconds))
    with torch.no_grad():
        for kept, now in zip(average, flow.parameters(), strict=True):
            now.copy_(kept)
    return done


def new_continuous(  # noqa: PLR0913
    n_particles: int,
    n_dims: int,
    *,
    n_hidden: int,
    n_layers: int,
    length: float,
    generator: Generator,
) -> ContinuousFlow:
    """An untrained one."""
    with seeded(generator):
        return ContinuousFlow(
            n_particles, n_dims, n_hidden=n_hidden, n_layers=n_layers, length=length
        )
