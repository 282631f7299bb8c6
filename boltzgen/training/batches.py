"""Where the loop gets its data."""

from typing import Protocol

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_at_least
from boltzgen.protocols import Batch


class BatchSource(Protocol):
    """Draws the data of a step from the stream it is given; it keeps no state of its own."""

    def draw(self, *, generator: Generator) -> Batch:
        """One batch."""


class RandomBatches:
    """Rows of a data set, drawn with replacement.

    Args:
        x: Configurations, shape (N, *E).
        c: Their controls, shape (N, C).
        batch_size: Rows of a batch.

    Raises:
        ValueError: x and c differ in length, or hold no rows or values that are not finite.
    """

    def __init__(self, x: Tensor, c: Tensor, *, batch_size: int) -> None:
        check_at_least("batch_size", batch_size, 1)
        if len(x) != len(c) or len(x) == 0:
            raise ValueError(f"x, c: expected as many rows, at least one, got {len(x)}, {len(c)}")
        if not bool(x.isfinite().all() & c.isfinite().all()):
            raise ValueError("x, c: expected finite values, got some that are not")
        self.x, self.c, self.batch_size = x, c, batch_size

    def draw(self, *, generator: Generator) -> Batch:
        """One batch."""
        index = torch.randint(len(self.x), (self.batch_size,), generator=generator)
        index = index.to(self.x.device)
        return Batch(self.x[index], self.c[index])
