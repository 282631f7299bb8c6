"""How functions of this package are compiled: without Python, kept on disk where that is possible.

A compiled function is written next to its source, or to the user's cache where that folder cannot
be written, and loaded by later processes; where neither can be written each process compiles
anew. The compiler looks for changes in a function's own file only: after an edit of a function
that another file calls, remove the folders `__pycache__`.
"""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that runs on one thread and releases the interpreter's lock."""
    return _compile(function, parallel=False)


def compiled_over_chains(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function whose `prange` loop over chains runs on all of numba's threads."""
    return _compile(function, parallel=True)


def _compile(function: Callable[..., Any], *, parallel: bool) -> Callable[..., Any]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "parallel": parallel}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written
        return njit(cache=False, **options)(function)
