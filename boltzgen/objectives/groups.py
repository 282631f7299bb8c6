"""Points that share their controls, which losses compare with each other."""

import torch
from torch import Tensor


def group_by_control(c: Tensor) -> tuple[int, Tensor]:
    """How many different controls there are, and which each row of c (B, C) has, (B,).

    Raises:
        ValueError: No two points share a control, so that there is nothing to compare.
    """
    groups, member = torch.unique(c, dim=0, return_inverse=True)
    if len(groups) == len(c):
        raise ValueError(
            f"points: expected at least two points to a control, got {len(c)} points at as many"
        )
    return len(groups), member
