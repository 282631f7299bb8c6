"""Networks for free-form flows: x plus something learned, which is zero as built."""

import copy
import math

import torch
from torch import Tensor, nn

from boltzgen.checks import check_at_least, check_positive
from boltzgen.flows.activations import silu
from boltzgen.flows.conditioners import ResidualMLP
from boltzgen.flows.encodings import ControlEncoding

_N_RADIAL, _REACH = 16, 4.0
"""Number of Gaussians that a distance is seen by, and where the last is, in units of the length."""
_FINENESS = (_N_RADIAL - 1) / _REACH / math.sqrt(2)
_SMOOTH = 1e-6
"""Added to squared distances before their root; in units of x."""


class ResidualField(nn.Module):
    """x + MLP(x, c) over numbers without a symmetry.

    Args:
        n_features: D.
        controls: What is seen of the controls.
        n_hidden: Width.
        n_blocks: Residual blocks.
    """

    def __init__(
        self, n_features: int, controls: ControlEncoding, *, n_hidden: int, n_blocks: int
    ) -> None:
        super().__init__()
        self.controls = copy.deepcopy(controls)  # a cast of one network must not reach another
        self.network = ResidualMLP(
            n_features + controls.n_features, n_features, n_hidden=n_hidden, n_blocks=n_blocks
        )

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, D), (B, C) -> (B, D)."""
        moved: Tensor = self.network(torch.cat([x, self.controls(c)], 1))
        return x + moved


class EquivariantGraph(nn.Module):
    """x + displacements of particles that see each other: an E(n)-equivariant graph network.

    Every particle has features h, as built from the controls and its own fixed features. A layer
    makes one message for each pair, from the sum of both h (after a matrix) and the distance now
    and at the input, each as a number and as seen by a row of Gaussians. It adds what a particle
    makes of its messages to h, and moves both particles of a pair along the line between them,
    x_i += sum_j (x_i - x_j) / (r_ij + 1) phi(m_ij) / (N - 1). As m_ij = m_ji, which halves the
    work, action is reaction: the centre stays where it is. Every gradient of an invariant function
    of x has this form. Rotations, reflections and shifts of x go through to the output,
    permutations of equal particles too. Graphs are dense and batched: N (N - 1) / 2 pairs, no
    neighbour lists.

    Args:
        n_particles: N, at least 2.
        n_dims: Dimension n of space.
        controls: What is seen of the controls.
        n_hidden: Width of features and messages.
        n_layers: Number of layers.
        features: Fixed features of the particles, such as their kind one-hot, (N, F).
        length: Unit of x in which the layers work, about the spread of the particles.

    Raises:
        ValueError: A count is too small, the length not positive, or the features are for another
            number of particles.

    References:
        Satorras, Hoogeboom and Welling, E(n) equivariant graph neural networks (2021),
        arXiv:2102.09844; there every pair has two messages.
    """

    features: Tensor

    def __init__(  # noqa: PLR0913
        self,
        n_particles: int,
        n_dims: int,
        controls: ControlEncoding,
        *,
        n_hidden: int,
        n_layers: int,
        features: Tensor | None = None,
        length: float = 1.0,
    ) -> None:
        super().__init__()
        check_positive("length", length)
        check_at_least("n_particles", n_particles, 2)
        check_at_least("n_dims", n_dims, 1)
        check_at_least("n_layers", n_layers, 1)
        own = torch.zeros(n_particles, 0) if features is None else features
        if own.dim() != 2 or len(own) != n_particles:
            raise ValueError(f"features: expected shape ({n_particles}, F), got {tuple(own.shape)}")
        self.event_shape, self.length = (n_particles, n_dims), length
        self.register_buffer("features", own.clone(), persistent=False)
        self.pairs = _Pairs(n_particles)
        self.controls = copy.deepcopy(controls)
        self.first = nn.Linear(own.shape[1] + controls.n_features, n_hidden)
        self.layers = nn.ModuleList(
            _GraphLayer(n_hidden, is_last=layer == n_layers - 1) for layer in range(n_layers)
        )

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, N, n), (B, C) -> (B, N, n)."""
        level = self.controls(c)[:, None].expand(-1, x.shape[1], -1)
        own = self.features.to(x.dtype).expand(len(x), -1, -1)
        h = silu(self.first(torch.cat([own, level], 2)))
        x = x / self.length
        at_input = self.pairs.seen(_length(self.pairs.lines(x)))
        for layer in self.layers:
            x, h = layer(x, h, at_input, self.pairs)
        return x * self.length


