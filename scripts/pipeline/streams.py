"""Random streams of a run, one for each purpose, independent of those of runs with other seeds."""

from collections.abc import Sequence

from torch import Generator

from boltzgen.random import spawn


def stream_of(purposes: Sequence[str], purpose: str, seed: int) -> Generator:
    """The stream of one of all purposes that a program has.

    Raises:
        ValueError: There is no such purpose.
    """
    return spawn(Generator().manual_seed(seed), len(purposes))[purposes.index(purpose)]
