"""How well encoder and decoder undo each other: what a likelihood of theirs is worth."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_at_least, check_controls, check_event
from boltzgen.flows.free_form.density import FreeFormFlow
from boltzgen.flows.free_form.jacobians import linearise

_NINETY_NINE = 0.99
_MANY = 100
"""Points from which on a hundredth of them is something."""
_SAME = 100.0
"""So many tolerances apart, seen through the Jacobian, latents are two."""


class Errors(NamedTuple):
    """Of a set of rows: the middle one, the one that 1 % exceed, and the largest."""

    median: float
    high: float
    largest: float


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Certificate of a pair of networks at N points x and as many latents.

    Args:
        data: Largest |x - g(f(x))| of a component, over the x; in units of x.
        latent: Largest |z - f(g(z))| of a component, over draws of the base; in units of z.
        tail: The same for draws stretched away from the origin.
        log_density_gap: |log-density by the encoder - by the decoder|, over the x with a latent; in
            nats.
        n_points: N.
        n_lost: Points x for which no latent was found: the density there is 0.
        n_lost_samples: The same of g(z) for draws z, whose density is not 0: the encoder's guesses
            are too poor for Newton's method.
        n_folded: Draws z whose g(z) was found to come from another latent as well: the decoder is
            not one-to-one, and the density there counts too little.
        stretch: Of the tail.
    """

    data: Errors
    latent: Errors
    tail: Errors
    log_density_gap: Errors
    n_points: int
    n_lost: int
    n_lost_samples: int
    n_folded: int
    stretch: float

    @property
    def is_one_to_one(self) -> bool:
        """Whether nothing was lost and nothing folded."""
        return self.n_lost == self.n_lost_samples == self.n_folded == 0

    def __str__(self) -> str:
        named = {
            "|x - g(f(x))|": self.data, "|z - f(g(z))|": self.latent,
            f"at {self.stretch:g} z": self.tail, "log-densities differ by": self.log_density_gap,
        }  # fmt: skip
        many = self.n_points >= _MANY
        rows = [
            f"{name} {found.median:.2g} ("
            + (f"1 % above {found.high:.2g}, " if many else "")
            + f"largest {found.largest:.2g})"
            for name, found in named.items()
        ]
        lost = (
            f"{self.n_lost} points and {self.n_lost_samples} samples lost, {self.n_folded} folded "
            f"of {self.n_points}"
        )
        return "; ".join([*rows, lost])


@torch.no_grad()
def round_trip(
    flow: FreeFormFlow, x: Tensor, c: Tensor, *, generator: Generator, stretch: float = 1.5
) -> RoundTrip:
    """Send data and latents there and back.

    Folds are looked for where they are likely: g(z) is decoded, and its latent found from the
    encoder's guess; a latent that decodes to the same x but is not z is a second one.

    Args:
        flow: Encoder f and decoder g.
        x: Data, (N, *E), at least two.
        c: Their controls, (N, C), which the latents are decoded with as well.
        generator: Of the latents.
        stretch: Factor on draws of the base that stands for its tails.

    Raises:
        ValueError: A shape or dtype is wrong.
    """
    check_event("x", x, flow.event_shape)
    check_at_least("x", len(x), 2)
    check_controls("c", c, len(x), flow.n_controls)
    x = flow.canonical(x)
    encoded, by_encoder = flow.encoded(x, c)
    back = flow.decode(encoded, c)
    preimage = flow.preimage(x, c)
    by_decoder = flow.base.log_prob(preimage.z, c) - preimage.log_volume
    z = flow.base.sample(c, generator=generator)
    tail = stretch * z
    sent = flow.decode(z, c)
    again = flow.preimage(sent, c)
    moved = linearise(flow.decode, again.z, c).jacobian @ (again.z - z).flatten(1)[..., None]
    far = _largest(moved) > _SAME * flow.tolerance_of(sent)
    return RoundTrip(
        data=_errors(_largest(x - back)),
        latent=_errors(_largest(z - flow.encode(sent, c))),
        tail=_errors(_largest(tail - flow.encode(flow.decode(tail, c), c))),
        log_density_gap=_errors((by_encoder - by_decoder).abs()[preimage.found]),
        n_points=len(x),
        n_lost=int((~preimage.found).sum()),
        n_lost_samples=int((~again.found).sum()),
        n_folded=int((again.found & far).sum()),
        stretch=stretch,
    )  # fmt: skip


def _largest(gap: Tensor) -> Tensor:
    return gap.abs().flatten(1).amax(1)


def _errors(values: Tensor) -> Errors:
    """Quantiles of (M,), NaN where there is none."""
    if not len(values):
        return Errors(float("nan"), float("nan"), float("nan"))
    ordered = values.double().sort().values
    at = (len(ordered) - 1) * torch.tensor([0.5, _NINETY_NINE, 1.0], dtype=torch.float64)
    return Errors(*ordered[at.ceil().long()].tolist())
