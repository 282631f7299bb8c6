"""Rubin's eight schools: a hierarchical model whose posterior is an integral over one number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.posteriors.densities import (
    half_cauchy_log_density,
    normal_log_density,
    positive_part,
)
from systems.posteriors.line import LineDensity
from systems.posteriors.parameters import Parameter, Values
from systems.posteriors.posterior import Posterior
from systems.posteriors.supports import Positive

_EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
_ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
_MEAN_WIDTH, _SPREAD_WIDTH = 5.0, 5.0
_REACH, _N_NODES = 40.0, 2**14 + 1


@dataclass(frozen=True)
class SchoolMoments:
    """Moments of the posterior of mu, tau and every theta_j, in this order.

    labels: Names, such as theta[0]. means: (2 + J,). deviations: Standard deviations, (2 + J,).
    """

    labels: tuple[str, ...]
    means: np.ndarray
    deviations: np.ndarray


class EightSchools(Posterior):
    """y_j ~ N(theta_j, sigma_j^2), theta_j ~ N(mu, tau^2), mu ~ N(0, 5^2), tau ~ C+(0, 5).

    The priors of Stan's case studies and of posteriordb: a half-Cauchy density of scale 5 on
    tau > 0, here with its factor 2, so that Z(1) is the evidence. The centred form has the
    parameters mu, tau and theta; the other has eta with theta = mu + tau eta, eta ~ N(0, 1), whose
    density has no funnel. Given tau, all else is normal at every power, so that evidence and
    moments are integrals over tau.

    Args:
        y: Observed effects, J of them.
        sigma: Their standard errors.
        centred: Which form.

    Raises:
        ValueError: y and sigma differ in length, or a standard error is not positive.

    References:
        Rubin, J. Educ. Stat. 6, 377 (1981), for the data. Betancourt and Girolami,
        arXiv:1312.0906, for the two forms. Magnusson et al., posteriordb, arXiv:2407.04967.
    """

    def __init__(
        self,
        y: Sequence[float] = _EFFECTS,
        sigma: Sequence[float] = _ERRORS,
        *,
        centred: bool = True,
    ) -> None:
        if len(y) != len(sigma) or not len(y):
            raise ValueError(f"sigma: expected as many numbers as y, {len(y)}, got {len(sigma)}")
        for error in sigma:
            check_positive("sigma", error)
        self.y, self.sigma, self.centred = tuple(y), tuple(sigma), centred
        own = Parameter("theta" if centred else "eta", (len(self.y),))
        super().__init__(
            self._log_likelihood_of, self._log_prior_of,
            [Parameter("mu"), Parameter("tau", support=Positive()), own],
            sample_prior=self._sample_prior_of, simulate=self._simulate_data,
        )  # fmt: skip

    def effects(self, x: Tensor) -> Tensor:
        """The effects theta in either form: free numbers (B, D) -> (B, J)."""
        return self._effects_of(self.space.constrain(x)[0])

    def log_evidence(self, beta: float = 1.0) -> float:
        """Log of the integral of L^beta times the prior, by a trapezoid sum to rounding."""
        check_positive("beta", beta)
        return self._given_spread(beta)[0].log_integral

    def moments(self, beta: float = 1.0) -> SchoolMoments:
        """Means and deviations of mu, tau and theta at a power, by the same sums.

        Raises:
            ValueError: The power is not positive; a priori tau has no mean.
        """
        check_positive("beta", beta)
        density, centre, variance = self._given_spread(beta)
        tau = np.exp(density.nodes)
        error = np.array(self.sigma)[:, None] ** 2 / beta
        share = error / (error + tau**2)
        theta = (1 - share) * np.array(self.y)[:, None] + share * centre
        within = np.stack([variance, 0 * tau, *((1 - share) * error + share**2 * variance)])
        given = np.stack([centre, tau, *theta])
        means = density.mean(given)
        spread = density.mean(within + (given - means[:, None]) ** 2)
        labels = ("mu", "tau", *(f"theta[{j}]" for j in range(len(self.y))))
        return SchoolMoments(labels, means, np.sqrt(spread))

    def sample_exact(self, beta: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n free numbers from the posterior at a power, float64 (n, D).

        tau by inversion on a fine grid, then mu, then the effects.
        """
        check_positive("beta", beta)
        density, centre, variance = self._given_spread(beta)
        u = density.sample(n, generator=generator)
        z = torch.randn(n, 1 + len(self.y), generator=generator, dtype=torch.float64)
        at = u.numpy()
        mean = torch.from_numpy(np.interp(at, density.nodes, centre))
        width = torch.from_numpy(np.sqrt(np.interp(at, density.nodes, variance)))
        mu, tau = mean + width * z[:, 0], u.exp()[:, None]
        error = z.new_tensor(self.sigma).square() / beta
        share = error / (error + tau**2)
        # theta - mu is tau times eta, of mean and deviation that stay finite at tau = 0.
        residual = z.new_tensor(self.y) - mu[:, None]
        eta = tau * residual / (error + tau**2) + share.sqrt() * z[:, 1:]
        own = mu[:, None] + tau * eta if self.centred else eta
        return torch.cat([mu[:, None], u[:, None], own], 1)

    def _given_spread(self, beta: float) -> tuple[LineDensity, np.ndarray, np.ndarray]:
        """Density of log tau, and mean and variance of mu at its nodes."""
        u = math.log(_SPREAD_WIDTH) + np.linspace(-_REACH, _REACH, _N_NODES)
        sigma, y = np.array(self.sigma)[:, None], np.array(self.y)[:, None]
        precision = 1 / (sigma**2 / beta + np.exp(2 * u))
        variance = 1 / (1 / _MEAN_WIDTH**2 + precision.sum(0))
        centre = variance * (precision * y).sum(0)
        log_data = 0.5 * (np.log(precision / (2 * math.pi)) - precision * y**2).sum(0)
        log_data += 0.5 * (centre**2 / variance + np.log(variance / _MEAN_WIDTH**2))
        # N(y; theta, sigma^2)^beta is N(y; theta, sigma^2 / beta) times this.
        constant = 0.5 * (1 - beta) * np.log(2 * math.pi * sigma**2) - 0.5 * math.log(beta)
        ratio = np.exp(u) / _SPREAD_WIDTH
        log_prior = math.log(2 / math.pi) - np.log1p(ratio**2) + np.log(ratio)
        return LineDensity(u, log_prior + log_data + constant.sum()), centre, variance

    def _effects_of(self, values: Values) -> Tensor:
        if self.centred:
            return values["theta"]
        return values["mu"][:, None] + positive_part(values["tau"])[1][:, None] * values["eta"]

    def _log_likelihood_of(self, values: Values) -> Tensor:
        theta = self._effects_of(values)
        sigma = theta.new_tensor(self.sigma)
        scaled = (theta.new_tensor(self.y) - theta) / sigma
        constant = sum(map(math.log, self.sigma)) + 0.5 * len(self.y) * math.log(2 * math.pi)
        found = -0.5 * scaled.square().sum(1) - constant
        return torch.where(positive_part(values["tau"])[0], found, -torch.inf)

    def _log_prior_of(self, values: Values) -> Tensor:
        mu, (inside, tau) = values["mu"], positive_part(values["tau"])
        log_prior = normal_log_density(mu, 0.0, _MEAN_WIDTH)
        log_prior = log_prior + half_cauchy_log_density(values["tau"], _SPREAD_WIDTH)
        if self.centred:
            eta = (values["theta"] - mu[:, None]) / tau[:, None]
            log_prior = log_prior - len(self.y) * tau.log()
        else:
            eta = values["eta"]
        log_prior = log_prior + normal_log_density(eta, 0.0, 1.0).sum(1)
        return torch.where(inside, log_prior, -torch.inf)

    def _sample_prior_of(self, n: int, generator: Generator) -> Values:
        z = torch.randn(n, 1 + len(self.y), generator=generator, dtype=torch.float64)
        turn = torch.rand(n, generator=generator, dtype=torch.float64)
        mu, tau, eta = _MEAN_WIDTH * z[:, 0], _SPREAD_WIDTH * (turn * math.pi / 2).tan(), z[:, 1:]
        own = mu[:, None] + tau[:, None] * eta if self.centred else eta
        return {"mu": mu, "tau": tau, "theta" if self.centred else "eta": own}

    def _simulate_data(self, values: Values, generator: Generator) -> Tensor:
        theta = self._effects_of(values)
        z = torch.randn(theta.shape, generator=generator, dtype=torch.float64).to(theta)
        return theta + theta.new_tensor(self.sigma) * z
