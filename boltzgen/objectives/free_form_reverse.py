"""Reverse Kullback-Leibler divergence of free-form flows, at the cost of two products a sample."""

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.objectives.controls import ControlSampler
from boltzgen.objectives.free_form import Reconstruction, as_free_form
from boltzgen.objectives.reverse_kl import energy_with_finite_force, regularise
from boltzgen.protocols import Batch, FreeForm, LossTerms, Target


class FreeFormReverseKL(nn.Module):
    """Mean of E(g(z), c) - surrogate of log|det g'(z)|, and the reconstruction of the samples.

    `ReverseKL` knows log|det g'| from D products with the decoder; here its gradient,
    tr(g'^-1 grad g'), is a trace that few probes estimate, mean_k [v_k' f'(x)] (grad g'(z)) v_k
    with the encoder's f' in place of g'^-1 and the bracket held fixed. The encoder learns from the
    reconstruction of the samples alone, which is a part of the loss; where it does not undo the
    decoder the gradient is off by as much.

    Args:
        target: The target.
        controls: Where to draw c.
        reconstruction: Weights of the reconstruction of the samples.
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
        """The loss; its value means nothing, the metric `energy` is the mean regularised energy.

        Raises:
            TypeError: The density is no free-form flow.
        """
        flow = as_free_form(density)
        c = self.controls(self.n_samples, like=batch.x, generator=generator)
        with torch.no_grad():
            z = flow.base.sample(c, generator=generator)
        x, volume = decoder_surrogate(flow, z, c, n_probes=self.n_probes, generator=generator)
        regular, touched = regularise(energy_with_finite_force(self.target, x, c), self.ceiling)
        gap, metrics = self.reconstruction(flow, x.detach(), c, step=step, generator=generator)
        return LossTerms((regular - volume).mean() + gap, {
            "reverse_energy": regular.mean().detach(),
            "reverse_kl_regularised": touched.to(x.dtype).mean(),
            **{f"reverse_{name}": value for name, value in metrics.items()},
        })  # fmt: skip


def decoder_surrogate(
    density: FreeForm, z: Tensor, c: Tensor, *, n_probes: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Decoded latents, (B, *E), and a number with the gradient of log|det g'(z)|, (B,).

    As `free_form_surrogate` with encoder and decoder in each other's place.
    """
    probes = density.probes(len(z), n_probes, like=z, generator=generator)
    x = density.decode(z, c)
    leaf = x.detach().requires_grad_()
    guess = density.encode(leaf, c)
    total = z.new_zeros(len(z))
    for probe in probes:
        (pulled,) = torch.autograd.grad(guess, leaf, probe, retain_graph=True)
        pushed = torch.func.jvp(lambda at: density.decode(at, c), (z,), (probe,))[1]
        total = total + (pulled * pushed).flatten(1).sum(1)
    return x, total / n_probes
