"""One curve by several routes, some of which know its differences alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.numbers import Numbers

_ROUNDING = 1e-9


class Curve(Protocol):
    """A curve, (K,), NaN where it is not known, with standard errors."""

    @property
    def values(self) -> np.ndarray:
        """The curve."""

    @property
    def errors(self) -> np.ndarray:
        """Standard errors."""

    @property
    def relative(self) -> bool:
        """Whether only differences have a meaning."""


@dataclass(frozen=True)
class Route:
    """Log Z over a control by one route.

    Args:
        values: (K,).
        errors: Standard errors, (K,); zero where exact.
        relative: Whether only differences from the first power are known.
        discretisation: Estimated error of the rule of integration, (K,), where there is one.
    """

    values: np.ndarray
    errors: np.ndarray
    relative: bool = False
    discretisation: np.ndarray | None = None


def reference_route(routes: Mapping[str, Curve], preferred: Sequence[str]) -> str:
    """The route with which the others are compared: the first preferred one that knows anything."""
    for name in preferred:
        if name in routes and np.isfinite(routes[name].values).any():
            return name
    return next(iter(routes))


def aligned(routes: Mapping[str, Curve], reference: str) -> dict[str, Numbers]:
    """Every route; relative ones are moved onto the reference at the first point.

    That point, the first that both know, has no error then. Where the reference itself is relative
    all are moved.
    """
    fixed = routes[reference]
    found = {}
    for name, curve in routes.items():
        values, errors = curve.values.copy(), curve.errors.copy()
        known = np.flatnonzero(np.isfinite(values) & np.isfinite(fixed.values))
        moves = curve.relative or (fixed.relative and curve is not fixed)
        if moves and curve is not fixed and known.size:
            values += fixed.values[known[0]] - values[known[0]]
            errors[known[0]] = np.nan
        found[name] = Numbers(values, errors)
    return found


def differences(routes: Mapping[str, Curve], reference: str) -> dict[str, Numbers]:
    """Every route minus the reference, with its own error; the reference as zeros with its own."""
    curves = aligned(routes, reference)
    fixed = curves[reference].values
    return {name: Numbers(c.values - fixed, c.errors) for name, c in curves.items()}


def combined_errors(routes: Mapping[str, Curve], reference: str) -> dict[str, np.ndarray]:
    """Errors of the differences, those of both as if they were independent.

    A route that is moved onto the reference takes over its error at the point of contact.
    """
    fixed = routes[reference]
    found = {}
    for name, each in differences(routes, reference).items():
        contact = np.flatnonzero(np.isnan(each.errors) & ~np.isnan(routes[name].errors))
        anchor = fixed.errors[contact[0]] if contact.size and name != reference else 0.0
        found[name] = np.hypot(np.hypot(each.errors, fixed.errors), anchor)
    return found


def unexplained(
    routes: Mapping[str, Route], reference: str, *, n_errors: float
) -> dict[str, tuple[int, float]]:
    """Where routes differ from the reference by more than so many errors: point and difference.

    Of each route that does, the point where the difference is largest; an error of a rule of
    integration counts, and a point where no error is known is left out.
    """
    gaps, errors = differences(routes, reference), combined_errors(routes, reference)
    found = {}
    for name, route in routes.items():
        if name == reference:
            continue
        error = errors[name]
        if route.discretisation is not None:
            error = np.hypot(error, np.nan_to_num(route.discretisation))
        gap = gaps[name].values
        far = np.flatnonzero(np.abs(gap) > n_errors * error + _ROUNDING)
        if far.size:
            k = int(far[np.argmax(np.abs(gap[far]))])
            found[name] = (k, float(gap[k]))
    return found
