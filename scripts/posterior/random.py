"""Random streams of a run, one for each purpose, independent of those of runs with other seeds."""

from torch import Generator

from boltzgen.random import spawn

_PURPOSES = (
    "weights", "training", "data", "points", "integral", "observations", "calibration",
    "proposal", "chains", "observed", "offset", "prior draws", "predictions",
)  # fmt: skip


def stream_for(purpose: str, seed: int) -> Generator:
    """The stream of a purpose.

    Raises:
        ValueError: There is no such purpose.
    """
    return spawn(Generator().manual_seed(seed), len(_PURPOSES))[_PURPOSES.index(purpose)]
