"""Ready-made flows of lattice fields."""

from collections.abc import Sequence
from typing import NamedTuple

from boltzgen.checks import check_at_least
from boltzgen.flows.coupling import Chain
from boltzgen.flows.densities import Flow
from boltzgen.flows.lattice.checkerboard import CheckerboardCoupling, check_even
from boltzgen.flows.lattice.conditioners import ControlEmbedding, ParityNetwork
from boltzgen.flows.lattice.modes import SymmetricModeBase
from boltzgen.flows.lattice.spectral import SpectralScaling
from boltzgen.flows.lattice.transforms import ParityTransform, SinhArcsinh

_N_FEATURES = 32


class LatticeLayout(NamedTuple):
    """What a flow must know of a lattice field: its shape and the ranges of the controls.

    Attributes:
        shape: Lengths of the lattice.
        low: Smallest value of each control, (C,).
        high: Largest value of each control, (C,).
    """

    shape: tuple[int, ...]
    low: Sequence[float]
    high: Sequence[float]


def lattice_flow(
    layout: LatticeLayout,
    transform: ParityTransform | None = None,
    *,
    n_couplings: int = 4,
    n_channels: int = 16,
    n_blocks: int = 1,
    kernel: int = 3,
) -> Flow:
    """Local checkerboard couplings, then one scaling of all momenta, then the symmetric base.

    Seen from the samples: white noise with a zero mode of its own is coloured like a free field
    whose mass depends on the mean, and the couplings make the local corrections. The flow is
    invariant under x -> -x and under the translations that keep the sublattices;
    `TranslationAverage` makes it so under all. Its weights do not depend on the size of the
    lattice. They are set with torch's global generator: call it inside `seeded`.

    Args:
        layout: The lattice and the ranges of the controls.
        transform: The map of a site in the couplings, `SinhArcsinh` unless given.
        transform: The map of a site in the couplings; `SinhArcsinh` unless given.
        n_couplings: Checkerboard couplings, on alternating sublattices.
        n_channels: Width of their networks.
        n_blocks: Residual blocks of their networks.
        kernel: Size of their convolutions, odd.

    Returns:
        The flow.

    Raises:
        ValueError: The lattice has an odd length, or a size is too small.

    Example:
        >>> import torch
        >>> flow = lattice_flow(LatticeLayout((4, 4), [0.2], [0.3]), n_couplings=2)
        >>> flow.log_prob(torch.zeros(3, 4, 4), 0.25).shape
        torch.Size([3])
    """
    check_even("layout", layout.shape)
    check_at_least("n_couplings", n_couplings, 0)
    kind = transform or SinhArcsinh()

    def embedding() -> ControlEmbedding:
        return ControlEmbedding(layout.low, layout.high, n_features=_N_FEATURES)

    couplings = [
        CheckerboardCoupling(
            layout.shape,
            ParityNetwork(
                len(layout.shape), embedding(), n_even=kind.n_even, n_odd=kind.n_odd,
                n_channels=n_channels, n_blocks=n_blocks, kernel=kernel,
            ),
            kind,
            unchanged=index % 2,
        )
        for index in range(n_couplings)
    ]  # fmt: skip
    scaling = SpectralScaling(layout.shape, embedding())
    return Flow(Chain([*couplings, scaling]), SymmetricModeBase(layout.shape, embedding()))
