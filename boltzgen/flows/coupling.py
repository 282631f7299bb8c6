"""Coupling layers: part of x is mapped, with parameters that depend on the rest and on c."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from boltzgen.base import Bijection
from boltzgen.flows.conditioners import Features, ResidualMLP
from boltzgen.flows.encodings import ControlEncoding
from boltzgen.flows.transforms import Transform


class Part(NamedTuple):
    """Components (a sorted tuple of indices) that one transform maps."""

    indices: tuple[int, ...]
    transform: Transform


class VectorLayout(NamedTuple):
    """What a flow must know of x and c: which components are angles, how folded, how c is seen.

    Attributes:
        periodic: bool, shape (D,).
        divisors: Fold of each component, 1 where there is none, shape (D,).
        controls: What networks see of the controls.
    """

    periodic: Tensor
    divisors: Tensor
    controls: ControlEncoding


class Coupling(Bijection):
    """One coupling layer; several parts with different transforms share one conditioner.

    Args:
        layout: The components of x and the encoding of the controls.
        parts: What is mapped; the remaining components are the input of the conditioner.
        n_hidden: Width of the conditioner.
        n_blocks: Residual blocks of the conditioner.

    Raises:
        ValueError: Parts overlap, name a component that does not exist, or leave the conditioner
            without input: no component untouched and no control.

    References:
        Dinh, Krueger and Bengio, NICE (2014), arXiv:1410.8516.
    """

    def __init__(
        self, layout: VectorLayout, parts: Sequence[Part], *, n_hidden: int, n_blocks: int
    ) -> None:
        n_features = len(layout.periodic)
        super().__init__((n_features,), layout.controls.n_controls)
        moved = [index for part in parts for index in part.indices]
        if len(set(moved)) != len(moved) or not set(moved) <= set(range(n_features)):
            raise ValueError(
                f"parts: expected distinct components of 0 to {n_features - 1}, got {moved}"
            )
        kept = [index for index in range(n_features) if index not in set(moved)]
        if not moved or (not kept and not layout.controls.n_controls):
            raise ValueError(f"parts: expected some components to map and some input, got {moved}")
        self.transforms = [part.transform for part in parts]
        self.sizes = [len(part.indices) for part in parts]
        self.register_buffer("kept", torch.tensor(kept, dtype=torch.long), persistent=False)
        self.register_buffer("moved", torch.tensor(moved), persistent=False)
        order = torch.tensor([*kept, *moved]).argsort()
        self.register_buffer("order", order, persistent=False)
        self.features = Features(
            layout.periodic[self.kept], layout.divisors[self.kept], layout.controls
        )
        self.n_parameters = [
            size * transform.n_parameters
            for size, transform in zip(self.sizes, self.transforms, strict=True)
        ]
        self.conditioner = ResidualMLP(
            self.features.n_features, sum(self.n_parameters), n_hidden=n_hidden, n_blocks=n_blocks
        )

    kept: Tensor
    moved: Tensor
    order: Tensor
    features: Features

    @torch.no_grad()
    def ignore_first_control(self) -> None:
        """Set the weights with which the conditioner sees the first control to zero.

        A flow that is trained at one value of this control is then the same at all others, until a
        loss at those says what it should be; with random weights it would be anything.
        """
        n_encoded = self.features.controls.n_features
        if n_encoded:
            self.conditioner.first.weight[:, self.features.n_features - n_encoded] = 0.0

    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self._apply_parts(x, c, inverse=False)

    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self._apply_parts(z, c, inverse=True)

    def _apply_parts(self, x: Tensor, c: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        kept = x[:, self.kept]
        raw = self.conditioner(self.features(kept, c)).split(self.n_parameters, 1)
        pieces = x[:, self.moved].split(self.sizes, 1)
        mapped, logdet = [kept], x.new_zeros(len(x))
        for piece, parameters, transform in zip(pieces, raw, self.transforms, strict=True):
            shaped = parameters.reshape(*piece.shape, transform.n_parameters)
            step = transform.inverse if inverse else transform.forward
            value, term = step(piece, shaped)
            mapped.append(value)
            logdet = logdet + term
        return torch.cat(mapped, 1)[:, self.order], logdet


class Chain(Bijection):
    """Bijections applied one after another; `forward` goes from the first to the last.

    Args:
        layers: At least one, all of one event shape and number of controls.

    Raises:
        ValueError: No layers, or layers that do not fit.
    """

    def __init__(self, layers: Sequence[Bijection]) -> None:
        if not layers:
            raise ValueError("layers: expected at least one bijection, got none")
        shapes = {(layer.event_shape, layer.n_controls) for layer in layers}
        if len(shapes) != 1:
            raise ValueError(f"layers: expected one event shape and C, got {sorted(shapes)}")
        super().__init__(layers[0].event_shape, layers[0].n_controls)
        self.layers = nn.ModuleList(layers)

    def _in_order(self) -> list[Bijection]:
        return [layer for layer in self.layers if isinstance(layer, Bijection)]

    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for layer in self._in_order():
            x, logdet = layer(x, c)
            total = total + logdet
        return x, total

    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(len(z))
        for layer in reversed(self._in_order()):
            z, logdet = layer.inverse(z, c)
            total = total + logdet
        return z, total
