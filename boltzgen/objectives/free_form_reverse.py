"""Reverse Kullback-Leibler divergence of free-form flows, at the cost of two products a sample."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.objectives.controls import ControlSampler
from boltzgen.objectives.free_form import Reconstruction, as_free_form
from boltzgen.objectives.reverse_kl import energy_with_finite_force, regularise
from boltzgen.protocols import Batch, FreeForm, LossTerms, Target


class FreeFormReverseKL(nn.Module):
    """Mean of E(g(z), c) - surrogate of log|det g'(z)| + weight |z - f(g(z))|^2.

    `ReverseKL` knows log|det g'| from D products with the decoder; here its gradient,
    tr(g'^-1 grad g'), is a trace that few probes estimate, mean_k [v_k' f'(x)] (grad g'(z)) v_k
    with the encoder's f' in place of g'^-1 and the bracket held fixed. Where the encoder does not
    undo the decoder the gradient is off by as much. A decoder that folds would lower the loss, as
    one of two latents of x counts; so what is reconstructed are latents, where a fold shows, and
    decoder and encoder both learn from that.

    Args:
        target: The target.
        controls: Where to draw c.
        reconstruction: Its weight on data, here of latents, and its schedule.
        n_samples: Samples a step.
        n_probes: K, at most D.
        ceiling: Reduced energy above which the energy is regularised, as in `ReverseKL`.

    References:
        Draxler, Sorrenson, Zimmermann, Rousselot and Koethe, Free-form flows (2024),
        arXiv:2310.16624, for the trace, there of the encoder.
    """

    def __init__(  # noqa: PLR0913
        self,
        target: Target,
        controls: ControlSampler,
        reconstruction: Reconstruction | None = None,
        *,
        n_samples: int,
        n_probes: int = 1,
        ceiling: float = 1e3,
    ) -> None:
        super().__init__()
        check_at_least("n_samples", n_samples, 1)
        check_at_least("n_probes", n_probes, 1)
        check_positive("ceiling", ceiling)
        self.target, self.controls = target, controls
        self.reconstruction = reconstruction or Reconstruction()
        self.n_samples, self.n_probes, self.ceiling = n_samples, n_probes, ceiling

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """The loss; its value means nothing, the metric `reverse_energy` is the mean energy.

        Raises:
            TypeError: The density is no free-form flow.
        """
        flow = as_free_form(density)
        c = self.controls(self.n_samples, like=batch.x, generator=generator)
        with torch.no_grad():
            z = flow.base.sample(c, generator=generator)
        found = decoder_surrogate(flow, z, c, n_probes=self.n_probes, generator=generator)
        energy = energy_with_finite_force(self.target, found.x, c)
        regular, touched = regularise(energy, self.ceiling)
        gap = (z - found.back).square().flatten(1).sum(1).mean()
        weight = self.reconstruction.share(step) * self.reconstruction.data
        return LossTerms((regular - found.log_volume).mean() + weight * gap, {
            "reverse_energy": regular.mean().detach(),
            "reverse_kl_regularised": touched.to(z.dtype).mean(),
            "reverse_reconstruction": gap.detach(),
        })  # fmt: skip


class Decoded(NamedTuple):
    """What one pass through decoder and encoder gives.

    Attributes:
        x: Decoded z, (B, *E).
        back: Encoded x, (B, *E).
        log_volume: A number with the gradient of log|det decoder'(z)| in the decoder, on average
            and where the encoder undoes it; its value is near D and means nothing, (B,).
    """

    x: Tensor
    back: Tensor
    log_volume: Tensor


def decoder_surrogate(
    density: FreeForm, z: Tensor, c: Tensor, *, n_probes: int, generator: Generator
) -> Decoded:
    """As `free_form_surrogate` with encoder and decoder in each other's place.

    Args:
        density: Encoder and decoder.
        z: Latents, (B, *E).
        c: Controls, (B, C).
        n_probes: K, at most D.
        generator: Of the probes.
    """
    probes = density.probes(len(z), n_probes, like=z, generator=generator)
    x, pushed = density.decode_along(z, c, probes)
    back = density.encode(x, c)
    total = z.new_zeros(len(z))
    for probe, moved in zip(probes, pushed, strict=True):
        (pulled,) = torch.autograd.grad(back, x, probe, retain_graph=True)
        total = total + (pulled * moved).flatten(1).sum(1)
    return Decoded(x, back, total / n_probes)
