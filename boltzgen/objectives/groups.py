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


def deviations_from_means(values: Tensor, allowed: Tensor, c: Tensor) -> Tensor:
    """Values (B,) minus the mean, held fixed, of the allowed ones at the same control.

    What is not allowed is 0 and counts nowhere, whatever its value.
    """
    n_groups, member = group_by_control(c)
    known = torch.where(allowed, values, 0.0)
    zeros = known.new_zeros(n_groups)
    sums = zeros.index_add(0, member, known.detach())
    counts = zeros.index_add(0, member, allowed.to(known.dtype))
    return torch.where(allowed, known - (sums / counts.clamp_min(1))[member], 0.0)


def deviations_from_medians(values: Tensor, allowed: Tensor, c: Tensor) -> Tensor:
    """As `deviations_from_means`, from the median, which single values far off do not move."""
    n_groups, member = group_by_control(c)
    held = values.detach().masked_fill(~allowed, torch.nan)
    medians = torch.stack([held[member == k].nanmedian() for k in range(n_groups)])
    return torch.where(allowed, values - medians.nan_to_num(0.0)[member], 0.0)
