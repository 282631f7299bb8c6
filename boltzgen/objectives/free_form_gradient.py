"""TRADE for free-form flows: d log q / dc by traces that two independent probes estimate."""

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least
from boltzgen.objectives.free_form import Reconstruction, as_free_form
from boltzgen.objectives.groups import deviations_from_means
from boltzgen.objectives.points import PointSource
from boltzgen.objectives.slopes import energy_and_first_slope
from boltzgen.protocols import Batch, FreeForm, LossTerms, Target


def control_slopes(
    density: FreeForm,
    x: Tensor,
    c: Tensor,
    *,
    n_probes: int,
    generator: Generator,
    offset: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Two independent, unbiased estimates of d log q(x | c) / d level, level = log(c + offset).

    With z = f(x, c) and a prime for the derivative in x,
    d log q / d level = d log p(z) / d level + tr(f'^-1 d f' / d level), and with the decoder's
    g' = f'^-1 and probes of E[v v'] = 1 the trace is the mean of v' (d f' / d level) g' v. Its
    gradient has two parts, tr(f'^-1 grad d f') - tr(f'^-1 (grad f') f'^-1 d f'): the second comes
    from f'^-1 and is added as v' (grad f') w with w = g' (d f' / d level) g' v held fixed, so that
    decoder and encoder are not trained to change each other. Where g' is not the inverse of f'
    both are off by as much.

    The mean of (first - a) (second - a) is (slope - a)^2, since their errors are independent; that
    of (first - a)^2 would have the variance of the probes in it.

    Args:
        density: Encoder f and decoder g.
        x: Where, (B, *E).
        c: Controls, (B, C); the derivative is in the first.
        n_probes: Probes to each estimate and row; all D of them make it exact.
        generator: Of the probes.
        offset: Added to the control before its logarithm is taken.
    """
    level = (c[:, :1] + offset).log()
    ones = torch.ones_like(level)

    def controls(at: Tensor) -> Tensor:
        return torch.cat([at.exp() - offset, c[:, 1:]], 1)

    def log_base(at: Tensor) -> Tensor:
        return density.base.log_prob(density.encode(x, controls(at)), controls(at))

    shared: Tensor = torch.func.jvp(log_base, (level,), (ones,))[1]
    with torch.no_grad():
        z = density.encode(x, c)

    def encoded(direction: Tensor, at: Tensor) -> Tensor:
        return density.encode_along(x, controls(at), direction[None])[1][0]

    @torch.no_grad()
    def decoded(direction: Tensor) -> Tensor:
        return density.decode_along(z, c, direction[None])[1][0]

    def trace(probe: Tensor) -> Tensor:
        pushed = decoded(probe)
        change: Tensor = torch.func.jvp(lambda at: encoded(pushed, at), (level,), (ones,))[1]
        back = encoded(decoded(change.detach()), level)
        own, other = _dot(probe, change), _dot(probe, back)
        return own - (other - other.detach())

    probes = [density.probes(len(x), n_probes, like=x, generator=generator) for _ in range(2)]
    first, second = (torch.stack([trace(one) for one in each]).mean(0) for each in probes)
    return shared + first, shared + second


class FreeFormControlGradient(nn.Module):
    """Spread of d log q(x | c) / d log c + c A(x, c) over points of one c, without bias.

    As `GridlessControlGradient`, with `control_slopes` in place of the exact derivative: the
    product of two deviations from the mean, each with probes of its own, has on average the
    variance times (G - 1) / G for G points of one control. Single values may be negative. The
    product is not bounded as a Huber penalty would be, since that would bring the bias back:
    begin after maximum likelihood and keep the clip of the gradient.

    TRADE moves the encoder alone; where no data are, the decoder follows by the reconstruction at
    these points, which is a part of the loss.

    Args:
        target: The target; its first control is the one along which q is carried.
        points: Where to look; at least two points to a control.
        reconstruction: Weights of the reconstruction beside TRADE.
        n_probes: Probes to each of the two estimates.
        offset: Added to the control before its logarithm is taken.

    References:
        Wahl, Rousselot, Draxler, Schopmans and Koethe, TRADE (2024), arXiv:2410.19492.
    """

    def __init__(
        self,
        target: Target,
        points: PointSource,
        reconstruction: Reconstruction | None = None,
        *,
        n_probes: int = 1,
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        if not target.control_names:
            raise ValueError("target: expected at least one control, got none")
        check_at_least("n_probes", n_probes, 1)
        self.target, self.points = target, points
        self.reconstruction = reconstruction or Reconstruction()
        self.n_probes, self.offset = n_probes, offset

    def forward(
        self, density: Density, batch: Batch, *, step: int, generator: Generator
    ) -> LossTerms:
        """Mean product of the two deviations at fresh points, and the reconstruction there."""
        flow = as_free_form(density)
        x, c = self.points(density, batch, generator=generator)
        with torch.no_grad():
            energy, slope = energy_and_first_slope(self.target, x, c)
        allowed = (energy != torch.inf) & ~slope.isinf()
        wanted = torch.where(allowed, (c[:, 0] + self.offset) * slope, 0.0)
        estimates = control_slopes(
            flow, x, c, n_probes=self.n_probes, generator=generator, offset=self.offset
        )
        first, second = (deviations_from_means(each + wanted, allowed, c) for each in estimates)
        count = allowed.sum().clamp_min(1)
        trade = 0.5 * (first * second).sum() / count
        gap, metrics = self.reconstruction(flow, x, c, step=step, generator=generator)
        return LossTerms(trade + gap, {
            "trade": trade.detach(),
            "trade_forbidden": 1 - allowed.to(x.dtype).mean(),
            **{f"trade_{name}": value for name, value in metrics.items()},
        })  # fmt: skip


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).flatten(1).sum(1)
