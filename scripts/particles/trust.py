"""What not to trust of a run on particles, in plain sentences."""

from collections.abc import Sequence

import numpy as np

from boltzgen.estimators import reliable
from particles.results import AtTemperature
from pipeline.routes import Route, combined_errors, differences
from pipeline.trust import misses

_MOST_Z = 4.0


def warnings_of(points: Sequence[AtTemperature], routes: dict[str, Route]) -> list[str]:
    """All warnings of points and routes; empty if every check passed."""
    found = [text for point in points for text in _at(point)]
    temperatures = np.array([point.T for point in points])
    return found + _of_routes(temperatures, routes)


def _at(point: AtTemperature) -> list[str]:
    found, where = [], f"At T = {point.T:.4g}"
    certificate = point.round_trip
    if not reliable(point.khat):
        found.append(
            f"{where} Pareto k-hat of the weights is {point.khat:.2f}, above 0.7: averages and "
            "log Z there have errors that are not known."
        )
    if point.n_lost:
        found.append(
            f"{where} {point.n_lost} of {point.n_compared} reference draws have no latent that "
            "could be found: the likelihood is infinitely bad, the forward ESS 0."
        )
    elif misses(point):
        found.append(
            f"{where} the forward ESS ({point.ess_forward.value:.1%}) is far below the reverse "
            f"one ({point.ess_reverse.value:.1%}): the flow misses a part of the cluster's states."
        )
    if certificate.n_folded:
        found.append(
            f"{where} {certificate.n_folded} of {certificate.n_points} samples come from a second "
            "latent too: their density is too small and their weight too large."
        )
    if abs(point.z) > _MOST_Z:
        found.append(
            f"{where} the mean potential differs from the reference by {point.z:+.1f} standard "
            "errors."
        )
    return found


def _of_routes(temperatures: np.ndarray, routes: dict[str, Route]) -> list[str]:
    """Differences between routes that their errors do not explain."""
    reference = next(iter(routes))
    gaps, errors = differences(routes, reference), combined_errors(routes, reference)
    found = []
    for name in list(routes)[1:]:
        gap, error = gaps[name].values, np.nan_to_num(errors[name])
        far = np.flatnonzero(np.abs(gap) > _MOST_Z * error + 1e-9)
        if far.size:
            k = far[np.argmax(np.abs(gap[far]))]
            found.append(
                f"Log Z by {name} is {gap[k]:+.3g} off that by {reference} at T = "
                f"{temperatures[k]:.4g}, more than {_MOST_Z:g} of their errors."
            )
    return found
