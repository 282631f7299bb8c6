"""Scaling of the momentum modes of a field: the layer that sees all distances at once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from boltzgen.base import Bijection
from boltzgen.checks import check_at_least
from boltzgen.flows.lattice.conditioners import ControlEmbedding


class SpectralScaling(Bijection):
    """Multiplies each momentum mode k != 0 by exp(s(w_k)); the mean of the field is unchanged.

    w_k is the mean over directions of cos k. With parameters made of the controls and of the square
    of the unchanged mean,

        s(w) = log(exp(p) + 1 - w) / 2 + sum_j q_j T_j(w),

    a propagator of adjustable mass times the exponential of a Chebyshev series: the modes of a free
    field become white exactly, at a few parameters for a lattice of any size. The mean enters
    because the stiffness of the modes depends on the background that they live on. Translations,
    rotations by right angles of a cubic lattice, and x -> -x commute with it exactly.

    Args:
        shape: Lengths of the lattice, one to three.
        embedding: Of the controls.
        degree: Of the Chebyshev series.
        n_hidden: Width of the network of the parameters.
    """

    basis: Tensor
    gap: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        embedding: ControlEmbedding,
        *,
        degree: int = 6,
        n_hidden: int = 32,
    ) -> None:
        super().__init__(tuple(shape), len(embedding.middle))
        check_at_least("degree", degree, 1)
        self.n_sites, self.embedding = math.prod(shape), embedding
        self.axes = tuple(range(1, 1 + len(shape)))
        angles = [2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in shape]
        grids = torch.meshgrid(*[angle.cos() for angle in angles], indexing="ij")
        w = torch.stack(grids).mean(0).flatten().clamp(-1, 1)
        basis = (torch.arange(degree + 1)[:, None] * w.acos()).cos()
        basis[:, 0] = 0.0  # k = 0 keeps its scale
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("gap", 1 - w, persistent=False)
        last = nn.Linear(n_hidden, degree + 2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(embedding.n_features + 1, n_hidden), nn.SiLU(),
            nn.Linear(n_hidden, n_hidden), nn.SiLU(), last,
        )  # fmt: skip

    def _log_scales(self, x: Tensor, c: Tensor) -> Tensor:
        """Log-scale of every mode, (B, V), 0 at k = 0."""
        mean = x.flatten(1).mean(1, keepdim=True)
        parameters = self.network(torch.cat([self.embedding(c), mean.square().log1p()], 1))
        soft = functional.softplus(parameters[:, :1]) + self.gap.to(x.dtype)
        series = parameters[:, 1:] @ self.basis.to(x.dtype)
        return series + torch.where(self.basis[0] != 0, 0.5 * soft.log(), 0.0)

    def _scaled(self, x: Tensor, log_scales: Tensor) -> Tensor:
        modes = torch.fft.fftn(x, dim=self.axes) * log_scales.exp().reshape(x.shape)
        return torch.fft.ifftn(modes, dim=self.axes).real

    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        log_scales = self._log_scales(x, c)
        return self._scaled(x, log_scales), log_scales.sum(1)

    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        log_scales = self._log_scales(z, c)
        return self._scaled(z, -log_scales), -log_scales.sum(1)
