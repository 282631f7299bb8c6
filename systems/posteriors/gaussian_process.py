"""The hyperparameters of Gaussian-process regression by their marginal likelihood."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.posteriors.densities import lognormal_log_density, positive_part
from systems.posteriors.parameters import Parameter, Values
from systems.posteriors.posterior import Posterior
from systems.posteriors.supports import Positive

_PRIORS = {"length": (0.0, 1.0), "amplitude": (0.0, 1.0), "noise": (-1.0, 1.0)}
_LARGEST_INVERSE = 1e100


class GaussianProcess(Posterior):
    """y ~ N(0, a^2 (K + jitter I) + s^2 I), K_ij = exp(-sum_d (x_id - x_jd)^2 / (2 l_d^2)).

    The parameters are length l, one for each input, amplitude a and noise s; log l and log a are
    a priori N(0, 1), log s is N(-1, 1), for inputs and outputs of unit variance. The jitter is
    part of the model. All is divided by a^2 + s^2 before the Cholesky decomposition, in double
    precision whatever x is, so that its matrix has a condition number of at most N / jitter; where
    it fails all the same, L is 0. A batch of B costs B N^3 / 3 operations and memory for
    about 5 B N^2 numbers; with N = 60 the gradient for 512 takes some 0.2 s of one core.

    Args:
        x: Inputs, (N, D), or (N,) for one.
        y: Outputs, (N,).
        jitter: Relative to a^2.

    Raises:
        ValueError: A shape is wrong, or a number is not finite.

    References:
        Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapter 5.
    """

    def __init__(self, x: Tensor, y: Tensor, *, jitter: float = 1e-6) -> None:
        check_positive("jitter", jitter)
        x = x[:, None] if x.dim() == 1 else x
        if x.dim() != 2 or not bool(x.isfinite().all()):
            raise ValueError(f"x: expected finite numbers (N, D), got shape {tuple(x.shape)}")
        if tuple(y.shape) != (len(x),) or not bool(y.isfinite().all()):
            raise ValueError(f"y: expected {len(x)} finite numbers, got shape {tuple(y.shape)}")
        self.x, self.y, self.jitter = x.double(), y.double(), jitter
        difference = self.x[:, None] - self.x
        self._squares = difference.square().flatten(0, 1).T.contiguous()
        super().__init__(
            self._log_likelihood_of, _log_prior,
            [
                Parameter("length", (x.shape[1],), Positive()),
                Parameter("amplitude", support=Positive()),
                Parameter("noise", support=Positive()),
            ],
            sample_prior=self._sample_prior_of, simulate=self._simulate_outputs,
        )  # fmt: skip

    @classmethod
    def diabetes(
        cls, features: Sequence[str] = ("bmi",), *, n: int = 60, jitter: float = 1e-6
    ) -> "GaussianProcess":
        """Progression of diabetes against body-mass index or others, of the first n of 442 people.

        Inputs and output are standardised over these n.

        Raises:
            ImportError: scikit-learn, which has the data, is not installed.
            ValueError: A feature is unknown, or n is not between 2 and 442.

        References:
            Efron, Hastie, Johnstone and Tibshirani, Ann. Stat. 32, 407 (2004).
        """
        try:
            from sklearn.datasets import load_diabetes
        except ImportError as error:
            raise ImportError(
                "diabetes needs scikit-learn: pip install 'boltzgen-flows[posteriors]'"
            ) from error
        data = load_diabetes()
        names = list(data.feature_names)
        if not features or not set(features) <= set(names):
            raise ValueError(f"features: expected some of {', '.join(names)}, got {features}")
        if not 2 <= n <= len(data.target):
            raise ValueError(f"n: expected between 2 and {len(data.target)}, got {n}")
        columns = [*(data.data[:n, names.index(name)] for name in features), data.target[:n]]
        table = torch.stack([torch.tensor(column, dtype=torch.float64) for column in columns], 1)
        table = (table - table.mean(0)) / table.std(0, correction=0)
        return cls(table[:, :-1], table[:, -1], jitter=jitter)

    def _relative_covariance(self, values: Values) -> tuple[Tensor, Tensor, Tensor]:
        """Covariance over a^2 + s^2, float64 (B, N, N), its root, (B,), and where both are numbers.

        Elsewhere the numbers are made up.
        """
        parts = [positive_part(values[name].double()) for name in ("length", "amplitude", "noise")]
        (all_lengths, length), (has_amplitude, amplitude), (has_noise, noise) = parts
        scale = torch.hypot(amplitude, noise)
        inside = all_lengths.all(1) & has_amplitude & has_noise & scale.isfinite()
        scale = torch.where(inside, scale, 1.0)
        share = torch.where(inside, amplitude / scale, 0.5).square()
        rest = torch.where(inside, noise / scale, 0.5).square()
        inverse = length.reciprocal().clamp_max(_LARGEST_INVERSE).square()
        n = len(self.y)
        exponent = inverse @ self._squares.to(inverse.device)
        kernel = share[:, None] * torch.exp(-0.5 * exponent)
        one = torch.eye(n, dtype=torch.float64, device=kernel.device)
        diagonal = (self.jitter * share + rest)[:, None, None] * one
        return kernel.unflatten(1, (n, n)) + diagonal, scale, inside

    def _factor(self, values: Values) -> tuple[Tensor, Tensor, Tensor]:
        """Cholesky factor of the same matrix, the root, and where the two exist."""
        covariance, scale, inside = self._relative_covariance(values)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if bool(failed.any()):
            inside = inside & (failed == 0)
            one = torch.eye(len(self.y), dtype=torch.float64, device=factor.device)
            usable = torch.where((failed == 0)[:, None, None], covariance, one)
            factor = torch.linalg.cholesky(usable)
        return factor, scale, inside

    def _log_likelihood_of(self, values: Values) -> Tensor:
        factor, scale, inside = self._factor(values)
        y = self.y.to(factor.device).expand(len(factor), -1)
        white = torch.linalg.solve_triangular(factor, y[..., None], upper=False)[..., 0]
        log_root = factor.diagonal(dim1=1, dim2=2).log().sum(1) + len(self.y) * scale.log()
        found = -0.5 * (white / scale[:, None]).square().sum(1) - log_root
        found = found - 0.5 * len(self.y) * math.log(2 * math.pi)
        return torch.where(inside, found, -torch.inf).to(values["noise"])

    def _sample_prior_of(self, n: int, generator: Generator) -> Values:
        z = torch.randn(n, self.space.n_free, generator=generator, dtype=torch.float64)
        means, widths = (
            z.new_tensor([_PRIORS[p.name][k] for p in self.space.parameters for _ in p.labels])
            for k in (0, 1)
        )
        return self.space.constrain(means + widths * z)[0]

    def _simulate_outputs(self, values: Values, generator: Generator) -> Tensor:
        factor, scale, inside = self._factor(values)
        if not bool(inside.all()):
            raise ValueError("x: expected hyperparameters at which the covariance can be factored")
        z = torch.randn(len(factor), len(self.y), generator=generator, dtype=torch.float64)
        drawn = scale[:, None] * (factor @ z.to(factor.device)[..., None])[..., 0]
        return drawn.to(values["noise"])


def _log_prior(values: Values) -> Tensor:
    total = torch.zeros_like(values["noise"])
    for name, (mean, width) in _PRIORS.items():
        found = lognormal_log_density(values[name], mean, width)
        total = total + found[..., None].flatten(1).sum(1)
    return total
