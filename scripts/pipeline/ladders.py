"""Replica exchange over the values of one control, with Hamiltonian Monte Carlo at each."""

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
from pipeline.console import ProgressBar

_ACCEPTANCE = 0.8
_STEP = 0.1
_SWAPPED = 0.1
_LEAST_HELD_OUT = 4


@dataclass(frozen=True, kw_only=True)
class LadderConfig:
    """Sizes of replica exchange.

    Args:
        n_ladders: Independent ladders.
        n_tuning: Steps that adapt the step sizes.
        n_burn_in: Steps before the first draw is kept.
        n_steps: Steps from which draws are kept.
        n_between: Steps from one kept draw to the next.
        n_leapfrog: Mean leapfrog steps of a trajectory.
    """

    n_ladders: int = 64
    n_tuning: int = 400
    n_burn_in: int = 400
    n_steps: int = 2000
    n_between: int = 4
    n_leapfrog: int = 8


@dataclass(frozen=True)
class Ladders:
    """Draws of all ladders.

    Args:
        name: Of the control.
        values: Of the rungs, rising, (K,).
        x: float64 (K, S, N, *E): N draws of each of S ladders.
        acceptance: Of the trajectories, (K,).
        swaps: Of neighbours, (K - 1,).
        n_round_trips: Of replicas, over all ladders.
    """

    name: str
    values: np.ndarray
    x: np.ndarray
    acceptance: np.ndarray
    swaps: np.ndarray
    n_round_trips: float

    def at(self, value: float) -> np.ndarray | None:
        """Draws at a rung, (S, N, *E); None where there is no such rung."""
        near = np.flatnonzero(np.isclose(self.values, value, rtol=1e-9, atol=1e-12))
        return self.x[near[0]] if near.size else None

    def to_learn(self, value: float) -> np.ndarray:
        """Draws of the first three quarters of the ladders, all but four or more, for training."""
        found = self.at(value)
        if found is None:
            raise ValueError(f"{self.name}: expected a rung of the ladder, got {value}")
        return found[: len(found) - self._n_held_out]

    def held_out(self, value: float) -> np.ndarray | None:
        """Draws of the other ladders, for comparison; None where there is no such rung."""
        found = self.at(value)
        return None if found is None else found[len(found) - self._n_held_out :]

    @property
    def _n_held_out(self) -> int:
        return max(_LEAST_HELD_OUT, self.x.shape[1] // 4)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with them."""
        found = []
        bad = [f"{self.values[k]:.3g} and {self.values[k + 1]:.3g}"
               for k in np.flatnonzero(self.swaps < _SWAPPED)]  # fmt: skip
        if bad:
            found.append(
                f"Replica exchange: fewer than {_SWAPPED:.0%} of the swaps between {self.name} = "
                f"{', '.join(bad)} are taken; the chains may miss modes there."
            )
        if self.n_round_trips < self.x.shape[1]:
            found.append(
                f"Replica exchange: {self.n_round_trips:.0f} trips of replicas from end to end and "
                f"back in {self.x.shape[1]} ladders; the chains may miss modes."
            )
        return found


def climb(  # noqa: PLR0913
    target: Target,
    config: LadderConfig,
    values: np.ndarray,
    x: Tensor,
    *,
    generator: Generator,
    show_progress: bool,
) -> Ladders:
    """Run replica exchange from given starts; the step size of each rung is tuned first.

    Args:
        target: Its only control is that of the rungs.
        config: Sizes.
        values: Of the rungs, rising, (K,).
        x: Starts of finite energy, float64 (S K, *E), ladder by ladder.
        generator: Of the moves.
        show_progress: Whether to show a bar.
    """
    n_rungs, n_ladders = len(values), config.n_ladders
    c = ladder_controls(values, n_ladders)
    kernel = HMC(target, step_size=_STEP, n_leapfrog=config.n_leapfrog)
    groups = torch.arange(n_rungs).repeat(n_ladders)
    inner = tune(
        kernel, kernel.init(x, c), c, n_steps=config.n_tuning, generator=generator,
        averaging=DualAveraging(_ACCEPTANCE, groups=groups),
    )  # fmt: skip
    exchange: ReplicaExchange[ChainState] = ReplicaExchange(
        target,
        HMC(target, step_size=inner.step_size, n_leapfrog=config.n_leapfrog),
        n_rungs=n_rungs,
    )
    draws, acceptance, record = _sample(
        exchange, inner.x, c, config, generator=generator, show_progress=show_progress
    )
    return Ladders(
        name=target.control_names[0], values=values,
        x=draws.transpose(0, 2).double().numpy(), acceptance=acceptance.numpy(),
        swaps=record.acceptance.numpy(), n_round_trips=record.n_round_trips,
    )  # fmt: skip


def ladder_controls(values: np.ndarray, n_ladders: int) -> Tensor:
    """Controls of all chains, ladder by ladder, float64 (S K, 1)."""
    return torch.from_numpy(values).double().repeat(n_ladders)[:, None]


def _sample(
    exchange: ReplicaExchange[ChainState],
    x: Tensor,
    c: Tensor,
    config: LadderConfig,
    *,
    generator: Generator,
    show_progress: bool,
) -> tuple[Tensor, Tensor, ExchangeRecord]:
    """Draws (N, S, K, *E), acceptance of the trajectories (K,), and the record of the swaps."""
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
                kept.append(state.x.unflatten(0, shape))
        progress(n_steps, n_steps)
    return torch.stack(kept), (accepted / config.n_steps).reshape(shape).mean(0), record
