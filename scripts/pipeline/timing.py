"""Timing of several things in turn, so that a drift of the machine meets all alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median

_LEAST_SECONDS = 0.03


def median_seconds(
    functions: Mapping[str, Callable[[], object]], *, repeats: int
) -> dict[str, float]:
    """Median seconds of each function over rounds A B C A B C, after one round untimed.

    In each round a function runs until 30 ms have gone by, so that one that takes less than the
    memory and the caches take to get used to it is timed at work.

    Args:
        functions: By name; each does all its work before it returns.
        repeats: Timed rounds, at least 1.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            if not repeat:  # fills caches and compiles
                function()
            else:
                taken[name].append(_mean_seconds(function))
    return {name: median(values) for name, values in taken.items()}


def _mean_seconds(function: Callable[[], object]) -> float:
    started, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < _LEAST_SECONDS:
        function()
        calls += 1
    return spent / calls
