"""Networks on periodic lattices: of the controls alone, and of a field, split by parity."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from boltzgen.checks import check_at_least


class ControlEmbedding(nn.Module):
    """Features of the controls: a small network of c mapped from its range to [-1, 1].

    Args:
        low: Smallest value of each control, (C,).
        high: Largest value of each control, (C,).
        n_features: Size of the output.

    Raises:
        ValueError: A range is empty.
    """

    middle: Tensor
    reach: Tensor

    def __init__(self, low: Sequence[float], high: Sequence[float], *, n_features: int) -> None:
        super().__init__()
        if len(low) != len(high) or not all(a < b for a, b in zip(low, high, strict=True)):
            raise ValueError(f"low, high: expected low < high for each control, got {low}, {high}")
        check_at_least("n_features", n_features, 1)
        below, above = (torch.tensor(list(v), dtype=torch.float64) for v in (low, high))
        self.register_buffer("middle", (below + above) / 2, persistent=False)
        self.register_buffer("reach", (above - below) / 2, persistent=False)
        self.n_features = n_features
        self.first = nn.Linear(len(low), n_features)
        self.second = nn.Linear(n_features, n_features)

    def forward(self, c: Tensor) -> Tensor:
        """(B, C) -> (B, n_features)."""
        level = (c - self.middle.to(c.dtype)) / self.reach.to(c.dtype)
        return functional.silu(self.second(functional.silu(self.first(level))))


class ParityNetwork(nn.Module):
    """Local functions of a field a and the controls: some even under a -> -a, others odd.

    Odd features o start as a circular convolution of the field and of its mean over the lattice;
    even ones are made of their squares and of the controls; products of both are odd again:
    o <- o + r(conv(o e)), e = silu(W [o^2 / (1 + o^2)] + embedding), r(v) = v / (1 + v^2)^(1/4)
    (which grows like a root; asinh is forty times slower on a CPU). No bias ever meets an odd
    feature, so both parities are exact, and so is equivariance under translations. The outputs are
    zero at the start.

    It computes in the dtype of its weights and answers in that of the field. A coupling in float64
    may keep a network in float32: what the network says is a function of the unchanged sites alone,
    the same in both directions, so that density and samples agree to float64 and weights are exact,
    at a quarter of the cost (convolutions in float64 are slow).

    Args:
        n_dims: Dimensions of the lattice, 1 to 3.
        embedding: Of the controls.
        n_even: Even outputs at each site.
        n_odd: Odd outputs at each site.
        n_channels: Width.
        n_blocks: Residual blocks; each widens the field of view by kernel - 1.
        kernel: Size of the convolutions, odd.

    Raises:
        ValueError: A size is too small, or the kernel is even.
    """

    def __init__(  # noqa: PLR0913
        self,
        n_dims: int,
        embedding: ControlEmbedding,
        *,
        n_even: int,
        n_odd: int,
        n_channels: int = 16,
        n_blocks: int = 1,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        check_at_least("n_channels", n_channels, 1)
        check_at_least("n_blocks", n_blocks, 1)
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number above 0, got {kernel}")
        self.n_dims, self.embedding = n_dims, embedding
        self.n_even, self.n_odd = n_even, n_odd
        window = [kernel] * n_dims
        start = torch.randn(n_channels, 2, *window) / (2 * kernel**n_dims) ** 0.5
        self.first = nn.Parameter(start)
        scale = (n_channels * kernel**n_dims) ** -0.5
        self.weights = nn.ParameterList(
            nn.Parameter(scale * torch.randn(n_channels, n_channels, *window))
            for _ in range(n_blocks)
        )
        n_features = embedding.n_features
        self.gain = nn.Linear(n_features, n_channels)
        self.mixers = nn.ParameterList(
            nn.Parameter(torch.randn(n_channels, n_channels) / n_channels**0.5)
            for _ in range(n_blocks)
        )
        self.levels = nn.ModuleList(nn.Linear(n_features, n_channels) for _ in range(n_blocks))
        self.even = nn.Parameter(torch.zeros(n_even, n_channels))
        self.odd = nn.Parameter(torch.zeros(n_odd, n_channels))
        self.even_level = nn.Linear(n_features, n_even)
        nn.init.zeros_(self.even_level.weight)
        nn.init.zeros_(self.even_level.bias)

    def forward(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Field (B, *S) and controls (B, C) -> even (B, n_even, *S), odd (B, n_odd, *S)."""
        even, odd = self._outputs(a.to(self.first.dtype), c.to(self.first.dtype))
        return even.to(a.dtype), odd.to(a.dtype)

    def _outputs(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        features = self.embedding(c)
        mean = self._wide(a.flatten(1).mean(1)).expand_as(a)
        gain = self._wide((0.3 * self.gain(features)).exp())
        odd = _tempered(gain * self._convolve(torch.stack([a, mean], 1), self.first))
        for weight, mixer, level in zip(self.weights, self.mixers, self.levels, strict=True):
            even = functional.silu(_mix(_bounded(odd), mixer) + self._wide(level(features)))
            odd = odd + _tempered(self._convolve(odd * even, weight))
        even = _mix(_bounded(odd), self.even) + self._wide(self.even_level(features))
        return even, _mix(odd, self.odd)

    def _wide(self, rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape, *[1] * self.n_dims)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        reach = weight.shape[-1] // 2
        if reach:
            x = _pad(x, reach, self.n_dims)
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.n_dims - 1]
        return convolve(x, weight)


def _tempered(v: Tensor) -> Tensor:
    return v * (1 + v.square()).sqrt().rsqrt()


def _bounded(odd: Tensor) -> Tensor:
    square = odd.square()
    return square / (1 + square)


def _mix(x: Tensor, weight: Tensor) -> Tensor:
    """A linear map of the channels, (B, C, *S) -> (B, C', *S)."""
    return torch.matmul(weight, x.flatten(2)).unflatten(2, x.shape[2:])


def _pad(x: Tensor, reach: int, n_dims: int) -> Tensor:
    """Periodic padding, also where it is wider than the lattice."""
    for axis in range(-n_dims, 0):
        length = x.shape[axis]
        copies = math.ceil(reach / length)
        ends = [x.narrow(axis, -reach % length, reach - (copies - 1) * length)]
        front = torch.cat([*ends, *[x] * (copies - 1)], axis)
        back = torch.cat([*[x] * (copies - 1), x.narrow(axis, 0, ends[0].shape[axis])], axis)
        x = torch.cat([front, x, back], axis)
    return x
