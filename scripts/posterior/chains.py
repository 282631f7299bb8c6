"""Draws of a posterior at all powers by replica exchange, as data or as reference."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.kernels import (
    HMC,
    ChainState,
    DualAveraging,
    ExchangeRecord,
    ReplicaExchange,
    tune,
)
from boltzgen.protocols import Target
from boltzgen.random import spawn
from pipeline.console import ProgressBar
from posterior.settings import ChainConfig
from systems.posteriors import Posterior

_STEP = 0.1
_SWAPPED = 0.1
_TRIES = 100


@dataclass(frozen=True)
class Ladders:
    """Draws of all ladders.

    Args:
        betas: Powers of the rungs, rising, (K,).
        x: Free numbers, float64 (K, S, N, D): N draws of each of S ladders.
        acceptance: Of the trajectories, (K,).
        swaps: Of neighbours, (K - 1,).
        n_round_trips: Of replicas, over all ladders.
    """

    betas: np.ndarray
    x: np.ndarray
    acceptance: np.ndarray
    swaps: np.ndarray
    n_round_trips: float

    def at(self, beta: float) -> np.ndarray | None:
        """Draws at a power, (S, N, D); None where it is no rung."""
        near = np.flatnonzero(np.isclose(self.betas, beta, rtol=1e-9, atol=1e-12))
        return self.x[near[0]] if near.size else None

    def to_learn(self, beta: float) -> np.ndarray:
        """Draws of the first three quarters of the ladders at a rung, for training."""
        found = self.at(beta)
        if found is None:
            raise ValueError(f"beta: expected a rung of the ladder, got {beta}")
        return found[: len(found) - self._n_held_out]

    def held_out(self, beta: float) -> np.ndarray | None:
        """Draws of the other ladders, for comparison; None where the power is no rung."""
        found = self.at(beta)
        return None if found is None else found[len(found) - self._n_held_out :]

    @property
    def _n_held_out(self) -> int:
        return max(2, self.x.shape[1] // 4)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with them."""
        found = []
        bad = [f"{self.betas[k]:.3g} and {self.betas[k + 1]:.3g}"
               for k in np.flatnonzero(self.swaps < _SWAPPED)]  # fmt: skip
        if bad:
            found.append(
                f"Replica exchange: fewer than {_SWAPPED:.0%} of the swaps between beta = "
                f"{', '.join(bad)} are taken; the chains may miss modes there."
            )
        if self.n_round_trips < self.x.shape[1]:
            found.append(
                f"Replica exchange: {self.n_round_trips:.0f} trips of replicas to the prior and "
                f"back in {self.x.shape[1]} ladders; the chains may miss modes."
            )
        return found


def rungs_of(config: ChainConfig, reported: np.ndarray) -> np.ndarray:
    """Powers of the ladder: those reported, and others from the prior on, n_rungs of these.

    Below 1 they are spaced as the fifth power of equal steps, as means of log L change fastest
    near the prior (Friel and Pettitt 2008).
    """
    high = float(reported.max())
    filling = high * np.linspace(0, 1, config.n_rungs) ** 5
    far = np.abs(filling[:, None] - reported).min(1) > 1e-6 * high
    return np.union1d(reported, filling[far])


def run_ladders(  # noqa: PLR0913
    posterior: Posterior,
    target: Target,
    config: ChainConfig,
    betas: np.ndarray,
    *,
    generator: Generator,
    show_progress: bool,
) -> Ladders:
    """Run the chains, from draws of the prior (or near the origin where it has no sampler).

    Args:
        posterior: Where the chains start.
        target: The same, which books its calls; its only control is beta.
        config: Sizes.
        betas: Powers of the rungs.
        generator: Of starts and moves.
        show_progress: Whether to show a bar.

    Raises:
        ValueError: No start of positive probability was found.
    """
    starting, moving = spawn(generator, 2)
    n_rungs, n_ladders = len(betas), config.n_ladders
    c = torch.from_numpy(betas).double().repeat(n_ladders)[:, None]
    x = start(posterior, c, generator=starting)
    kernel = HMC(target, step_size=_STEP, n_leapfrog=config.n_leapfrog)
    groups = torch.arange(n_rungs).repeat(n_ladders)
    inner = tune(
        kernel, kernel.init(x, c), c, n_steps=config.n_tuning, generator=moving,
        averaging=DualAveraging(0.8, groups=groups),
    )  # fmt: skip
    exchange: ReplicaExchange[ChainState] = ReplicaExchange(
        target,
        HMC(target, step_size=inner.step_size, n_leapfrog=config.n_leapfrog),
        n_rungs=n_rungs,
    )
    draws, acceptance, record = _sample(
        exchange, inner.x, c, config, generator=moving, show_progress=show_progress
    )
    return Ladders(
        betas=betas, x=draws.permute(2, 1, 0, 3).double().numpy(), acceptance=acceptance.numpy(),
        swaps=record.acceptance.numpy(), n_round_trips=record.n_round_trips,
    )  # fmt: skip


def _sample(
    exchange: ReplicaExchange[ChainState],
    x: Tensor,
    c: Tensor,
    config: ChainConfig,
    *,
    generator: Generator,
    show_progress: bool,
) -> tuple[Tensor, Tensor, ExchangeRecord]:
    """Draws (N, S, K, D), acceptance of the trajectories (K,), and the record of the swaps."""
    state, shape = exchange.init(x, c), (config.n_ladders, exchange.n_rungs)
    record = ExchangeRecord(exchange.n_rungs)
    kept, accepted = [], torch.zeros(len(x), dtype=torch.float64)
    n_steps = config.n_burn_in + config.n_steps
    with ProgressBar("chains", unit="step", enabled=show_progress) as progress:
        for step in range(n_steps):
            progress(step, n_steps)
            state, info = exchange.step(state, c, generator=generator)
            if step < config.n_burn_in:
                continue
            record.add(info)
            accepted += info.inner.double()
            if (step - config.n_burn_in) % config.n_between == config.n_between - 1:
                kept.append(state.x.reshape(*shape, -1))
        progress(n_steps, n_steps)
    return torch.stack(kept), (accepted / config.n_steps).reshape(shape).mean(0), record


def start(target: Posterior, c: Tensor, *, generator: Generator) -> Tensor:
    """Free numbers of finite energy for each row of c, (B, D), float64.

    Raises:
        ValueError: None was found for some.
    """
    x = first_draws(target, len(c), generator=generator)
    for _ in range(_TRIES):
        forbidden = target.energy(x, c) == torch.inf
        if not bool(forbidden.any()):
            return x
        x = torch.where(forbidden[:, None], first_draws(target, len(c), generator=generator), x)
    raise ValueError(
        f"log_likelihood: no point of positive probability among {_TRIES} draws of the prior"
    )


def first_draws(target: Posterior, n: int, *, generator: Generator) -> Tensor:
    """Free numbers to begin with, float64 (n, D): of the prior, or normal without its sampler."""
    if target.can_sample_prior:
        return target.sample_prior(n, generator=generator)
    return torch.randn(n, *target.event_shape, generator=generator, dtype=torch.float64)
