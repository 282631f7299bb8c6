"""What goes wrong in training without the loss showing it: alarms that look at the flow meanwhile.

References:
    Wahl, Rousselot, Draxler, Schopmans and Koethe, TRADE (2024), arXiv:2410.19492.
    Blessing et al., Beyond ELBOs (2024), arXiv:2406.07423, for what the reverse ESS cannot see.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.estimators import describe_khat, effective_sample_size, pareto_khat, reliable
from boltzgen.protocols import Batch, LossTerms, Objective, Target

_MISSES = 0.2
"""Forward over reverse ESS below which a part of the target is missing."""
_UNEXPLAINED = 2.0
"""Nats of EUBO - ELBO beyond what the reverse ESS leads one to expect."""
_LEAST_WORTH = 30.0
_GROWTH, _LEAST_RESIDUAL = 10.0, 1e-2


class Alarm(ABC):
    """Looks at a flow in training, and says what is wrong.

    Attributes:
        warnings: Sentences of the last look; empty if all is well.
    """

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()

    def __call__(self, density: Density, *, generator: Generator) -> dict[str, float]:
        """Look, and return numbers for the log."""
        with torch.no_grad():
            metrics, warnings = self.look(density, generator)
        self.warnings = tuple(warnings)
        return metrics

    @abstractmethod
    def look(self, density: Density, generator: Generator) -> tuple[dict[str, float], list[str]]:
        """Numbers, and what is wrong."""


class CollapseAlarm(Alarm):
    """Reverse ESS of the flow's samples against what reference samples say.

    A flow that has lost a mode has a high reverse ESS, as it never visits it. On samples of the
    target the mode shows twice: the forward ESS is far lower, and EUBO - ELBO, the sum of both
    KL divergences, far larger than the log(1 / ESS) of weights with a log-normal law.

    Args:
        target: The target.
        reference: Samples of the target at one or several controls.
        n_samples: Samples of the flow at each.

    Raises:
        ValueError: There are fewer than two samples.
    """

    def __init__(self, target: Target, reference: Batch, *, n_samples: int) -> None:
        super().__init__()
        check_at_least("n_samples", n_samples, 2)
        check_at_least("reference", len(reference.x), 2)
        self.target, self.reference, self.n_samples = target, reference, n_samples

    def look(self, density: Density, generator: Generator) -> tuple[dict[str, float], list[str]]:
        """Metrics `alarm_reverse_ess`, `alarm_forward_ess` and `alarm_kl` at the worst control."""
        shares, warnings = [], []
        for level in self.reference.c.unique(dim=0):
            rows = (self.reference.c == level).all(1)
            x, c = self.reference.x[rows], self.reference.c[rows]
            at_reference = -self.target.energy(x, c) - density.log_prob(x, c)
            log_w = _log_weights(density, self.target, level, self.n_samples, generator)
            reverse, forward = _reverse(log_w), _forward(at_reference)
            gap = float(at_reference.double().mean() - log_w.double().mean())
            shares.append((forward / max(reverse, 1e-300), reverse, forward, gap))
            expected = -math.log(reverse) if reverse > 0 else math.inf
            if forward < _MISSES * reverse or gap > 4 * expected + _UNEXPLAINED:
                warnings.append(
                    f"At {_named(self.target, level)} the reverse ESS is {reverse:.1%} but the "
                    f"forward ESS {forward:.1%} and EUBO - ELBO {gap:.3g} nats: the flow misses "
                    "a part of the target."
                )
        _, reverse, forward, gap = min(shares)
        return {
            "alarm_reverse_ess": reverse, "alarm_forward_ess": forward, "alarm_kl": gap,
        }, warnings  # fmt: skip


class TailAlarm(Alarm):
    """Pareto k-hat of the weights: above 0.7 averages and log Z have errors that are not known.

    Args:
        target: The target.
        controls: Where to look, (K, C).
        n_samples: Samples of the flow at each.

    Raises:
        ValueError: There are fewer than 25 samples, too few for a tail.
    """

    def __init__(self, target: Target, controls: Tensor, *, n_samples: int) -> None:
        super().__init__()
        check_at_least("n_samples", n_samples, 25)
        check_at_least("controls", len(controls), 1)
        self.target, self.controls, self.n_samples = target, controls, n_samples

    def look(self, density: Density, generator: Generator) -> tuple[dict[str, float], list[str]]:
        """Metric `alarm_khat`, the largest; +inf where all weights are 0."""
        worst, warnings = -math.inf, []
        for level in self.controls:
            log_w = _log_weights(density, self.target, level, self.n_samples, generator)
            none = bool((log_w == -torch.inf).all())
            khat = math.inf if none else pareto_khat(log_w.double().cpu().numpy())
            worst = max(worst, khat)
            if not reliable(khat):
                warnings.append(
                    f"At {_named(self.target, level)} Pareto k-hat is {khat:.2f}: "
                    f"{describe_khat(khat)}."
                )
        return {"alarm_khat": worst}, warnings


class Grid(Protocol):
    """Values of one control, such as `ControlGrid`."""

    values: Tensor


class Table(Protocol):
    """Running means on a grid, such as `ExpectationTable`."""

    @property
    def grid(self) -> Grid:
        """The grid."""

    spread: Tensor
    n_refreshes: Tensor

    def worth(self) -> Tensor:
        """Samples of p that each mean is worth."""


class TransitionAlarm(Alarm):
    """Where on its grid TRADE's table of E_p[A] rests on few samples.

    Towards a transition the flow of one phase has few samples of the other, and the variance of A
    peaks: the weights of a few decide on the mean, which the residual then takes for granted.

    Args:
        table: The table.
        least: Samples that every mean should be worth.
    """

    def __init__(self, table: Table, *, least: float = _LEAST_WORTH) -> None:
        super().__init__()
        check_positive("least", least)
        self.table, self.least = table, least

    def look(self, density: Density, generator: Generator) -> tuple[dict[str, float], list[str]]:
        """Metrics `alarm_table_worth`, the least, and `alarm_table_peak`, max of c^2 Var_p[A]."""
        del density, generator
        if int(self.table.n_refreshes) == 0:
            return {}, []
        values, worth = self.table.grid.values, self.table.worth().nan_to_num(nan=0.0)
        peaks = (values.square() * self.table.spread).nan_to_num(nan=0.0)
        low, peak = int(worth.argmin()), int(peaks.argmax())
        metrics = {"alarm_table_worth": float(worth[low]), "alarm_table_peak": float(peaks[peak])}
        poor = (worth < self.least).nonzero()[:, 0]
        if not len(poor):
            return metrics, []
        return metrics, [
            f"From c = {values[poor[0]]:.4g} to {values[poor[-1]]:.4g} the table of E[dE/dc] rests "
            f"on as few as {worth[low]:.3g} samples (c = {values[low]:.4g}; c^2 Var[dE/dc] is "
            f"largest, {peaks[peak]:.3g}, at c = {values[peak]:.4g}): a transition, or no overlap "
            "with the target. More samples, a data set there or a shorter range."
        ]  # fmt: skip


class Sampler(Protocol):
    """Running losses on a grid, such as `CausalSampler`."""

    losses: Tensor
    boundaries: tuple[int, ...]


class ResidualAlarm(Alarm):
    """Whether the running residual loss of TRADE grows with the distance from the boundary.

    Errors are handed on from the boundary outwards; where the losses of the far third of the
    points are many times those of the near third, the far end has not been learnt.

    Args:
        sampler: Holds the running losses on the grid; points that were never visited have 0.
        values: The grid, (K,).
    """

    def __init__(self, sampler: Sampler, values: Tensor) -> None:
        super().__init__()
        if values.shape != sampler.losses.shape:
            raise ValueError(
                f"values: expected shape {tuple(sampler.losses.shape)} as the losses, got "
                f"{tuple(values.shape)}"
            )
        self.sampler, self.values = sampler, values

    def look(self, density: Density, generator: Generator) -> tuple[dict[str, float], list[str]]:
        """Metric `alarm_residual_growth`, mean loss of the far third over that of the near."""
        del density, generator
        index = torch.arange(len(self.values))
        away = (index[:, None] - torch.tensor(self.sampler.boundaries)).abs().amin(1)
        seen = self.sampler.losses > 0
        near, far = seen & (3 * away <= away.max()), seen & (3 * away >= 2 * away.max())
        if not (bool(near.any()) and bool(far.any())):
            return {}, []
        inner = float(self.sampler.losses[near].mean())
        outer = float(self.sampler.losses[far].mean())
        metrics = {"alarm_residual_growth": outer / inner}
        if outer < _LEAST_RESIDUAL or outer < _GROWTH * inner:
            return metrics, []
        ends = self.values[far]
        return metrics, [
            f"The residual loss of TRADE is {inner:.3g} next to the boundary and {outer:.3g} far "
            f"from it (c from {ends.min():.4g} to {ends.max():.4g}): not learnt there. More "
            "steps, a stronger causal sampler or a shorter range."
        ]


class AlarmedObjective(nn.Module):
    """An objective with alarms that look now and then, at a random stream of their own.

    Training takes the same course as without them. Their numbers are metrics of the step.

    Args:
        objective: The objective.
        alarms: By name.
        every: Steps between looks; the first is after so many.
        seed: Of the alarms' stream.
    """

    def __init__(
        self, objective: Objective, alarms: Mapping[str, Alarm], *, every: int, seed: int = 0
    ) -> None:
        super().__init__()
        check_at_least("every", every, 1)
        self.objective, self.alarms = objective, dict(alarms)
        self.every, self.seed = every, seed

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """The loss of the objective; at a look, also the alarms' metrics."""
        found = self.objective(density, batch, step=step, generator=generator)
        if (step + 1) % self.every:
            return found
        own = Generator(device=generator.device).manual_seed(self.seed + step)
        seen = [alarm(density, generator=own) for alarm in self.alarms.values()]
        metrics = {
            name: torch.tensor(value, device=found.loss.device)
            for each in seen
            for name, value in each.items()
            if math.isfinite(value)
        }
        return LossTerms(found.loss, found.metrics | metrics)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the last looks said, all alarms one after the other."""
        return tuple(text for alarm in self.alarms.values() for text in alarm.warnings)


def _log_weights(
    density: Density, target: Target, level: Tensor, n: int, generator: Generator
) -> Tensor:
    c = level.expand(n, -1)
    x, log_q = density.sample_and_log_prob(c, generator=generator)
    log_w: Tensor = -target.energy(x, c) - log_q
    return log_w


def _reverse(log_w: Tensor) -> float:
    if bool((log_w == -torch.inf).all()):
        return 0.0
    return effective_sample_size(log_w.double().cpu().numpy()) / len(log_w)


def _forward(log_w: Tensor) -> float:
    """1 / (E_p[w] E_p[1 / w]), 0 where the flow has no density at one of the samples."""
    high, low = log_w.double().logsumexp(0), (-log_w.double()).logsumexp(0)
    return float((2 * math.log(len(log_w)) - high - low).exp())


def _named(target: Target, level: Tensor) -> str:
    pairs: Sequence[tuple[str, float]] = list(
        zip(target.control_names, level.tolist(), strict=True)
    )
    return ", ".join(f"{name} = {value:.4g}" for name, value in pairs)
