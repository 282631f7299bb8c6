"""Random streams of a run on particles."""

from torch import Generator

from pipeline.streams import stream_of

_PURPOSES = ("weights", "training", "watched", "points", "certificates", "reference")


def stream_for(purpose: str, seed: int) -> Generator:
    """The stream of a purpose.

    Raises:
        ValueError: There is no such purpose.
    """
    return stream_of(_PURPOSES, purpose, seed)
