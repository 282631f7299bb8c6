"""pymbar without what it logs: a banner at import, and solvers that it gives up for better ones.

Whether a solution is one is checked here by its residual (`mbar`), so that the errors are ours.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Let pymbar log nothing below errors inside the block."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


with quiet():
    import pymbar
    import pymbar.timeseries as timeseries

__all__ = ["pymbar", "quiet", "timeseries"]
