"""Short argument checks of the systems; each raises ValueError naming argument, want and got."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def check_event(name: str, x: Tensor, event_shape: Sequence[int]) -> None:
    """Require a floating tensor of shape (B, *event_shape)."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name}: expected a floating-point tensor, got {kind}")
    if x.dim() != 1 + len(event_shape) or tuple(x.shape[1:]) != tuple(event_shape):
        expected = ", ".join(["B", *map(str, event_shape)])
        raise ValueError(f"{name}: expected shape ({expected}), got {tuple(x.shape)}")


def check_positive(name: str, value: float) -> None:
    """Require a finite number above zero."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a finite number above 0, got {value}")


def column(name: str, c: Tensor | float, like: Tensor) -> Tensor:
    """Bring a number, (B,) or (B, 1) to shape (B,), in the dtype and on the device of `like`.

    Raises:
        ValueError: Another shape, or a value that is not finite and positive.
    """
    n_batch = like.shape[0]
    c = torch.as_tensor(c, dtype=like.dtype, device=like.device)
    if c.dim() == 0:
        c = c.expand(n_batch)
    elif c.dim() == 2 and c.shape[1] == 1:
        c = c[:, 0]
    if tuple(c.shape) != (n_batch,):
        raise ValueError(
            f"{name}: expected a number, ({n_batch},) or ({n_batch}, 1), got shape {tuple(c.shape)}"
        )
    if not bool((torch.isfinite(c) & (c > 0)).all()):
        raise ValueError(f"{name}: expected finite values above 0, got {c.min().item()}")
    return c
