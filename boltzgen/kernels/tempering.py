"""Replica exchange over a ladder of controls, and how to lay the ladder out.

References:
    Sugita and Okamoto, Chem. Phys. Lett. 314, 141 (1999).
    Syed, Bouchard-Cote, Deligiannidis and Doucet, J. R. Stat. Soc. B 84, 321 (2022),
    arXiv:1905.02939: even-odd swaps, round trips, and the communication barrier.
"""

from typing import Generic, NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_at_least, check_controls
from boltzgen.kernels.common import MovingT, accept
from boltzgen.protocols import Kernel, Target


class ExchangeState(NamedTuple, Generic[MovingT]):
    """State of all rungs.

    Args:
        x: Configurations (S K, *E): S independent ladders of K rungs, those of one ladder together.
        inner: State of the kernel that moves them.
        replica: Which replica of its ladder is on each rung, 0 to K - 1, (S K,).
        parity: Whether even (0) or odd (1) rungs propose the next swap.
    """

    x: Tensor
    inner: MovingT
    replica: Tensor
    parity: int


class ExchangeInfo(NamedTuple):
    """What a step did.

    Args:
        inner: Acceptance of each inner step, averaged over the steps, (S K,).
        swap_acceptance: Probability of the swap of rungs k and k + 1, mean over ladders, (K - 1,);
            NaN where none was proposed.
        replica: Which replica is on each rung after the step, (S, K).
    """

    inner: Tensor
    swap_acceptance: Tensor
    replica: Tensor


