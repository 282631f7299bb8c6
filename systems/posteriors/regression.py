"""Bayesian logistic regression."""

import torch
from torch import Generator, Tensor
from torch.nn import functional

from systems.checks import check_positive
from systems.posteriors.densities import normal_log_density
from systems.posteriors.parameters import Parameter, Values
from systems.posteriors.posterior import Posterior


class LogisticRegression(Posterior):
    """P(t_i = 1) = 1 / (1 + exp(-(b + w . x_i))), b and every w_k ~ N(0, width^2).

    The parameters are intercept b and weights w. One matrix product, (B, D + 1) with
    (D + 1, N), is all the work of an energy.

    Args:
        x: Features, (N, D), float64; of comparable widths, since the prior has one width.
        t: Labels, 0 or 1, (N,).
        width: Standard deviation of the prior.

    Raises:
        ValueError: A shape is wrong, a feature is not finite, or a label neither 0 nor 1.
    """

    def __init__(self, x: Tensor, t: Tensor, *, width: float = 1.0) -> None:
        check_positive("width", width)
        if x.dim() != 2 or not bool(x.isfinite().all()):
            raise ValueError(f"x: expected finite numbers (N, D), got shape {tuple(x.shape)}")
        if tuple(t.shape) != (len(x),) or not bool(((t == 0) | (t == 1)).all()):
            raise ValueError(f"t: expected {len(x)} labels of 0 or 1, got shape {tuple(t.shape)}")
        self.width = width
        design = torch.cat([torch.ones(len(x), 1), x], 1).double()
        self._design = design.T.contiguous()
        sign = 2 * t.double() - 1
        self._signed = (design * sign[:, None]).T.contiguous()
        super().__init__(
            self._log_likelihood_of, self._log_prior_of,
            [Parameter("intercept"), Parameter("weights", (x.shape[1],))],
            sample_prior=self._sample_prior_of, simulate=self._simulate_labels,
        )  # fmt: skip

    @classmethod
    def breast_cancer(cls, *, width: float = 1.0) -> "LogisticRegression":
        """569 tumours, malignant (0) or benign (1), by 30 standardised features: 31 parameters.

        The features are strongly correlated and almost separate the classes, so that the prior
        matters and the posterior is narrow in some directions and as wide as the prior in others.

        Raises:
            ImportError: scikit-learn, which has the data, is not installed.

        References:
            Street, Wolberg and Mangasarian, Proc. SPIE 1905, 861 (1993).
        """
        try:
            from sklearn.datasets import load_breast_cancer
        except ImportError as error:
            raise ImportError(
                "breast_cancer needs scikit-learn: pip install 'boltzgen-flows[posteriors]'"
            ) from error
        data, labels = load_breast_cancer(return_X_y=True)
        x = torch.tensor(data, dtype=torch.float64)
        x = (x - x.mean(0)) / x.std(0, correction=0)
        return cls(x, torch.tensor(labels), width=width)

    def logits(self, x: Tensor) -> Tensor:
        """Value of b + w . x_i for every case: free numbers (B, D + 1) -> (B, N)."""
        return x @ self._design.to(x)

    def _log_likelihood_of(self, values: Values) -> Tensor:
        x = self.space.flatten(values)
        return functional.logsigmoid(x @ self._signed.to(x)).sum(1)

    def _log_prior_of(self, values: Values) -> Tensor:
        return normal_log_density(self.space.flatten(values), 0.0, self.width).sum(1)

    def _sample_prior_of(self, n: int, generator: Generator) -> Values:
        z = torch.randn(n, len(self._design), generator=generator, dtype=torch.float64)
        return self.space.constrain(self.width * z)[0]

    def _simulate_labels(self, values: Values, generator: Generator) -> Tensor:
        probability = self.logits(self.space.flatten(values)).sigmoid()
        level = torch.rand(probability.shape, generator=generator, dtype=torch.float64)
        return (level.to(probability) < probability).to(probability)
