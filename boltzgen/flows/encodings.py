"""What networks see of the controls."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ControlEncoding(nn.Module, ABC):
    """A fixed map of controls (B, C) to numbers of order one, (B, n_features).

    Args:
        n_controls: C.
        n_features: Size of the output.
    """

    def __init__(self, n_controls: int, n_features: int) -> None:
        super().__init__()
        self.n_controls, self.n_features = n_controls, n_features

    @abstractmethod
    def forward(self, c: Tensor) -> Tensor:
        """(B, C) -> (B, n_features)."""


class LogRatio(ControlEncoding):
    """log((c + offset) / (c0 + offset)) of each control.

    Args:
        reference: c0, one for each control, shape (C,).
        offset: Added to c, so that a control may be 0; of the size below which it makes little
            difference.

    Raises:
        ValueError: c0 + offset is not positive.
    """

    reference: Tensor
    log_reference: Tensor

    def __init__(self, reference: Tensor, *, offset: float = 0.0) -> None:
        super().__init__(len(reference), len(reference))
        shifted = reference + offset
        if not (offset >= 0 and bool((shifted.isfinite() & (shifted > 0)).all())):
            raise ValueError(
                f"reference, offset: expected offset >= 0 and reference + offset > 0, got "
                f"{reference.tolist()} and {offset}"
            )
        self.offset = offset
        self.register_buffer("reference", reference.clone(), persistent=False)
        self.register_buffer("log_reference", shifted.log(), persistent=False)

    def forward(self, c: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return (c + self.offset).log() - self.log_reference.to(c.dtype)


class Standardised(ControlEncoding):
    """(c - centre) / scale of each control, which may have any sign; both are part of the state.

    Args:
        centre: Shape (C,).
        scale: Positive, shape (C,).

    Raises:
        ValueError: The shapes differ, or a scale is not positive.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, centre: Tensor, scale: Tensor) -> None:
        super().__init__(len(centre), len(centre))
        if scale.shape != centre.shape or not bool((scale.isfinite() & (scale > 0)).all()):
            raise ValueError(
                f"scale: expected {len(centre)} finite numbers above 0, got {scale.tolist()}"
            )
        self.register_buffer("centre", centre.clone())
        self.register_buffer("scale", scale.clone())

    def forward(self, c: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return (c - self.centre.to(c.dtype)) / self.scale.to(c.dtype)


class Joined(ControlEncoding):
    """Several encodings, each of its own controls, one after the other.

    Args:
        parts: Encodings in the order of the controls.
    """

    def __init__(self, parts: Sequence[ControlEncoding]) -> None:
        super().__init__(sum(p.n_controls for p in parts), sum(p.n_features for p in parts))
        self.sizes = [part.n_controls for part in parts]
        self.parts = nn.ModuleList(parts)

    def forward(self, c: Tensor) -> Tensor:
        """(B, C) -> (B, n_features)."""
        pieces = c.split(self.sizes, 1)
        return torch.cat([part(piece) for part, piece in zip(self.parts, pieces, strict=True)], 1)
