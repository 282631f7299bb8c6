"""Exact invariance of a density under all translations of a lattice."""

import math

import torch
from torch import Generator, Tensor

from boltzgen.base import Density
from boltzgen.random import draw_index


class TranslationAverage(Density):
    """The mean of a checkerboard flow and of its copy shifted by one site.

    A checkerboard flow is invariant under the translations that keep the sublattices; together with
    one shift that exchanges them these are all. q(x) = [q_0(x) + q_0(shifted x)] / 2 is therefore
    invariant under every translation, exactly. It costs two evaluations of q_0, and its effective
    sample size is never below that of q_0 for an invariant target.

    Args:
        density: q_0, of fields on an even lattice.
    """

    def __init__(self, density: Density) -> None:
        super().__init__(density.event_shape, density.n_controls)
        self.density = density

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        both = self.density.log_prob(torch.cat([x, x.roll(1, -1)]), torch.cat([c, c]))
        return torch.logaddexp(*both.chunk(2)) - math.log(2)

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        x, log_prob = self.density.sample_and_log_prob(c, generator=generator)
        shifted = x.roll(1, -1)
        other = self.density.log_prob(shifted, c)
        coin = draw_index(2, len(c), generator=generator).to(x.device)
        chosen = torch.where((coin == 0).reshape(-1, *[1] * (x.dim() - 1)), x, shifted)
        return chosen, torch.logaddexp(log_prob, other) - math.log(2)
