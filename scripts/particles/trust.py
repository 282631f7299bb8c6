"""What not to trust of a run on particles, in plain sentences."""

from collections.abc import Sequence

import numpy as np

from boltzgen.estimators import reliable
from particles.results import AtTemperature
from pipeline.certificates import certificate_warnings
from pipeline.routes import Route, unexplained
from pipeline.trust import misses

_MOST_Z = 4.0


def warnings_of(points: Sequence[AtTemperature], routes: dict[str, Route]) -> list[str]:
    """All warnings of points and routes; empty if every check passed."""
    found = [text for point in points for text in _at(point)]
    temperatures = np.array([point.T for point in points])
    return found + _of_routes(temperatures, routes)


def _at(point: AtTemperature) -> list[str]:
    found, where = [], f"At T = {point.T:.4g}"
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
    found += certificate_warnings(point.round_trip, where)
    if abs(point.z) > _MOST_Z:
        found.append(
            f"{where} the mean potential differs from the reference by {point.z:+.1f} standard "
            "errors."
        )
    return found


def _of_routes(temperatures: np.ndarray, routes: dict[str, Route]) -> list[str]:
    """Differences between routes that their errors do not explain."""
    reference = next(iter(routes))
    return [
        f"Log Z by {name} is {gap:+.3g} off that by {reference} at T = {temperatures[k]:.4g}, more "
        f"than {_MOST_Z:g} of their errors."
        for name, (k, gap) in unexplained(routes, reference, n_errors=_MOST_Z).items()
    ]
