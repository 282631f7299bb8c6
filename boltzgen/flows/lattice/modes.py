"""The base density of lattice flows: white noise, but for the mean of the field."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from boltzgen.base import Density
from boltzgen.flows.lattice.conditioners import ControlEmbedding
from boltzgen.flows.splines import Knots, spline_forward, spline_inverse, spline_knots
from boltzgen.random import draw_normal, draw_uniform

_LOG_TWO_PI = math.log(2 * math.pi)


class SymmetricModeBase(Density):
    """Independent normal modes, but for the zero mode y = sum x / sqrt V, of a symmetric density.

    y is, with equal probability, u or -u, where u = m(c) + exp(s(c)) g(v), v is normal and g a
    spline with knots that depend on c: q(y) = [q_u(y) + q_u(-y)] / 2. One peak at m = 0 turns into
    two as m grows, so the two phases of a field with x -> -x symmetry, and the passage between
    them, are within one conditional density, in which neither sign can be lost.

    Args:
        shape: Lengths of the lattice, one to three.
        embedding: Of the controls.
        n_bins: Bins of the spline.
        half_width: Half the interval of v that the spline bends.
        n_hidden: Width of the network of the parameters.
    """

    def __init__(
        self,
        shape: Sequence[int],
        embedding: ControlEmbedding,
        *,
        n_bins: int = 12,
        half_width: float = 4.0,
        n_hidden: int = 64,
    ) -> None:
        super().__init__(tuple(shape), len(embedding.middle))
        self.n_sites, self.half_width = math.prod(shape), half_width
        self.embedding = embedding
        last = nn.Linear(n_hidden, 1 + 3 * n_bins)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(embedding.n_features, n_hidden), nn.SiLU(), last)

    def _mode(self, c: Tensor) -> tuple[Tensor, Tensor, Knots]:
        """Middle m (B,), at least 0; s (B,); knots of g^-1."""
        raw = self.network(self.embedding(c))
        knots = spline_knots(raw[:, 2:], self.half_width, circular=False)
        return functional.softplus(3 * raw[:, 0]), raw[:, 1], knots

    def _log_branch(self, y: Tensor, mode: tuple[Tensor, Tensor, Knots]) -> Tensor:
        middle, log_scale, knots = mode
        u = (y - middle) * (-log_scale).exp()
        inside = u.abs() < self.half_width
        v, log_slope = spline_forward(torch.where(inside, u, 0.0), knots)
        v, log_slope = torch.where(inside, v, u), torch.where(inside, log_slope, 0.0)
        return log_slope - log_scale - 0.5 * (v.square() + _LOG_TWO_PI)

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        y, mode = self._zero_mode(x), self._mode(c)
        both = torch.logaddexp(self._log_branch(y, mode), self._log_branch(-y, mode))
        rest = (x - self._spread(y, x)).square().flatten(1).sum(1)
        return both - math.log(2) - 0.5 * (rest + (self.n_sites - 1) * _LOG_TWO_PI)

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        white = draw_normal((len(c), *self.event_shape), like=c, generator=generator)
        coin = draw_uniform((len(c),), like=c, generator=generator)
        v, (middle, log_scale, knots) = self._zero_mode(white), self._mode(c)
        inside = v.abs() < self.half_width
        bent = spline_inverse(torch.where(inside, v, 0.0), knots)[0]
        u = middle + log_scale.exp() * torch.where(inside, bent, v)
        y = torch.where(coin < 0.5, -u, u)
        x = white + self._spread(y - v, white)
        return x, self._log_prob(x, c)

    def _zero_mode(self, x: Tensor) -> Tensor:
        return x.flatten(1).sum(1) / self.n_sites**0.5

    def _spread(self, y: Tensor, like: Tensor) -> Tensor:
        """The uniform field of zero mode y, broadcasting to (B, *E)."""
        return (y / self.n_sites**0.5).reshape(-1, *[1] * (like.dim() - 1))
