"""The one training loop: it knows densities, objectives and optimisers, and nothing of losses."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.errors import NonFiniteError
from boltzgen.protocols import LossTerms, Objective
from boltzgen.training.averaging import WeightAverage
from boltzgen.training.batches import BatchSource


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the optimiser.

    Args:
        n_steps: Optimiser steps.
        learning_rate: Peak learning rate of Adam.
        warm_up: Steps over which the rate rises linearly to its peak; then it falls as a cosine.
        final_fraction: Where the cosine ends, one step after the last, as a fraction of the peak.
        max_gradient_norm: Longer gradients are scaled down to this norm.
        average_decay: Decay of the running average of the weights; 0 keeps none.
    """

    n_steps: int
    learning_rate: float = 1e-3
    warm_up: int = 100
    final_fraction: float = 0.01
    max_gradient_norm: float = 10.0
    average_decay: float = 0.0

    def __post_init__(self) -> None:
        check_at_least("n_steps", self.n_steps, 1)
        check_at_least("warm_up", self.warm_up, 0)
        check_positive("learning_rate", self.learning_rate)
        check_positive("max_gradient_norm", self.max_gradient_norm)
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"average_decay: expected 0 <= decay < 1, got {self.average_decay}")
        if not 0 < self.final_fraction <= 1:
            raise ValueError(f"final_fraction: expected 0 < f <= 1, got {self.final_fraction}")

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        progress = (step - self.warm_up) / max(self.n_steps - self.warm_up, 1)
        fall = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        return self.learning_rate * (self.final_fraction + (1 - self.final_fraction) * fall)


class StepRecord(NamedTuple):
    """What one step has to tell: steps done, steps in all, and its metrics."""

    step: int
    n_steps: int
    metrics: dict[str, float]


class Trainer:
    """Fits a density; iterate over it to train, one `StepRecord` a step.

    All that a later step depends on is in `state()`: weights, optimiser, memory of the objective,
    random stream, step. A trainer rebuilt with the same arguments and `restore`d goes on exactly
    as if it had not stopped.

    Args:
        density: What is fitted, in place.
        objective: The loss.
        batches: Source of data.
        config: Settings.
        generator: The random stream of batches and objective.
    """

    def __init__(
        self,
        density: Density,
        objective: Objective,
        batches: BatchSource,
        config: TrainConfig,
        *,
        generator: Generator,
    ) -> None:
        self.density, self.objective, self.batches = density, objective, batches
        self.config, self.generator = config, generator
        self.step = 0
        self.parameters = [p for p in density.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate)
        self.average = WeightAverage(density, config.average_decay)

    def __iter__(self) -> Iterator[StepRecord]:
        while self.step < self.config.n_steps:
            yield self._advance()

    def _advance(self) -> StepRecord:
        """One optimiser step.

        Raises:
            NonFiniteError: The loss, one of its terms or the gradient is not finite; the weights
                are those of the step before.
        """
        batch = self.batches.draw(generator=self.generator)
        result = self.objective(self.density, batch, step=self.step, generator=self.generator)
        self._require_finite(result)
        self.optimizer.zero_grad(set_to_none=True)
        result.loss.backward()
        norm = self._clip(float(result.loss.detach()))
        rate = self.config.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.average.update(self.density)
        self.step += 1
        metrics = {name: float(value) for name, value in result.metrics.items()}
        metrics |= {"loss": float(result.loss.detach()), "gradient_norm": float(norm), "rate": rate}
        return StepRecord(self.step, self.config.n_steps, metrics)

    def _clip(self, loss: float) -> Tensor:
        """Scale the gradient down to its largest norm; return the norm it had."""
        longest = self.config.max_gradient_norm
        try:
            return torch.nn.utils.clip_grad_norm_(self.parameters, longest, error_if_nonfinite=True)
        except RuntimeError as error:
            raise NonFiniteError(
                f"gradient is not finite at step {self.step}, the loss being {loss}; "
                f"{_first_not_finite(self.density)}"
            ) from error

    def _require_finite(self, result: LossTerms) -> None:
        bad = {k: float(v) for k, v in result.metrics.items() if not bool(torch.isfinite(v))}
        if bad or not bool(result.loss.isfinite()):
            named = ", ".join(f"{name} = {value}" for name, value in bad.items())
            raise NonFiniteError(
                f"loss is {float(result.loss.detach())} at step {self.step}"
                + (f"; terms that are not finite: {named}" if named else "")
            )

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, as tensors with names for a checkpoint."""
        tensors = {f"density/{k}": v for k, v in self.density.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.weights.items()}
        if isinstance(self.objective, torch.nn.Module):
            tensors |= {f"objective/{k}": v for k, v in self.objective.state_dict().items()}
        for index, parameter in enumerate(self.parameters):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{index}/{key}"] = torch.as_tensor(value)
        tensors["generator"] = self.generator.get_state()
        tensors["step"] = torch.tensor(self.step)
        return {name: value.detach().clone() for name, value in tensors.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take up the state of another trainer built with the same arguments.

        Raises:
            ValueError: An entry is missing, left over or of another shape or dtype; nothing is
                changed then.
        """
        self._require_fit(tensors)
        self.density.load_state_dict(_under("density/", tensors))
        self.average.load(_under("average/", tensors))
        if isinstance(self.objective, torch.nn.Module):
            self.objective.load_state_dict(_under("objective/", tensors))
        self.optimizer.state.clear()
        for index, parameter in enumerate(self.parameters):
            entries = _under(f"optimizer/{index}/", tensors)
            if entries:
                self.optimizer.state[parameter] = {
                    k: v.clone() if k == "step" else v.to(parameter.device, copy=True)
                    for k, v in entries.items()
                }
        self.generator.set_state(tensors["generator"])
        self.step = int(tensors["step"])

    def _require_fit(self, tensors: dict[str, Tensor]) -> None:
        """Require the names, shapes and dtypes of this trainer's own state."""
        expected = {name: _kind(v) for name, v in self.state().items() if not _of_optimizer(name)}
        for index, parameter in enumerate(self.parameters):
            # A parameter that never had a gradient has no moments, so all or none.
            if _under(f"optimizer/{index}/", tensors):
                for key in ("exp_avg", "exp_avg_sq"):
                    expected[f"optimizer/{index}/{key}"] = _kind(parameter)
                expected[f"optimizer/{index}/step"] = ((), torch.float32)
        given = {name: _kind(value) for name, value in tensors.items()}
        differ = sorted(dict(given.items() ^ expected.items()))
        if differ:
            first = differ[0]
            raise ValueError(
                f"tensors: expected the state of this trainer, got {len(differ)} other entries, "
                f"such as {first}: expected {expected.get(first)}, got {given.get(first)}"
            )
        if int(tensors["step"]) > 0 and not _under("optimizer/", tensors):
            raise ValueError("tensors: expected the state of the optimiser, got none")


def _first_not_finite(density: Density) -> str:
    """Name the first parameter whose gradient is not finite."""
    for name, parameter in density.named_parameters():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            return f"the first gradient that is not finite is that of {name}"
    return "every gradient is finite but their norm is not"


def _kind(tensor: Tensor) -> tuple[tuple[int, ...], torch.dtype]:
    return tuple(tensor.shape), tensor.dtype


def _of_optimizer(name: str) -> bool:
    return name.startswith("optimizer/")


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Entries whose names start with a prefix, without it."""
    return {name[len(prefix) :]: v for name, v in tensors.items() if name.startswith(prefix)}
