"""The geometric path from a normal density to any other: a target as a posterior."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.posteriors.parameters import Parameter, Values
from systems.posteriors.posterior import Posterior
from systems.posteriors.supports import Real


class Bridge(Posterior):
    """p(x | beta) ~ r(x)^(1 - beta) p(x)^beta between a normal r at 0 and the target p at 1.

    As a posterior: the prior is r, of mean 0 and the given widths, the likelihood p / r. Z(1) is
    the integral of p; where that is 1, Z <= 1 between (Hoelder). Powers above 1 make sense only
    where the tails of p are lighter than those of r.

    Args:
        log_density: Log p up to a constant, (B, D) -> (B,); -inf is allowed.
        parameters: Of which x consists, all on the whole line.
        width: Standard deviation of r, one or one for each of the D components.

    Raises:
        ValueError: A parameter has another support, or a width is not positive.

    Example:
        >>> target = Bridge(lambda x: -x.abs().sum(1), [Parameter("x", (2,))], width=2.0)
        >>> target.energy(torch.ones(1, 2), 1.0)
        tensor([2.])
    """

    def __init__(
        self,
        log_density: Callable[[Tensor], Tensor],
        parameters: Sequence[Parameter],
        *,
        width: float | Sequence[float],
    ) -> None:
        super().__init__(
            self._log_ratio, self._log_reference_of, parameters, sample_prior=self._sample_reference
        )
        for parameter in parameters:
            if not isinstance(parameter.support, Real):
                kind = type(parameter.support).__name__
                raise ValueError(f"{parameter.name}: expected the support Real, got {kind}")
        n = self.space.n_free
        self.widths = tuple(width) if isinstance(width, Sequence) else (width,) * n
        """Standard deviations of the reference, one for each component."""
        if len(self.widths) != n:
            raise ValueError(f"width: expected a number or {n}, got {len(self.widths)}")
        for value in self.widths:
            check_positive("width", value)
        self.log_density = log_density

    def log_reference(self, x: Tensor) -> Tensor:
        """Normalised log-density of the reference: (B, D) -> (B,)."""
        constant = sum(map(math.log, self.widths)) + 0.5 * len(self.widths) * math.log(2 * math.pi)
        return -0.5 * (x / x.new_tensor(self.widths)).square().sum(1) - constant

    def _log_ratio(self, values: Values) -> Tensor:
        x = self.space.flatten(values)
        reference = self.log_reference(x)
        # So far out that squares overflow there is nothing of either.
        inside = reference != -torch.inf
        ratio = self.log_density(x) - torch.where(inside, reference, 0.0)
        return torch.where(inside, ratio, -torch.inf)

    def _log_reference_of(self, values: Values) -> Tensor:
        return self.log_reference(self.space.flatten(values))

    def _sample_reference(self, n: int, generator: Generator) -> Values:
        z = torch.randn(n, len(self.widths), generator=generator, dtype=torch.float64)
        return self.space.constrain(z * z.new_tensor(self.widths))[0]


def check_power(beta: float) -> None:
    """Require a power between 0 and 1, where every geometric path can be normalised."""
    if not 0 <= beta <= 1:
        raise ValueError(f"beta: expected a number between 0 and 1, got {beta}")
