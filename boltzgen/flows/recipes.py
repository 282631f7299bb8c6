"""Ready-made flows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from boltzgen.checks import check_at_least
from boltzgen.flows.coupling import Chain, Coupling, Part, VectorLayout
from boltzgen.flows.densities import Flow, ScaledBase
from boltzgen.flows.transforms import CircularSplineTransform, Transform


def coupling_flow(
    layout: VectorLayout,
    transforms: Sequence[Transform],
    *,
    n_hidden: int,
    n_blocks: int,
    n_bins: int = 8,
) -> Flow:
    """Alternating coupling layers over numbers and angles, with a base that scales with c.

    Layers come in pairs: the first maps a random half of the numbers and of the angles, given the
    other half; the second the reverse. Angles always get circular splines. The halves are drawn,
    and the weights set, with torch's global generator: call it inside `seeded`.

    Args:
        layout: Which components are angles, how folded, and the reference controls.
        transforms: The map of the numbers in each layer; its length is the number of layers.
        n_hidden: Width of the conditioners.
        n_blocks: Residual blocks of the conditioners.
        n_bins: Bins of the circular splines.

    Returns:
        The flow; the identity on numbers and angles as built.

    Raises:
        ValueError: No transforms, or fewer than two components and no control.

    Example:
        >>> import torch
        >>> from boltzgen.flows import SplineTransform
        >>> layout = VectorLayout(torch.tensor([False, False]), torch.ones(2), torch.tensor([1.0]))
        >>> flow = coupling_flow(layout, [SplineTransform()] * 4, n_hidden=32, n_blocks=1)
        >>> flow.log_prob(torch.zeros(3, 2), 1.0).shape
        torch.Size([3])
    """
    check_at_least("transforms", len(transforms), 1)
    numbers = (~layout.periodic).nonzero()[:, 0]
    angles = layout.periodic.nonzero()[:, 0]
    layers: list[Coupling] = []
    for index, transform in enumerate(transforms):
        if index % 2 == 0:
            numbers = numbers[torch.randperm(len(numbers))]
            angles = angles[torch.randperm(len(angles))]
        halves = [_half(part, index % 2) for part in (numbers, angles)]
        kinds = (transform, CircularSplineTransform(n_bins))
        parts = [Part(half, kind) for half, kind in zip(halves, kinds, strict=True) if half]
        if parts:
            layers.append(Coupling(layout, parts, n_hidden=n_hidden, n_blocks=n_blocks))
    return Flow(Chain(layers), ScaledBase(layout.periodic, layout.reference))


def _half(members: Tensor, which: int) -> tuple[int, ...]:
    """First or second half of the members; the first is the larger."""
    middle = (len(members) + 1) // 2
    chosen = members[:middle] if which == 0 else members[middle:]
    return tuple(sorted(chosen.tolist()))
