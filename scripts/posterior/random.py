"""Random streams of a run on a posterior."""

from torch import Generator

from pipeline.streams import stream_of

_PURPOSES = (
    "weights", "training", "data", "points", "integral", "observations", "calibration",
    "proposal", "chains", "observed", "offset", "prior draws", "predictions",
)  # fmt: skip


def stream_for(purpose: str, seed: int) -> Generator:
    """The stream of a purpose.

    Raises:
        ValueError: There is no such purpose.
    """
    return stream_of(_PURPOSES, purpose, seed)
