"""What some posteriors know exactly: evidence and draws."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator

from systems.posteriors import Posterior


@runtime_checkable
class KnowsEvidence(Protocol):
    """A posterior with `log_evidence(beta)`, or (beta, y) where y is a control."""

    def log_evidence(self, beta: float, *y: Sequence[float]) -> float:
        """Log Z."""


@runtime_checkable
class KnowsDraws(Protocol):
    """A posterior with `sample_exact(beta, n)`, or (beta, y, n) where y is a control."""

    def sample_exact(
        self, beta: float, *rest: Sequence[float] | int, generator: Generator
    ) -> torch.Tensor:
        """Independent draws of free numbers, float64 (n, D)."""


def exact_log_z(posterior: Posterior, beta: float, y: Sequence[float]) -> float | None:
    """Log Z where it is known; at beta = 0 it is 0, priors being normalised."""
    if beta == 0:
        return 0.0
    if not isinstance(posterior, KnowsEvidence):
        return None
    return posterior.log_evidence(beta, *([y] if posterior.observed else []))


def exact_draws(
    posterior: Posterior, beta: float, y: Sequence[float], n: int, *, generator: Generator
) -> np.ndarray | None:
    """Independent draws of free numbers, (n, D), where they can be had; of the prior at 0."""
    if beta == 0:
        if not posterior.can_sample_prior:
            return None
        return posterior.sample_prior(n, generator=generator).numpy()
    if not isinstance(posterior, KnowsDraws):
        return None
    rest = [y, n] if posterior.observed else [n]
    return posterior.sample_exact(beta, *rest, generator=generator).numpy()
