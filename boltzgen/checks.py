"""Argument checks: each raises ValueError naming the argument, what was expected and what came."""

import math
from collections.abc import Sequence

import numpy as np
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


def check_controls(name: str, c: Tensor, n_batch: int, n_controls: int) -> None:
    """Require a floating tensor of shape (B, C)."""
    if not isinstance(c, Tensor) or not c.is_floating_point():
        kind = c.dtype if isinstance(c, Tensor) else type(c).__name__
        raise ValueError(f"{name}: expected a floating-point tensor, got {kind}")
    if tuple(c.shape) != (n_batch, n_controls):
        raise ValueError(f"{name}: expected shape ({n_batch}, {n_controls}), got {tuple(c.shape)}")


def widen_controls(c: Tensor | float, n_batch: int, n_controls: int, like: Tensor) -> Tensor:
    """Bring a number, a (B,) tensor or a (B, C) tensor to shape (B, C).

    Args:
        c: The controls; a number or a (B,) tensor only where C = 1.
        n_batch: B.
        n_controls: C.
        like: A tensor whose dtype and device the result takes.

    Returns:
        Tensor of shape (B, C).

    Raises:
        ValueError: The shape cannot be widened without guessing.
    """
    c = torch.as_tensor(c, dtype=like.dtype, device=like.device)
    if c.dim() == 0 and n_controls == 1:
        return c.expand(n_batch, 1)
    if c.dim() == 1 and n_controls == 1 and c.shape[0] == n_batch:
        return c[:, None]
    if tuple(c.shape) != (n_batch, n_controls):
        raise ValueError(f"c: expected shape ({n_batch}, {n_controls}), got {tuple(c.shape)}")
    return c


def check_positive(name: str, value: float) -> None:
    """Require a finite number above zero."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a finite number above 0, got {value}")


def check_at_least(name: str, value: int, least: int) -> None:
    """Require an integer of at least `least`."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r}")


def check_float64(name: str, a: np.ndarray, ndim: int) -> None:
    """Require a float64 array of the given number of dimensions (estimators accept no other)."""
    if not isinstance(a, np.ndarray) or a.dtype != np.float64:
        kind = a.dtype if isinstance(a, np.ndarray) else type(a).__name__
        raise ValueError(f"{name}: expected a float64 array, got {kind}")
    if a.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimension(s), got shape {a.shape}")
