"""The density of decoded latents, with an encoder that has learned to undo the decoder."""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.flows.densities import CentredNormal, centred
from boltzgen.flows.duals import push
from boltzgen.flows.free_form.jacobians import by_row, linearise, newton_direction, solve
from boltzgen.random import draw_normal

_ATTACHED = 2
"""Newton steps that keep a graph; k of them give derivatives right up to order 2^k - 1."""
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


class Preimage(NamedTuple):
    """Latents of given x, found by Newton's method from the encoder's guess.

    Attributes:
        z: (B, *E); 0 where none was found.
        log_volume: log|det| of the decoder there, (B,).
        error: Largest |decoder(z) - x| of a row, (B,).
        found: Whether that is within the tolerance, (B,).
    """

    z: Tensor
    log_volume: Tensor
    error: Tensor
    found: Tensor


class FreeFormFlow(Density):
    """x = decoder(z, c) for z from a base; any networks, trained to be each other's inverse.

    The density is that of the decoder alone, log q(x | c) = log p(z) - log|det decoder'(z)| at
    decoder(z, c) = x, and exact in both directions: samples are one pass of the decoder (and D
    products with tangents for their density), and log_prob solves for z by Newton's method, for
    which the encoder has the first guess. So a poor encoder costs time, never truth. log_prob is
    -inf where no z was found, which weights of reference samples then show as infinite; where a
    decoder folds, so that x has several z, log_prob counts one of them: `round_trip` measures both.

    A decoder that moves along with its input, decoder(z + a) = decoder(z) + a for a shift a of all
    particles, and that keeps the centre where it is, has the same determinant on the space of
    centred x as on all of it, so that with `CentredNormal` as base the density is that of centred
    configurations.

    Args:
        encoder: Module (x, c) -> z, shapes (B, *E), (B, C) -> (B, *E).
        decoder: Module (z, c) -> x.
        base: Density of z.
        tolerance: Largest error of a component of x for z to count as found, times 1 + the largest
            |component| of x. Default: 1e-10 in float64, 1e-4 in float32.
        n_newton: Newton steps at most.
        canonical: Module x -> x that moves x to where the decoder would put it, without a change
            of volume, such as `AngleCut`; nothing if None.

    References:
        Draxler, Sorrenson, Zimmermann, Rousselot and Koethe, Free-form flows (2024),
        arXiv:2310.16624.
    """

    def __init__(  # noqa: PLR0913
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        base: Density,
        *,
        tolerance: float | None = None,
        n_newton: int = 20,
        canonical: nn.Module | None = None,
    ) -> None:
        super().__init__(base.event_shape, base.n_controls)
        if tolerance is not None:
            check_positive("tolerance", tolerance)
        check_at_least("n_newton", n_newton, 1)
        self.encoder, self.decoder, self.base = encoder, decoder, base
        self.tolerance, self.n_newton = tolerance, n_newton
        self.canonical = nn.Identity() if canonical is None else canonical

    def tolerance_of(self, x: Tensor) -> Tensor:
        """Largest error of a component of each x for its latent to count as found, (B,).

        Raises:
            ValueError: x is neither float32 nor float64.
        """
        if x.dtype not in _TOLERANCE:
            raise ValueError(f"x: expected float32 or float64, got {x.dtype}")
        return (self.tolerance or _TOLERANCE[x.dtype]) * (1 + x.abs().flatten(1).amax(1))

    def encode(self, x: Tensor, c: Tensor) -> Tensor:
        """The encoder's z, (B, *E): close to, but not, the one that x is decoded from."""
        z: Tensor = self.encoder(x, c)
        return z

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Decoded latents, (B, *E) -> (B, *E)."""
        x: Tensor = self.decoder(z, c)
        return x

    def encode_along(self, x: Tensor, c: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """`encode`, and its derivatives along directions (K, B, *E) of x, of their shape."""
        return push(self.encoder, x, c, directions)

    def decode_along(self, z: Tensor, c: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """`decode`, and its derivatives along directions (K, B, *E) of z, of their shape."""
        return push(self.decoder, z, c, directions)

    def probes(self, n_rows: int, n_probes: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Directions v_k with E[v v'] = 1, for traces: (K, B, *E), orthogonal and of one length.

        With a centred base they are centred too, and 1 is the identity there.

        Raises:
            ValueError: More probes than dimensions are asked for.
        """
        n_free = (
            self.base.n_free
            if isinstance(self.base, CentredNormal)
            else math.prod(self.event_shape)
        )
        if not 1 <= n_probes <= n_free:
            raise ValueError(f"n_probes: expected 1 to {n_free}, got {n_probes}")
        shape = (n_rows, n_probes, *self.event_shape)
        drawn = draw_normal(shape, like=like, generator=generator)
        if isinstance(self.base, CentredNormal):
            drawn = centred(drawn)
        if n_probes == 1:
            flat = drawn.flatten(2)
            directions = flat / flat.norm(dim=2, keepdim=True)
        else:
            directions = torch.linalg.qr(drawn.flatten(2).mT).Q.mT
        scaled = directions * math.sqrt(n_free)
        return scaled.reshape(shape).transpose(0, 1)

    def preimage(self, x: Tensor, c: Tensor) -> Preimage:
        """Latents of x (B, *E) at controls c (B, C); the first and second derivatives are right.

        The steps that keep a graph run only where autograd records one.
        """
        x = self.canonical(x)
        tolerance = self.tolerance_of(x.detach())
        solved = solve(
            self.decode, self.encode, x.detach(), c.detach(), tolerance=tolerance,
            n_steps=self.n_newton,
        )  # fmt: skip
        found = (solved.error <= tolerance) & tolerance.isfinite()
        z = torch.where(by_row(found, x), solved.z, 0.0)
        if torch.is_grad_enabled():
            for _ in range(_ATTACHED):
                here = linearise(self.decode, z, c).within(found)
                z = z + newton_direction(here, x)
        volume = linearise(self.decode, z, c).within(found).log_volume
        return Preimage(z, volume, solved.error, found)

    def encoded(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's z (B, *E) and its own log-density of x, (B,): the one that is trained.

        It is normalised where the encoder is one-to-one, but it is not the density of samples.
        """
        here = linearise(self.encode, x, c)
        return here.value, self.base.log_prob(here.value, c) + here.log_volume

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        z, log_volume, _, found = self.preimage(x, c)
        return torch.where(found, self.base.log_prob(z, c) - log_volume, -torch.inf)

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        z, log_base = self.base.sample_and_log_prob(c, generator=generator)
        here = linearise(self.decode, z, c)
        return here.value, log_base - here.log_volume

    def sample(self, c: Tensor, *, generator: Generator) -> Tensor:
        """Draw one x for each row of c, (B, C) -> (B, *E), by one pass of the decoder."""
        return self.decode(self.base.sample(c, generator=generator), c)
