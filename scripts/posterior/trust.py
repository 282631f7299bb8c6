"""What not to trust of a run, in plain sentences."""

from collections.abc import Sequence

import numpy as np

from boltzgen.estimators import reliable
from pipeline.routes import Route, combined_errors, unexplained
from pipeline.trust import misses
from posterior.agreement import averages, smallest_p
from posterior.results import AtBeta, Calibration, OverObservations, ProposalChains

_LEAST_P = 0.01
_MOST_Z = 4.0
_PRIOR = 1e-3
_MOST_NAMED = 4
_LARGE = 1.0
"""Error of a log evidence, in nats, from which on a route is of no use."""


def warnings_of(
    points: Sequence[AtBeta],
    routes: dict[str, Route],
    over: OverObservations | None,
    calibration: Calibration | None,
    chains: ProposalChains | None,
    *,
    labels: Sequence[str],
) -> list[str]:
    """All warnings of a run; empty if every check passed."""
    found = [text for point in points for text in (*_at(point), *_of_prior(point))]
    found += _of_tails(points, labels)
    found += _of_routes(np.array([point.beta for point in points]), routes)
    if over is not None:
        found += _of_observations(over)
    if calibration is not None:
        found += _of_calibration(calibration)
    if chains is not None and not np.isfinite(chains.tau.value):
        found.append(
            f"Chains with the flow as proposal at beta = {chains.beta:.4g} move too slowly for "
            f"their autocorrelation time to be known ({chains.label})."
        )
    return found


def _at(point: AtBeta) -> list[str]:
    found = []
    where = f"At beta = {point.beta:.4g}"
    if not reliable(point.khat):
        found.append(
            f"{where} Pareto k-hat of the weights is {point.khat:.2f}, above 0.7: means and "
            "evidence there have errors that are not known."
        )
    forward = point.ess_forward
    if forward is not None and misses(point):
        found.append(
            f"{where} the forward ESS ({forward.value:.1%}) is far below the reverse one "
            f"({point.ess_reverse.value:.1%}): the flow misses a part of the posterior."
        )
    return found


def _of_prior(point: AtBeta) -> list[str]:
    """At beta = 0 there is nothing but the prior, whose integral is 1."""
    log_z = point.log_z
    if point.beta > 0 or abs(log_z.value) <= _MOST_Z * log_z.error + _PRIOR:
        return []
    return [
        f"At beta = 0 the integral of the prior is exp({log_z.value:.3g} +- {log_z.error:.1g}) and "
        "not 1: log_prior is not normalised, which shifts every log evidence, or the flow misses a "
        "part of the prior."
    ]


def _of_tails(points: Sequence[AtBeta], labels: Sequence[str]) -> list[str]:
    """Moments that have no error since they may not exist, as under a Cauchy prior.

    Where the weights themselves are not to be trusted, that is said already.
    """
    found = []
    sound = [point for point in points if reliable(point.khat)]
    for name, errors in (
        ("mean", [point.mean_error for point in sound]),
        ("standard deviation", [point.spread_error for point in sound]),
    ):
        unknown = np.isnan(np.array(errors).reshape(len(sound), len(labels)))
        if not unknown.any():
            continue
        columns = np.flatnonzero(unknown.any(0))
        where = [
            f"{labels[column]} (beta = "
            f"{', '.join(f'{sound[row].beta:.4g}' for row in np.flatnonzero(unknown[:, column]))})"
            for column in columns[:_MOST_NAMED]
        ]
        more = f" and {len(columns) - _MOST_NAMED} more" if len(columns) > _MOST_NAMED else ""
        found.append(
            f"Tails, times their weights, are too heavy for an error of the {name} of "
            f"{', '.join(where)}{more}: shown without one and compared with nothing."
        )
    return found


def _of_routes(betas: np.ndarray, routes: dict[str, Route]) -> list[str]:
    """Differences between routes that their errors do not explain."""
    if not routes:
        return []
    reference = next(iter(routes))
    errors = combined_errors(routes, reference)
    found = []
    for name in routes:
        if name == reference:
            continue
        error = np.nan_to_num(errors[name])
        if error.max() > _LARGE:
            found.append(
                f"Log evidence by {name} has an error of {error.max():.2g} nats; it says nothing."
            )
    return found + [
        f"Log evidence by {name} is {gap:+.3g} off that by {reference} at beta = {betas[k]:.4g}, "
        f"more than {_MOST_Z:g} of their errors."
        for name, (k, gap) in unexplained(routes, reference, n_errors=_MOST_Z).items()
    ]


def _of_observations(over: OverObservations) -> list[str]:
    n = len(over.observations)
    return [
        f"Of {n} observations {n_bad} have k-hat above 0.7 at beta = {beta:.4g}."
        for beta, n_bad in zip(over.betas, averages(over).n_unreliable, strict=True)
        if n_bad > 0.05 * n
    ]


def _of_calibration(calibration: Calibration) -> list[str]:
    """Least p-value of all components, times their number."""
    found = []
    least_effective, _ = calibration.n_effective
    if least_effective < calibration.n_draws:
        found.append(
            f"Calibration: some truths are ranked among {calibration.n_draws} draws that stand for "
            f"only {least_effective:.0f} independent ones; ranks of the reweighted flow pile up at "
            "the ends there."
        )
    for name in calibration.uniformity:
        least, _ = smallest_p(calibration, name)
        if least < _LEAST_P:
            found.append(
                f"Calibration, {name}: ranks of true parameters are not uniform (p = {least:.2g})."
            )
    return found
