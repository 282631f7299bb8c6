"""Draws of a posterior at all powers by replica exchange, as data or as reference."""

import numpy as np
import torch
from torch import Generator, Tensor

from boltzgen.protocols import Target
from boltzgen.random import spawn
from pipeline.ladders import Ladders, climb, ladder_controls
from posterior.settings import ChainConfig
from systems.posteriors import Posterior

_TRIES = 100


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
    x = start(posterior, ladder_controls(betas, config.n_ladders), generator=starting)
    return climb(target, config, betas, x, generator=moving, show_progress=show_progress)


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
