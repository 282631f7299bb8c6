"""Maximum likelihood of free-form flows: an unbiased gradient of log|det|, and reconstruction.

References:
    Draxler, Sorrenson, Zimmermann, Rousselot and Koethe, Free-form flows (2024), arXiv:2310.16624.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.protocols import Batch, FreeForm, LossTerms


class Surrogate(NamedTuple):
    """What one pass through encoder and decoder gives.

    Attributes:
        z: Encoded x, (B, *E).
        back: Decoded z, (B, *E).
        log_volume: A number whose gradient in the encoder is, on average, that of
            log|det encoder'(x)| where the decoder undoes the encoder; its value is near D and means
            nothing, (B,).
    """

    z: Tensor
    back: Tensor
    log_volume: Tensor


def free_form_surrogate(
    density: FreeForm, x: Tensor, c: Tensor, *, n_probes: int, generator: Generator
) -> Surrogate:
    """mean_k v_k' f'(x) [g'(z) v_k], the bracket held fixed, with z = f(x).

    The gradient of log|det f'| is tr((grad f') f'^-1), and g' = f'^-1; E[v v'] = 1 makes a trace of
    it. The probes of one x are orthogonal and of length sqrt(D), so that D probes give the trace
    exactly. One decoder product (forward mode) and one encoder product (reverse mode) a probe.

    Args:
        density: Encoder f and decoder g.
        x: Data, (B, *E).
        c: Controls, (B, C).
        n_probes: K, at most D.
        generator: Of the probes.
    """
    probes = density.probes(len(x), n_probes, like=x, generator=generator)
    leaf = x if x.requires_grad else x.detach().requires_grad_()
    z = density.encode(leaf, c)
    with torch.no_grad():  # a pass of its own costs less than one that records tangents too
        _, pushed = density.decode_along(z, c, probes)
    total = x.new_zeros(len(x))
    for probe, moved in zip(probes, pushed, strict=True):
        (pulled,) = torch.autograd.grad(z, leaf, probe, create_graph=True)
        total = total + (pulled * moved).flatten(1).sum(1)
    return Surrogate(z, density.decode(z, c), total / n_probes)


@dataclass(frozen=True)
class Reconstruction:
    """Weights of |x - g(f(x))|^2 on data and |z - f(g(z))|^2 on draws of the base.

    Too small a weight lets the two networks drift apart, and the surrogate then improves while the
    likelihood does not; too large a one slows training.

    Args:
        data: Weight on data once the schedule is up.
        latent: The same on latents; 0 leaves the two extra passes out.
        start: Share of both at step 0.
        length: Steps over which the share goes to 1, geometrically; 0 has no schedule.

    Raises:
        ValueError: A weight is negative, that on data or the share not positive.
    """

    data: float = 10.0
    latent: float = 0.0
    start: float = 1.0
    length: int = 0

    def __post_init__(self) -> None:
        check_positive("data", self.data)
        check_positive("start", self.start)
        check_at_least("length", self.length, 0)
        if not self.latent >= 0:
            raise ValueError(f"latent: expected a weight of at least 0, got {self.latent}")

    def share(self, step: int) -> float:
        """Factor of both weights at a step."""
        if step >= self.length:
            return 1.0
        share: float = self.start ** (1 - step / self.length)
        return share

    def __call__(  # noqa: PLR0913
        self,
        density: FreeForm,
        x: Tensor,
        c: Tensor,
        *,
        step: int,
        generator: Generator,
        back: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted mean squares at x (B, *E) and c (B, C), and each of them as a metric.

        Args:
            density: Encoder f and decoder g.
            x: Data.
            c: Their controls, which latents are decoded with as well.
            step: For the schedule.
            generator: Of the latents.
            back: g(f(x)), where it is known.
        """
        if back is None:
            back = density.decode(density.encode(x, c), c)
        gap = _square(x - back).mean()
        loss, metrics = self.data * gap, {"reconstruction": gap.detach()}
        if self.latent > 0:
            z = density.base.sample(c, generator=generator)
            missed = _square(z - density.encode(density.decode(z, c), c)).mean()
            loss = loss + self.latent * missed
            metrics["latent_reconstruction"] = missed.detach()
        return self.share(step) * loss, metrics


class FreeFormLikelihood(nn.Module):
    """Mean of -log p(f(x)) - surrogate + weight |x - g(f(x))|^2 over the batch.

    Its minimum is that of the likelihood where the reconstruction is exact. The metric
    `free_form_surrogate` is a loss, not a likelihood: only `log_prob` knows that.

    Args:
        reconstruction: Weights of the reconstruction.
        n_probes: Probes to each x; 1 and a larger batch serve better than more.
    """

    def __init__(self, reconstruction: Reconstruction | None = None, *, n_probes: int = 1) -> None:
        super().__init__()
        check_at_least("n_probes", n_probes, 1)
        self.reconstruction = reconstruction or Reconstruction()
        self.n_probes = n_probes

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """The loss; its gradient is that of the negative log-likelihood plus the reconstruction.

        Raises:
            TypeError: The density is no free-form flow.
        """
        flow = as_free_form(density)
        found = free_form_surrogate(
            flow, batch.x, batch.c, n_probes=self.n_probes, generator=generator
        )
        value = (-flow.base.log_prob(found.z, batch.c) - found.log_volume).mean()
        gap, metrics = self.reconstruction(
            flow, batch.x, batch.c, step=step, generator=generator, back=found.back
        )
        metrics["free_form_surrogate"] = value.detach()
        return LossTerms(value + gap, metrics)


def as_free_form(density: Density) -> FreeForm:
    """The density, which has to be a free-form flow.

    Raises:
        TypeError: It is another.
    """
    if not isinstance(density, FreeForm):
        raise TypeError(f"density: expected a free-form flow, got {type(density).__name__}")
    return density


def _square(gap: Tensor) -> Tensor:
    return gap.square().flatten(1).sum(1)
