"""A fixed affine map that brings data to zero mean and unit covariance."""

import torch
from torch import Tensor

from boltzgen.base import Bijection


class Whitening(Bijection):
    """z = L^-1 (x - m) with a lower triangular L; the controls play no part.

    m and L are buffers and part of the state, so that a model file is complete.

    Args:
        mean: m, shape (D,).
        factor: L, lower triangular with a positive diagonal, shape (D, D).
        n_controls: C.

    Raises:
        ValueError: A shape is wrong, L is not triangular, or a number is not finite.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, mean: Tensor, factor: Tensor, n_controls: int) -> None:
        super().__init__(tuple(mean.shape), n_controls)
        n = mean.numel()
        if mean.dim() != 1 or tuple(factor.shape) != (n, n):
            raise ValueError(
                f"mean, factor: expected shapes (D,) and (D, D), got {tuple(mean.shape)} and "
                f"{tuple(factor.shape)}"
            )
        good = mean.isfinite().all() & factor.isfinite().all() & (factor.diagonal() > 0).all()
        if not bool(good) or not torch.equal(factor, factor.tril()):
            raise ValueError(
                "factor: expected a finite lower triangular matrix with a positive diagonal, got "
                f"{factor}"
            )
        self.register_buffer("mean", mean.clone())
        self.register_buffer("factor", factor.clone())

    @classmethod
    def of_samples(cls, x: Tensor, n_controls: int) -> "Whitening":
        """Whitening by the sample mean and covariance of x, float64 (N, D).

        Raises:
            ValueError: There are not more samples than components, or the covariance is singular.
        """
        if x.dim() != 2 or len(x) <= x.shape[1] or not bool(x.isfinite().all()):
            raise ValueError(
                f"x: expected finite samples, more than components, got shape {tuple(x.shape)}"
            )
        centred = x.double() - x.double().mean(0)
        factor, failed = torch.linalg.cholesky_ex(centred.mT @ centred / (len(x) - 1))
        if bool(failed):
            raise ValueError("x: expected samples with a regular covariance, got a singular one")
        return cls(x.double().mean(0), factor, n_controls)

    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        factor, centred = self.factor.to(x.dtype), x - self.mean.to(x.dtype)
        z = torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT
        return z, -self._log_volume(x)

    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return z @ self.factor.to(z.dtype).mT + self.mean.to(z.dtype), self._log_volume(z)

    def _log_volume(self, like: Tensor) -> Tensor:
        return self.factor.diagonal().log().sum().to(like.dtype).expand(len(like))
