"""Mixtures of Gaussians in the plane, tempered: p(x | T) ~ p(x)^(1 / T)."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.toys.exact import ExactTarget, check_count

_TRADE_MEANS = ((-1.0, 2.0), (3.0, 7.0), (-4.0, 2.0), (-2.0, -4.0), (0.0, 4.0), (5.0, -2.0))
_TRADE_COVARIANCES = (
    ((0.2778, 0.4797), (0.4797, 0.8615)),
    ((0.8958, -0.0249), (-0.0249, 0.1001)),
    ((1.3074, 0.9223), (0.9223, 0.7744)),
    ((0.0305, 0.0142), (0.0142, 0.4409)),
    ((0.0463, 0.0294), (0.0294, 0.3441)),
    ((0.1500, 0.0294), (0.0294, 1.5000)),
)
_REACH = 8.5
_NODES_PER_WIDTH = 2.0
_CHUNK = 2**18
_MAX_PROPOSALS = 1e5


class GaussianMixture(ExactTarget):
    """U(x) = -log p(x) for an equally weighted mixture p of Gaussians in the plane.

    At T = 1 the partition function is 1. At other temperatures it is integrated on a grid that
    reaches 8.5 standard deviations of the widest component beyond every mean, with two nodes to
    the standard deviation of the narrowest, tempered where T < 1; good to eight digits.

    Args:
        means: K pairs; the six of TRADE unless given.
        covariances: K symmetric positive definite 2 x 2 matrices; those of TRADE unless given.

    References:
        Wahl et al., TRADE, arXiv:2410.19492, appendix C.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]] = _TRADE_MEANS,
        covariances: Sequence[Sequence[Sequence[float]]] = _TRADE_COVARIANCES,
    ) -> None:
        super().__init__((2,))
        self.means = torch.tensor(means, dtype=torch.float64)
        self.covariances = torch.tensor(covariances, dtype=torch.float64)
        if self.means.dim() != 2 or self.means.shape[1] != 2:
            raise ValueError(f"means: expected shape (K, 2), got {tuple(self.means.shape)}")
        if self.covariances.shape != (len(self.means), 2, 2):
            expected, came = (len(self.means), 2, 2), tuple(self.covariances.shape)
            raise ValueError(f"covariances: expected shape {expected}, got {came}")
        if not torch.equal(self.covariances, self.covariances.mT):
            raise ValueError("covariances: expected symmetric matrices")
        self._factors, failed = torch.linalg.cholesky_ex(self.covariances)
        if bool(failed.any()):
            raise ValueError("covariances: expected positive definite matrices")

    def potential(self, x: Tensor) -> Tensor:
        """-log p(x): (B, 2) -> (B,)."""
        return math.log(len(self.means)) - self._log_components(x).logsumexp(-1)

    def log_partition(self, T: float) -> float:
        """Log of the integral of p^(1 / T)."""
        return self._integrate(T)[0]

    def mean_potential(self, T: float) -> float:
        """Mean of -log p at temperature T."""
        return self._integrate(T)[1]

    def heat_capacity(self, T: float) -> float:
        """Var(U) / T^2."""
        _, mean, mean_square = self._integrate(T)
        return (mean_square - mean**2) / T**2

    def sample_exact(self, T: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n independent configurations at temperature T by rejection: (n, 2), float64.

        Proposals come from the mixture of all components, each tempered by itself. Its envelope
        costs up to K^(1 / T - 1) proposals a sample where T < 1.

        Args:
            T: Temperature.
            n: How many.
            generator: The random stream; the result is on its device.

        Returns:
            Shape (n, 2), float64.

        Raises:
            ValueError: T is so low that a sample could cost more than 100,000 proposals.
        """
        check_positive("T", T)
        check_count("n", n)
        cost = len(self.means) ** (1 / T - 1)
        if cost > _MAX_PROPOSALS:
            raise ValueError(f"T: expected at most 1e5 proposals a sample, {T} may take {cost:.1e}")
        kept: list[Tensor] = []
        while sum(map(len, kept)) < n:
            kept.append(self._accepted(T, generator))
        return torch.cat(kept)[:n]

    def _log_components(self, x: Tensor) -> Tensor:
        """Log-density of each component: (B, 2) -> (B, K)."""
        factors = self._factors.to(x)
        dx, dy = (x[:, None, :] - self.means.to(x)).unbind(-1)
        u = dx / factors[:, 0, 0]
        v = (dy - factors[:, 1, 0] * u) / factors[:, 1, 1]
        normaliser = math.log(2 * math.pi) + (factors[:, 0, 0] * factors[:, 1, 1]).log()
        return -0.5 * (u.square() + v.square()) - normaliser

    def _accepted(self, T: float, generator: Generator) -> Tensor:
        """Those of one chunk of proposals that the rejection keeps: (M, 2)."""
        device = generator.device
        factors = self._factors.to(device)
        # The integral of N(x; m, S)^(1 / T) is proportional to sqrt(det S)^(1 - 1 / T).
        weights = (factors[:, 0, 0] * factors[:, 1, 1]) ** (1 - 1 / T)
        k = torch.multinomial(weights, _CHUNK, replacement=True, generator=generator)
        z = torch.randn(_CHUNK, 2, generator=generator, device=device, dtype=torch.float64)
        x = self.means.to(device)[k] + math.sqrt(T) * (factors[k] @ z[..., None])[..., 0]
        logs = self._log_components(x)
        # (sum_k p_k)^(1/T) <= max(1, K^(1/T - 1)) sum_k p_k^(1/T).
        bound = max(0.0, (1 / T - 1) * math.log(len(self.means)))
        log_ratio = logs.logsumexp(-1) / T - (logs / T).logsumexp(-1) - bound
        u = torch.rand(_CHUNK, generator=generator, device=device, dtype=torch.float64)
        return x[u.log() < log_ratio]

    def _integrate(self, T: float) -> tuple[float, float, float]:
        """Log Z, mean of U and mean of U^2 at temperature T, by trapezoid sums on a grid."""
        check_positive("T", T)
        widths = torch.linalg.eigvalsh(self.covariances).sqrt()
        reach = _REACH * math.sqrt(T) * widths.max()
        low, high = self.means.amin(0) - reach, self.means.amax(0) + reach
        spacing = float(widths.min()) * math.sqrt(min(T, 1.0)) / _NODES_PER_WIDTH
        x, y = (
            torch.arange(a, b, spacing, dtype=torch.float64)
            for a, b in zip(low.tolist(), high.tolist(), strict=True)
        )
        lowest = float(self.potential(self.means).min())
        sums = torch.zeros(3, dtype=torch.float64)
        for rows in x.split(max(1, _CHUNK // len(y))):
            u = self.potential(torch.cartesian_prod(rows, y))
            weight = ((lowest - u) / T).exp()
            sums += torch.stack([weight.sum(), (weight * u).sum(), (weight * u * u).sum()])
        log_partition = math.log(float(sums[0]) * spacing**2) - lowest / T
        return log_partition, float(sums[1] / sums[0]), float(sums[2] / sums[0])
