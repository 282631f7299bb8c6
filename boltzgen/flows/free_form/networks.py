"""Networks for free-form flows: x plus something learned, which is zero as built."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from boltzgen.checks import check_at_least
from boltzgen.flows.conditioners import ResidualMLP
from boltzgen.flows.encodings import ControlEncoding

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
    makes messages along all pairs from both h and the distances now and at the input, adds their
    sum to h, and moves each particle along the lines to the others,
    x_i += sum_j (x_i - x_j) / (r_ij + 1) phi(m_ij) / (N - 1). Rotations, reflections and shifts of
    x go through to the output, permutations of equal particles too; the centre stays where it is.
    Graphs are dense and batched: N (N - 1) pairs, no neighbour lists.

    Args:
        n_particles: N, at least 2.
        n_dims: Dimension n of space.
        controls: What is seen of the controls.
        n_hidden: Width of features and messages.
        n_layers: Number of layers.
        features: Fixed features of the particles, such as their kind one-hot, (N, F).

    Raises:
        ValueError: A count is too small, or the features are for another number of particles.

    References:
        Satorras, Hoogeboom and Welling, E(n) equivariant graph neural networks (2021),
        arXiv:2102.09844.
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
    ) -> None:
        super().__init__()
        check_at_least("n_particles", n_particles, 2)
        check_at_least("n_dims", n_dims, 1)
        check_at_least("n_layers", n_layers, 1)
        own = torch.zeros(n_particles, 0) if features is None else features
        if own.dim() != 2 or len(own) != n_particles:
            raise ValueError(f"features: expected shape ({n_particles}, F), got {tuple(own.shape)}")
        self.event_shape = (n_particles, n_dims)
        self.register_buffer("features", own.clone(), persistent=False)
        self.controls = copy.deepcopy(controls)
        self.first = nn.Linear(own.shape[1] + controls.n_features, n_hidden)
        self.layers = nn.ModuleList(
            _GraphLayer(n_hidden, is_last=layer == n_layers - 1) for layer in range(n_layers)
        )

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, N, n), (B, C) -> (B, N, n)."""
        level = self.controls(c)[:, None].expand(-1, x.shape[1], -1)
        own = self.features.to(x.dtype).expand(len(x), -1, -1)
        h = functional.silu(self.first(torch.cat([own, level], 2)))
        at_input = _pairs(x)[1]
        for layer in self.layers:
            x, h = layer(x, h, at_input)
        return x


class _GraphLayer(nn.Module):
    """Messages along all pairs move the particles and change their features.

    Args:
        n_hidden: Width.
        is_last: Whether the features that it would make are of no use any more.
    """

    def __init__(self, n_hidden: int, *, is_last: bool) -> None:
        super().__init__()
        self.of_receiver = nn.Linear(n_hidden, n_hidden)
        self.of_sender = nn.Linear(n_hidden, n_hidden, bias=False)
        self.of_distances = nn.Linear(2, n_hidden, bias=False)
        self.message = nn.Linear(n_hidden, n_hidden)
        self.pull = nn.Linear(n_hidden, n_hidden)
        self.length = nn.Linear(n_hidden, 1, bias=False)
        nn.init.zeros_(self.length.weight)
        self.listen = None if is_last else _Listening(n_hidden)

    def forward(self, x: Tensor, h: Tensor, at_input: Tensor) -> tuple[Tensor, Tensor]:
        """Move x (B, N, n) and h (B, N, F); `at_input` holds r_ij of the input, (B, N, N)."""
        apart, distance = _pairs(x)
        seen = self.of_distances(torch.stack([distance, at_input], -1))
        seen = seen + self.of_receiver(h)[:, :, None] + self.of_sender(h)[:, None]
        messages = functional.silu(self.message(functional.silu(seen)))
        others = 1 - torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        share = others / (x.shape[1] - 1)
        pull = share * self.length(functional.silu(self.pull(messages)))[..., 0] / (distance + 1)
        moved = (pull[..., None] * apart).sum(2)
        if self.listen is not None:
            h = self.listen(h, messages, share)
        return x + moved - moved.mean(1, keepdim=True), h


class _Listening(nn.Module):
    """h plus what a particle makes of the gated mean of its messages."""

    def __init__(self, n_hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(n_hidden, 1)
        self.first = nn.Linear(2 * n_hidden, n_hidden)
        self.last = nn.Linear(n_hidden, n_hidden)

    def forward(self, h: Tensor, messages: Tensor, share: Tensor) -> Tensor:
        """H (B, N, F), messages (B, N, N, F) and the share of each in the mean, (N, N)."""
        weight = share * self.gate(messages)[..., 0].sigmoid()
        heard = (weight[..., None] * messages).sum(2)
        changed: Tensor = self.last(functional.silu(self.first(torch.cat([h, heard], 2))))
        return h + changed


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """x_i - x_j, (B, N, N, n), and its smoothed length, (B, N, N)."""
    apart = x[:, :, None] - x[:, None]
    return apart, (apart.square().sum(-1) + _SMOOTH).sqrt()