class ReplicaExchange(Generic[MovingT]):
    """Steps of an inner kernel on every rung, then swaps of neighbours, even and odd by turns.

    Configurations are swapped; velocities and step sizes stay with their rungs, which is exact
    where the inner kernel's other fields are distributed alike at all controls.

    Args:
        target: The target.
        kernel: Moves the rungs; its state has x, energy, gradient.
        n_rungs: K, at least 2.
        n_inner: Inner steps between swaps.
    """

    def __init__(self, target: Target, kernel: Kernel, *, n_rungs: int, n_inner: int = 1) -> None:
        check_at_least("n_rungs", n_rungs, 2)
        check_at_least("n_inner", n_inner, 1)
        self.target, self.kernel = target, kernel
        self.n_rungs, self.n_inner = n_rungs, n_inner

    def init(self, x: Tensor, c: Tensor) -> ExchangeState:
        """State at configurations x (S K, *E) and controls c (S K, C), the same in each ladder.

        Raises:
            ValueError: The rows are not whole ladders with the same rungs, or as `kernel.init`.
        """
        check_controls("c", c, len(x), len(self.target.control_names))
        if len(x) == 0 or len(x) % self.n_rungs:
            raise ValueError(f"x: expected a multiple of {self.n_rungs} rows, got {len(x)}")
        rungs = c.unflatten(0, (-1, self.n_rungs))
        if not bool((rungs == rungs[:1]).all()):
            raise ValueError("c: expected the same rungs in each ladder")
        inner = self.kernel.init(x, c)
        replica = torch.arange(self.n_rungs, device=x.device).repeat(len(rungs))
        return ExchangeState(x, inner, replica, 0)

    def step(
        self, state: ExchangeState, c: Tensor, *, generator: Generator
    ) -> tuple[ExchangeState, ExchangeInfo]:
        """Inner steps and one round of swaps."""
        inner = state.inner
        total = torch.zeros_like(inner.energy)
        for _ in range(self.n_inner):
            inner, info = self.kernel.step(inner, c, generator=generator)
            total = total + info.acceptance
        order, acceptance = self._swaps(inner, c, state.parity, generator)
        fresh = self.kernel.init(inner.x[order], c)
        inner = inner._replace(x=fresh.x, energy=fresh.energy, gradient=fresh.gradient)
        replica = state.replica[order]
        new = ExchangeState(inner.x, inner, replica, 1 - state.parity)
        return new, ExchangeInfo(
            total / self.n_inner, acceptance, replica.reshape(-1, self.n_rungs)
        )

    def _swaps(
        self, inner: MovingT, c: Tensor, parity: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Which row goes where, (S K,), and the acceptance of each pair of rungs, (K - 1,)."""
        rows = torch.arange(len(c), device=c.device).reshape(-1, self.n_rungs)
        low, high = rows[:, parity:-1:2].flatten(), rows[:, parity + 1 :: 2].flatten()
        partner = rows.flatten().clone()
        partner[low], partner[high] = high, low
        with torch.no_grad():
            crossed = self.target.energy(inner.x, c[partner])
        gain = inner.energy - crossed
        info = accept(gain[low] + gain[high], generator=generator)
        order = rows.flatten().clone()
        order[low] = torch.where(info.accepted, high, low)
        order[high] = torch.where(info.accepted, low, high)
        found = inner.energy.new_full((self.n_rungs - 1,), torch.nan)
        if len(low):
            found[parity::2] = info.acceptance.reshape(len(rows), -1).mean(0)
        return order, found


class ExchangeRecord:
    """Statistics of the swaps over many steps.

    Args:
        n_rungs: K.
    """

    def __init__(self, n_rungs: int) -> None:
        check_at_least("n_rungs", n_rungs, 2)
        self.n_rungs = n_rungs
        self._sum = torch.zeros(n_rungs - 1, dtype=torch.float64)
        self._count = torch.zeros(n_rungs - 1, dtype=torch.float64)
        self._last_end: Tensor | None = None
        self._half_trips = 0

    def add(self, info: ExchangeInfo) -> None:
        """Take in one step."""
        seen = ~info.swap_acceptance.isnan()
        self._sum += info.swap_acceptance.nan_to_num(0.0).double().cpu()
        self._count += seen.double().cpu()
        replica = info.replica.cpu()
        if self._last_end is None:
            self._last_end = torch.full(replica.shape, -1)
        for end, rung in ((0, 0), (1, self.n_rungs - 1)):
            here = replica[:, rung : rung + 1]
            last = self._last_end.gather(1, here)
            self._half_trips += int((last == 1 - end).sum())
            self._last_end.scatter_(1, here, end)

    @property
    def acceptance(self) -> Tensor:
        """Mean acceptance of each pair of neighbours, (K - 1,); NaN where none was proposed."""
        return self._sum / self._count

    @property
    def n_round_trips(self) -> float:
        """Trips of replicas from one end of the ladder to the other and back, over all ladders."""
        return self._half_trips / 2


def communication_barrier(acceptance: Tensor) -> float:
    """Sum of the rejection rates of neighbours: the length of the path in units of certain loss."""
    return float((1 - acceptance).sum())


def balanced_ladder(values: Tensor, acceptance: Tensor, *, wanted: float) -> Tensor:
    """Lay out a ladder on which all neighbours swap with the same, wanted acceptance.

    The rejection rates of a pilot run add up to a cumulative barrier over log c, which is cut into
    equal parts.

    Args:
        values: Control of the pilot's rungs, increasing, (K,).
        acceptance: Acceptance of its neighbours, (K - 1,), each above 0 or the pilot is too coarse.
        wanted: Acceptance of the new ladder, between 0 and 1.

    Returns:
        Values of the new rungs from the first to the last of the old, (K',), K' of at least 2.

    Raises:
        ValueError: The values do not increase, shapes differ, or the pilot never swapped.
    """
    rising = values.dim() == 1 and len(values) > 1 and bool((values.diff() > 0).all())
    if not rising or not values.is_floating_point() or not values[0] > 0:
        raise ValueError(
            f"values: expected two or more increasing floating-point numbers above 0, got {values}"
        )
    if acceptance.shape != (len(values) - 1,) or not bool((acceptance > 0).all()):
        raise ValueError(
            f"acceptance: expected {len(values) - 1} numbers above 0, got {acceptance.tolist()}; "
            "take more rungs for the pilot"
        )
    if not 0 < wanted < 1:
        raise ValueError(f"wanted: expected a number between 0 and 1, got {wanted}")
    # A small floor keeps the path increasing where every swap was taken.
    steps = (1 - acceptance).clamp_min(1e-6).to(values.dtype)
    along = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    n_rungs = 1 + max(1, int(torch.ceil(along[-1] / (1 - wanted)).item()))
    places = torch.linspace(0, float(along[-1]), n_rungs, dtype=values.dtype)
    index = torch.searchsorted(along, places, right=True).clamp(1, len(values) - 1)
    share = (places - along[index - 1]) / (along[index] - along[index - 1])
    logs = values.log()
    found = (logs[index - 1] + share * (logs[index] - logs[index - 1])).exp()
    found[0], found[-1] = values[0], values[-1]
    return found
