"""Ready-made flows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from boltzgen.base import Bijection
from boltzgen.checks import check_at_least
from boltzgen.flows.coupling import Chain, Coupling, Part, VectorLayout
from boltzgen.flows.densities import Flow, ScaledBase, StandardNormal
from boltzgen.flows.encodings import ControlEncoding, LogRatio
from boltzgen.flows.transforms import AffineTransform, CircularSplineTransform, Transform
from boltzgen.flows.whitening import Whitening


def coupling_flow(
    layout: VectorLayout,
    transforms: Sequence[Transform],
    *,
    n_hidden: int,
    n_blocks: int,
    n_bins: int = 8,
) -> Flow:
    """Alternating coupling layers over numbers and angles, with a base that scales with c.

    The halves are drawn, and the weights set, with torch's global generator: call it inside
    `seeded`.

    Args:
        layout: Which components are angles, how folded, and the reference controls, a `LogRatio`.
        transforms: The map of the numbers in each layer; its length is the number of layers.
        n_hidden: Width of the conditioners.
        n_blocks: Residual blocks of the conditioners.
        n_bins: Bins of the circular splines.

    Returns:
        The flow; the identity on numbers and angles as built.

    Raises:
        ValueError: No transforms, or fewer than two components and no control, or controls that
            are not seen by their ratio to reference values.

    Example:
        >>> import torch
        >>> from boltzgen.flows import LogRatio, SplineTransform
        >>> T = LogRatio(torch.tensor([1.0]))
        >>> layout = VectorLayout(torch.tensor([False, False]), torch.ones(2), T)
        >>> flow = coupling_flow(layout, [SplineTransform()] * 4, n_hidden=32, n_blocks=1)
        >>> flow.log_prob(torch.zeros(3, 2), 1.0).shape
        torch.Size([3])
    """
    if not isinstance(layout.controls, LogRatio) or layout.controls.offset:
        raise ValueError(
            "layout: expected controls seen as LogRatio without an offset, got "
            f"{type(layout.controls).__name__}"
        )
    layers = coupling_layers(
        layout, transforms, n_hidden=n_hidden, n_blocks=n_blocks, n_bins=n_bins
    )
    return Flow(Chain(layers), ScaledBase(layout.periodic, layout.controls.reference))


def conditional_flow(
    whitening: Whitening,
    controls: ControlEncoding,
    transforms: Sequence[Transform],
    *,
    n_hidden: int,
    n_blocks: int,
    marginal: Transform | None = None,
) -> Flow:
    """Numbers whose place, width and shape depend on controls of any kind: a posterior given data.

    Seen from x: a fixed whitening; shift and scale of every component by a network of the controls
    alone; if `marginal` is given, a map of every component with parameters of the controls alone;
    alternating coupling layers; a standard normal. As built nothing depends on the first control
    (`Coupling.ignore_first_control`). Call it inside `seeded`.

    Args:
        whitening: The fixed map; it brings x to numbers of order one.
        controls: What networks see of the controls.
        transforms: The map in each coupling layer; its length is the number of layers.
        n_hidden: Width of the conditioners.
        n_blocks: Residual blocks of the conditioners.
        marginal: Brings every component by itself close to a normal one, before couplings see it:
            a spline that is wider than theirs can bend tails that are heavier than a normal one's,
            and split a component with several modes.

    Returns:
        The flow; the whitening and nothing else as built.

    Raises:
        ValueError: No transforms, or no controls.
    """
    if controls.n_controls != whitening.n_controls or controls.n_controls == 0:
        raise ValueError(
            f"controls: expected {max(whitening.n_controls, 1)}, as the whitening has, got "
            f"{controls.n_controls}"
        )
    n_features = whitening.event_shape[0]
    layout = VectorLayout(
        torch.zeros(n_features, dtype=torch.bool), torch.ones(n_features), controls
    )
    size = {"n_hidden": n_hidden, "n_blocks": n_blocks}
    alone = [AffineTransform(6.0)] if marginal is None else [AffineTransform(6.0), marginal]
    everything = tuple(range(n_features))
    own = [Coupling(layout, [Part(everything, transform)], **size) for transform in alone]
    moving = [*own, *coupling_layers(layout, transforms, **size)]
    for layer in moving:
        layer.ignore_first_control()
    layers: list[Bijection] = [whitening, *moving]
    return Flow(Chain(layers), StandardNormal((n_features,), controls.n_controls))


def coupling_layers(
    layout: VectorLayout,
    transforms: Sequence[Transform],
    *,
    n_hidden: int,
    n_blocks: int,
    n_bins: int = 8,
) -> list[Coupling]:
    """Coupling layers in pairs.

    The first of a pair maps a random half of the numbers and of the angles, given the other half;
    the second the reverse. Angles always get circular splines. Call it inside `seeded`.

    Args:
        layout: Which components are angles, how folded, and how controls are seen.
        transforms: The map of the numbers in each layer; its length is the number of layers.
        n_hidden: Width of the conditioners.
        n_blocks: Residual blocks of the conditioners.
        n_bins: Bins of the circular splines.

    Raises:
        ValueError: No transforms, or a layer without input.
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
    return layers


def _half(members: Tensor, which: int) -> tuple[int, ...]:
    """First or second half of the members; the first is the larger."""
    middle = (len(members) + 1) // 2
    chosen = members[:middle] if which == 0 else members[middle:]
    return tuple(sorted(chosen.tolist()))
