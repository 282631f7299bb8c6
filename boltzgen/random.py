"""Independent random streams from one seed; nothing in the package uses a global generator."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

_LARGEST_SEED = 2**62


def spawn(generator: Generator, n_streams: int) -> list[Generator]:
    """Draw `n_streams` independent generators; the parent advances by as many draws.

    Args:
        generator: The parent stream.
        n_streams: How many children.

    Returns:
        Generators on the parent's device.
    """
    seeds = torch.randint(
        _LARGEST_SEED, (n_streams,), generator=generator, device=generator.device
    ).tolist()
    return [Generator(device=generator.device).manual_seed(seed) for seed in seeds]


def draw_seed(generator: Generator) -> int:
    """Draw a 31-bit seed for a library that takes an integer (OpenMM, NumPy)."""
    return int(
        torch.randint(1, 2**31 - 1, (1,), generator=generator, device=generator.device).item()
    )


def draw_normal(shape: Sequence[int], *, like: Tensor, generator: Generator) -> Tensor:
    """Standard normal numbers in the dtype and on the device of `like`.

    They are drawn on the generator's device, so that one stream serves every device.
    """
    drawn = torch.randn(shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def draw_uniform(shape: Sequence[int], *, like: Tensor, generator: Generator) -> Tensor:
    """Numbers uniform in [0, 1) in the dtype and on the device of `like`; as `draw_normal`."""
    drawn = torch.rand(shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def draw_index(n_values: int, n_draws: int, *, generator: Generator) -> Tensor:
    """Whole numbers uniform in 0 to n_values - 1, shape (n_draws,), brought to the CPU."""
    drawn = torch.randint(n_values, (n_draws,), generator=generator, device=generator.device)
    return drawn.cpu()


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Seed torch's global generator inside the block only, for layers that take no generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw_seed(generator))
        yield
