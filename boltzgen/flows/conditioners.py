"""Networks that turn the untouched half of x and the controls into parameters of a transform."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from boltzgen.checks import check_at_least
from boltzgen.flows.encodings import ControlEncoding


class Features(nn.Module):
    """Inputs of a conditioner: numbers as they are, angles as cosine and sine, encoded controls.

    An angle with a divisor f above 1 is a folded one: its ends meet only up to a relabelling, so
    the cosine and sine of u / f go in as well, which differ at the two ends.

    Args:
        periodic: Which components are angles, bool, shape (D,).
        divisors: One f for each component, shape (D,).
        controls: What is seen of the controls.
    """

    def __init__(self, periodic: Tensor, divisors: Tensor, controls: ControlEncoding) -> None:
        super().__init__()
        angles = periodic.nonzero()[:, 0]
        folded = (periodic & (divisors > 1)).nonzero()[:, 0]
        plain = (~periodic).nonzero()[:, 0]
        self.register_buffer("plain", plain, persistent=False)
        self.register_buffer("angles", torch.cat([angles, folded]), persistent=False)
        rate = torch.cat([torch.ones(len(angles)), 1 / divisors[folded].to(torch.float32)])
        self.register_buffer("rate", rate, persistent=False)
        self.controls = copy.deepcopy(controls)  # a cast of one flow must not reach another
        self.n_features = len(plain) + 2 * len(rate) + controls.n_features

    plain: Tensor
    angles: Tensor
    rate: Tensor

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, D), (B, C) -> (B, n_features)."""
        turned = x[:, self.angles] * self.rate.to(x.dtype)
        level = self.controls(c)
        return torch.cat([x[:, self.plain], turned.cos(), turned.sin(), level], 1)


class ResidualMLP(nn.Module):
    """A dense network with residual blocks, zero at the start.

    Args:
        n_inputs: Size of an input row.
        n_outputs: Size of an output row.
        n_hidden: Width.
        n_blocks: Number of residual blocks after the first layer.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, n_hidden: int, n_blocks: int) -> None:
        super().__init__()
        check_at_least("n_hidden", n_hidden, 1)
        check_at_least("n_blocks", n_blocks, 0)
        self.first = nn.Linear(n_inputs, n_hidden)
        self.blocks = nn.ModuleList(nn.Linear(n_hidden, n_hidden) for _ in range(n_blocks))
        self.last = nn.Linear(n_hidden, n_outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, n_inputs) -> (B, n_outputs)."""
        hidden = functional.silu(self.first(features))
        for block in self.blocks:
            hidden = hidden + functional.silu(block(hidden))
        return self.last(hidden)