class _GraphLayer(nn.Module):
    """Messages along all pairs move the particles and change their features.

    Args:
        n_hidden: Width.
        is_last: Whether the features that it would make are of no use any more.
    """

    def __init__(self, n_hidden: int, *, is_last: bool) -> None:
        super().__init__()
        self.of_particles = nn.Linear(n_hidden, n_hidden)
        self.of_distances = nn.Linear(2 * (1 + _N_RADIAL), n_hidden, bias=False)
        self.message = nn.Linear(n_hidden, n_hidden)
        self.pull = nn.Linear(n_hidden, n_hidden)
        self.length = nn.Linear(n_hidden, 1, bias=False)
        nn.init.zeros_(self.length.weight)
        self.listen = None if is_last else _Listening(n_hidden)

    def forward(
        self, x: Tensor, h: Tensor, at_input: Tensor, pairs: "_Pairs"
    ) -> tuple[Tensor, Tensor]:
        """Move x (B, N, n) and h (B, N, F); what is seen of the pairs at the input: (B, P, R)."""
        apart = pairs.lines(x)
        distance = _length(apart)
        seen = self.of_distances(torch.cat([pairs.seen(distance), at_input], -1))
        seen = seen + pairs.sums(self.of_particles(h))
        messages = silu(self.message(silu(seen)))
        push = self.length(silu(self.pull(messages))) / (distance + 1)[..., None]
        if self.listen is not None:
            h = self.listen(h, messages, pairs)
        return x + pairs.moved(push * apart), h


class _Listening(nn.Module):
    """h plus what a particle makes of the gated mean of its messages."""

    def __init__(self, n_hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(n_hidden, 1)
        self.first = nn.Linear(2 * n_hidden, n_hidden)
        self.last = nn.Linear(n_hidden, n_hidden)

    def forward(self, h: Tensor, messages: Tensor, pairs: "_Pairs") -> Tensor:
        """H (B, N, F) and the messages of all pairs, (B, P, F)."""
        heard = pairs.means(self.gate(messages).sigmoid() * messages)
        changed: Tensor = self.last(silu(self.first(torch.cat([h, heard], 2))))
        return h + changed


class _Pairs(nn.Module):
    """All pairs of N particles: what goes from particles to pairs and back are constant matrices.

    Args:
        n_particles: N.
    """

    ends: Tensor
    to_ends: Tensor
    meet: Tensor
    to_met: Tensor
    centres: Tensor

    def __init__(self, n_particles: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(n_particles, n_particles, 1)
        one, share = torch.eye(n_particles), 1 / (n_particles - 1)
        ends, meet = one[first] - one[second], one[first] + one[second]
        for name, matrix in (
            ("ends", ends), ("to_ends", share * ends.mT), ("meet", meet),
            ("to_met", share * meet.mT), ("centres", torch.arange(_N_RADIAL) / math.sqrt(2)),
        ):  # fmt: skip
            self.register_buffer(name, matrix.contiguous(), persistent=False)

    def lines(self, x: Tensor) -> Tensor:
        """From the second particle of each pair to the first, (B, N, n) -> (B, P, n)."""
        return self.ends @ x

    def sums(self, h: Tensor) -> Tensor:
        """Sum over both particles of each pair, (B, N, F) -> (B, P, F)."""
        return self.meet @ h

    def moved(self, along: Tensor) -> Tensor:
        """Mean over the pairs of each particle, with opposite signs for both of a pair."""
        return self.to_ends @ along

    def means(self, messages: Tensor) -> Tensor:
        """Mean over the pairs of each particle, (B, P, F) -> (B, N, F)."""
        return self.to_met @ messages

    def seen(self, distance: Tensor) -> Tensor:
        """A distance and Gaussians of it side by side: (B, P) -> (B, P, R)."""
        number = distance[..., None]
        away = number * _FINENESS - self.centres
        return torch.cat([number, (-away.square()).exp()], -1)


def _length(apart: Tensor) -> Tensor:
    """Smoothed length of (B, P, n), (B, P)."""
    return (apart.square().sum(-1) + _SMOOTH).sqrt()
