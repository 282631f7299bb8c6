"""Mixtures of Gaussians in the plane as the ends of geometric paths."""

import math

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.posteriors.bridge import Bridge, check_power
from systems.posteriors.parameters import Parameter
from systems.toys import GaussianMixture

_N_MODES = 40
_HALF_SIDE = 40.0
_DEVIATION = math.log1p(math.e)
_REACH = 8.5
_NODES_PER_WIDTH = 4.0
_CHUNK = 2**16


class MixtureBridge(Bridge):
    """An equally weighted mixture p of Gaussians in the plane at beta = 1, where Z = 1.

    Args:
        mixture: p.
        width: Standard deviation of the reference N(0, width^2) in both directions.
    """

    def __init__(self, mixture: GaussianMixture, *, width: float) -> None:
        check_positive("width", width)
        self.mixture = mixture
        super().__init__(self._log_mixture, [Parameter("x", (2,))], width=width)

    def _log_mixture(self, x: Tensor) -> Tensor:
        return -self.mixture.potential(x)

    def log_evidence(self, beta: float) -> float:
        """Log Z at a power between 0 and 1, by a trapezoid sum over the plane, good to 1e-7."""
        check_power(beta)
        if beta in (0, 1):
            return 0.0
        width = self.widths[0]
        widths = torch.linalg.eigvalsh(self.mixture.covariances).sqrt()
        # The product is negligible where either of its factors is.
        around = _REACH * float(widths.max()) / math.sqrt(beta)
        limit = _REACH * width / math.sqrt(1 - beta)
        spacing = min(float(widths.min()), width) / _NODES_PER_WIDTH
        means = self.mixture.means
        low, high = (means.amin(0) - around).tolist(), (means.amax(0) + around).tolist()
        first, second = (
            torch.arange(max(a, -limit), min(b, limit), spacing, dtype=torch.float64)
            for a, b in zip(low, high, strict=True)
        )
        logs = []
        for part in first.split(max(1, _CHUNK // len(second))):
            x = torch.cartesian_prod(part, second)
            log_path = beta * self._log_mixture(x) + (1 - beta) * self.log_reference(x)
            logs.append(log_path.logsumexp(0))
        return float(torch.stack(logs).logsumexp(0)) + 2 * math.log(spacing)

    def sample_exact(self, beta: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n points at a power between 0 and 1 by rejection, float64 (n, 2).

        Proposals come from beta p + (1 - beta) r, which is nowhere below r^(1 - beta) p^beta, so
        that Z of them are accepted.
        """
        check_power(beta)
        kept: list[Tensor] = []
        while sum(map(len, kept)) < n:
            from_mixture = self._drawn_from_mixture(n, generator)
            draws = torch.rand(2, n, generator=generator, dtype=torch.float64)
            x = self.sample_prior(n, generator=generator)
            x = torch.where((draws[0] < beta)[:, None], from_mixture, x)
            log_p, log_r = self._log_mixture(x), self.log_reference(x)
            proposal = (beta * log_p.exp() + (1 - beta) * log_r.exp()).log()
            taken = draws[1].log() < beta * log_p + (1 - beta) * log_r - proposal
            kept.append(x[taken])
        return torch.cat(kept)[:n]

    def _drawn_from_mixture(self, n: int, generator: Generator) -> Tensor:
        means, factors = self.mixture.means, torch.linalg.cholesky(self.mixture.covariances)
        k = torch.randint(len(means), (n,), generator=generator)
        z = torch.randn(n, 2, 1, generator=generator, dtype=torch.float64)
        return means[k] + (factors[k] @ z)[..., 0]


class FortyGaussians(MixtureBridge):
    """40 Gaussians of deviation log(1 + e) = 1.31326169, means uniform in [-40, 40]^2: "GMM-40".

    The means are those of the paper's code, which draws them in single precision right after
    torch.manual_seed(0); a generator of that seed gives the same numbers.

    Args:
        width: Standard deviation of the reference in both directions.

    References:
        Midgley et al., Flow annealed importance sampling bootstrap, arXiv:2208.01893.
    """

    def __init__(self, *, width: float = 25.0) -> None:
        draw = torch.rand((_N_MODES, 2), generator=torch.Generator().manual_seed(0))
        means = (draw - 0.5) * 2 * _HALF_SIDE
        variance = _DEVIATION**2
        covariances = [[[variance, 0.0], [0.0, variance]]] * _N_MODES
        super().__init__(GaussianMixture(means.double().tolist(), covariances), width=width)


class SixGaussians(MixtureBridge):
    """Six anisotropic Gaussians, of which some overlap.

    Args:
        width: Standard deviation of the reference in both directions.

    References:
        Wahl et al., TRADE, arXiv:2410.19492, appendix C.
    """

    def __init__(self, *, width: float = 5.0) -> None:
        super().__init__(GaussianMixture(), width=width)
