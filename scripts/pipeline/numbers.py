"""Values with their errors: as arrays, and as text."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

_SMALL_SHARE = 1e-5


class Valued(Protocol):
    """A number with its standard error."""

    @property
    def value(self) -> float:
        """The number."""

    @property
    def error(self) -> float:
        """One standard error."""


class Numbers(NamedTuple):
    """A quantity at all points, each (K,); NaN where it is unknown."""

    values: np.ndarray
    errors: np.ndarray


def numbers_of(estimates: Sequence[Valued | None]) -> Numbers:
    """Estimates as arrays; NaN where there is none."""
    pairs = [(np.nan, np.nan) if e is None else (e.value, e.error) for e in estimates]
    return Numbers(*np.array(pairs, dtype=np.float64).reshape(-1, 2).T)


def quote(value: float, error: float) -> str:
    """A number with its error to two digits, such as 0.1234 ± 0.0012; a dash for NaN."""
    if not np.isfinite(value):
        return "-"
    if not (np.isfinite(error) and error > 0):
        return f"{value:.7g}"
    digits = _digits(error)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def percentage(value: float, error: float) -> str:
    """A share with its error in per cent; what is not seen in three decimals only as its size."""
    if 0 < value < _SMALL_SHARE and not error >= _SMALL_SHARE:
        return f"{100 * value:.0e}"
    return quote(100 * value, 100 * error)


def finite(value: float) -> float | None:
    """A number, or None, which JSON has, for one that is not finite."""
    return float(value) if np.isfinite(value) else None


def _digits(error: float) -> int:
    """Decimals that show two digits of an error."""
    return int(np.clip(1 - np.floor(np.log10(error)), 0, 12))
