"""Checks of the numbers that the exact solutions take."""

import math

from systems.checks import check_positive


def check_finite(name: str, value: float) -> None:
    """Require a finite number."""
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")


def check_whole(name: str, value: int, least: int, most: int | None = None) -> None:
    """Require an integer of at least `least` and, where given, at most `most`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limit = f"of at least {least}" if most is None else f"between {least} and {most}"
        raise ValueError(f"{name}: expected an integer {limit}, got {value!r}")


def check_ising(T: float, J: float, h: float) -> None:
    """Require a positive temperature, and a finite coupling and field."""
    check_positive("T", T)
    check_finite("J", J)
    check_finite("h", h)
