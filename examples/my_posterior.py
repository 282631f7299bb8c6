"""A posterior of your own: counts of events in a background, at every power of the likelihood.

    python scripts/temper_posterior.py --model examples/my_posterior.py:counts --beta 0:1

Five counts n_i are Poisson with mean background + signal s_i, s a known shape. Prior: background
log-normal about 5, signal exponential with mean 10.
"""

import math

import torch
from torch import Generator, Tensor

from systems.posteriors import Parameter, Positive, Posterior, Values, lognormal_log_density

SHAPE = torch.tensor([0.05, 0.25, 0.4, 0.25, 0.05], dtype=torch.float64)
COUNTS = torch.tensor([4.0, 9.0, 12.0, 6.0, 5.0], dtype=torch.float64)


def log_likelihood(v: Values) -> Tensor:
    """Of the counts, (B,)."""
    mean = v["background"][:, None] + v["signal"][:, None] * SHAPE.to(v["signal"])
    n = COUNTS.to(mean)
    return (n * mean.log() - mean - (n + 1).lgamma()).sum(1)


def log_prior(v: Values) -> Tensor:
    """Normalised, (B,)."""
    return lognormal_log_density(v["background"], 1.6, 0.5) - v["signal"] / 10 - math.log(10)


def sample_prior(n: int, generator: Generator) -> Values:
    """Draws of both parameters, (n,) each."""
    z = torch.randn(n, generator=generator, dtype=torch.float64)
    u = torch.rand(n, generator=generator, dtype=torch.float64)
    return {"background": (1.6 + 0.5 * z).exp(), "signal": -10 * (1 - u).log()}


counts = Posterior(
    log_likelihood,
    log_prior,
    [Parameter("background", support=Positive()), Parameter("signal", support=Positive())],
    sample_prior=sample_prior,
)

if __name__ == "__main__":  # a check that needs no flow: the evidence from draws of the prior
    x = counts.sample_prior(200_000, generator=Generator().manual_seed(0))
    likelihood = counts.log_likelihood(x).exp()
    error = likelihood.std() / likelihood.mean() / len(x) ** 0.5
    print(f"log evidence {likelihood.mean().log():.4f} +- {error:.4f}")
