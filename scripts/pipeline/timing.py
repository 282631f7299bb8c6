"""Timing of several things in turn, so that a drift of the machine meets all alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def median_seconds(
    functions: Mapping[str, Callable[[], object]], *, repeats: int
) -> dict[str, float]:
    """Median seconds of each function over rounds A B C A B C, after one round untimed.

    Args:
        functions: By name; each does all its work before it returns.
        repeats: Timed rounds, at least 1.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if repeat:  # the first round fills caches and compiles
                taken[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in taken.items()}
