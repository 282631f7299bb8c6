"""Reverse (backward) Kullback-Leibler divergence: the flow's own samples against the energy."""

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.objectives.controls import ControlSampler
from boltzgen.protocols import Batch, LossTerms, Target


class ReverseKL(nn.Module):
    """Mean of log q(x | c) + E(x, c) over reparametrised samples x of the flow.

    Minimises KL(q || p) - log Z(c) at controls drawn by `controls`. It needs forces and no data.
    It forgets modes that q has lost, so it stands beside an objective that covers them.

    With `path_gradient` the log-density is evaluated with frozen parameters: the part of the
    gradient that is zero on average but noisy is left out, and the rest vanishes at q = p.

    Energies above `ceiling` count as ceiling + log(1 + E - ceiling), those of +inf as the ceiling
    without a force; the share of samples touched is the metric `reverse_kl_regularised`. This is
    for training only: no weight is ever computed from a regularised energy.

    Args:
        target: The target.
        controls: Where to draw c.
        n_samples: Samples a step.
        ceiling: Reduced energy above which the energy is regularised.
        path_gradient: Whether to drop the score term.

    References:
        Noe et al., Boltzmann generators (2019), arXiv:1812.01729.
        Roeder, Wu and Duvenaud, Sticking the landing (2017), arXiv:1703.09194.
        Vaitl et al., Path-gradient estimators for normalizing flows (2022), arXiv:2207.08219.
    """

    def __init__(
        self,
        target: Target,
        controls: ControlSampler,
        *,
        n_samples: int,
        ceiling: float = 1e3,
        path_gradient: bool = True,
    ) -> None:
        super().__init__()
        check_at_least("n_samples", n_samples, 1)
        check_positive("ceiling", ceiling)
        self.target, self.controls = target, controls
        self.n_samples, self.ceiling, self.path_gradient = n_samples, ceiling, path_gradient

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Mean of log q + E; in nats, above -log Z."""
        c = self.controls(self.n_samples, like=batch.x, generator=generator)
        x, log_q = density.sample_and_log_prob(c, generator=generator)
        if self.path_gradient:
            log_q = _frozen_log_prob(density, x, c)
        energy = energy_with_finite_force(self.target, x, c)
        regular, touched = regularise(energy, self.ceiling)
        loss = (log_q + regular).mean()
        metrics = {
            "reverse_kl": loss.detach(),
            "reverse_kl_regularised": touched.to(x.dtype).mean(),
        }
        return LossTerms(loss, metrics)


def energy_with_finite_force(target: Target, x: Tensor, c: Tensor) -> Tensor:
    """Energy whose gradient is zero where it is +inf, also if a target's own is NaN there."""
    held = x.view_as(x)
    energy = target.energy(held, c)
    allowed = (energy != torch.inf).reshape(-1, *[1] * (x.dim() - 1))
    if held.requires_grad:
        held.register_hook(lambda gradient: torch.where(allowed, gradient, 0.0))
    return energy


def _frozen_log_prob(density: Density, x: Tensor, c: Tensor) -> Tensor:
    """Log q(x | c) with a gradient in x only."""
    frozen = {name: value.detach() for name, value in density.named_parameters()}
    buffers = dict(density.named_buffers())
    log_prob: Tensor = torch.func.functional_call(
        _LogProb(density), {f"density.{k}": v for k, v in (frozen | buffers).items()}, (x, c)
    )
    return log_prob


class _LogProb(nn.Module):
    """`Density.log_prob` as a module's call, for functional_call."""

    def __init__(self, density: Density) -> None:
        super().__init__()
        self.density = density

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.density.log_prob(x, c)


def regularise(energy: Tensor, ceiling: float) -> tuple[Tensor, Tensor]:
    """Flatten energies above a ceiling logarithmically; NaN stays NaN.

    Args:
        energy: Reduced energies, shape (B,), +inf allowed.
        ceiling: Where the flattening starts.

    Returns:
        The finite energies (B,) and which were touched, bool (B,).
    """
    touched = energy > ceiling
    finite = torch.where(energy == torch.inf, ceiling, energy)
    excess = torch.where(touched, finite - ceiling, 0.0)
    return torch.where(touched, ceiling + excess.log1p(), finite), touched
