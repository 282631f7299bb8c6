"""What follows from the results: differences from references, and averages over observations."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from boltzgen.estimators import reliable
from pipeline.agreement import Agreement, compare_numbers, farthest
from pipeline.numbers import Numbers
from pipeline.routes import Route, combined_errors, differences, reference_route
from posterior.evaluation import EXACT, SAMPLING
from posterior.results import (
    AtBeta,
    Calibration,
    Covariances,
    OverObservations,
    PosteriorResults,
)

QUANTILES = (0.1, 0.5, 0.9)


class Compared(NamedTuple):
    """Means and standard deviations of all components, flow minus reference."""

    mean: Agreement
    spread: Agreement


def compared(point: AtBeta) -> Compared | None:
    """How the flow, reweighted, agrees with the reference at one power; None without one."""
    reference = point.reference
    if reference is None:
        return None
    ours, theirs = point.covariances, reference.covariances
    total = None
    if ours is not None and theirs is not None:
        total = Covariances(ours.mean + theirs.mean, ours.spread + theirs.spread)
    return Compared(
        compare_numbers(
            Numbers(point.mean, point.mean_error), Numbers(reference.mean, reference.mean_error),
            None if total is None else total.mean,
        ),
        compare_numbers(
            Numbers(point.spread, point.spread_error),
            Numbers(reference.spread, reference.spread_error),
            None if total is None else total.spread,
        ),
    )  # fmt: skip


class LargestZ(NamedTuple):
    """The difference from the reference that is the most standard errors."""

    z: float
    what: str
    component: int


def largest_z(point: AtBeta) -> LargestZ | None:
    """The largest |z| of all means and standard deviations; None where nothing is compared."""
    found = compared(point)
    if found is None:
        return None
    rows = [
        LargestZ(float(abs(each.z[at])), what, at)
        for what, each in zip(("mean", "standard deviation"), found, strict=True)
        for at in [farthest(each.z)]
        if at is not None
    ]
    return max(rows, default=None)


def posterior_point(results: PosteriorResults) -> int:
    """Number of the power nearest to 1."""
    return int(np.argmin(np.abs(results.betas - 1)))


class Gap(NamedTuple):
    """A route to the evidence that is far from the reference.

    Args:
        nats: |difference|.
        error: Combined error, as if both were independent; 0 where there is none.
        route: Its name.
        number: Of the power.
    """

    nats: float
    error: float
    route: str
    number: int


def routes_of(results: PosteriorResults) -> dict[str, Route]:
    """Routes to the evidence, whose errors take in that of the rule of integration."""
    return {
        name: route if route.discretisation is None
        else replace(route, errors=np.hypot(route.errors, np.nan_to_num(route.discretisation)))
        for name, route in results.evidence.items()
    }  # fmt: skip


def reference_name(results: PosteriorResults) -> str:
    """The route with which the others are compared: the exact one, or importance sampling."""
    return reference_route(results.evidence, (EXACT, SAMPLING))


def largest_gap(results: PosteriorResults) -> Gap | None:
    """The route that is the most nats from the reference; None where there is one route alone."""
    routes = routes_of(results)
    if len(routes) < 2:
        return None
    reference = reference_name(results)
    errors = combined_errors(routes, reference)
    found = [
        Gap(float(abs(each.values[at])), float(np.nan_to_num(errors[name][at])), name, at)
        for name, each in differences(routes, reference).items()
        if name != reference
        for at in [farthest(each.values)]
        if at is not None
    ]
    return max(found, default=None)


@dataclass(frozen=True, kw_only=True)
class Averages:
    """An amortised flow over M observations, at each of K powers.

    Args:
        ess: Mean of ESS / N and its standard error over the observations.
        ess_quantiles: 10 %, 50 % and 90 %, (3, K).
        ess_lowest: (K,).
        ess_forward: Mean on exact draws; None without them.
        ess_forward_lowest: (K,).
        khat_quantiles: (3, K).
        khat_highest: (K,).
        n_unreliable: Observations with k-hat above 0.7, (K,).
        log_z: Against the exact values; None where they are unknown.
    """

    ess: Numbers
    ess_quantiles: np.ndarray
    ess_lowest: np.ndarray
    ess_forward: Numbers | None
    ess_forward_lowest: np.ndarray | None
    khat_quantiles: np.ndarray
    khat_highest: np.ndarray
    n_unreliable: np.ndarray
    log_z: "EvidenceErrors | None"


@dataclass(frozen=True, kw_only=True)
class EvidenceErrors:
    """Log Z minus the exact value over M observations, at each of K powers.

    Args:
        mean: Mean and its standard error.
        rms: Root of the mean square, (K,).
        largest: Largest magnitude, (K,).
        quantiles: 10 %, 50 % and 90 %, (3, K).
        lowest: (K,).
        highest: (K,).
        z_rms: Root of the mean square in standard errors, 1 where these are right, (K,).
    """

    mean: Numbers
    rms: np.ndarray
    largest: np.ndarray
    quantiles: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    z_rms: np.ndarray


def averages(over: OverObservations) -> Averages:
    """Means, quantiles and worst cases over the observations."""
    forward = over.ess_forward
    return Averages(
        ess=_mean(over.ess),
        ess_quantiles=_quantiles(over.ess),
        ess_lowest=over.ess.min(0),
        ess_forward=None if forward is None else _mean(forward),
        ess_forward_lowest=None if forward is None else forward.min(0),
        khat_quantiles=_quantiles(over.khat),
        khat_highest=over.khat.max(0),
        n_unreliable=np.array([sum(not reliable(float(k)) for k in ks) for ks in over.khat.T]),
        log_z=_evidence_errors(over),
    )


def _evidence_errors(over: OverObservations) -> EvidenceErrors | None:
    if over.exact_log_z is None:
        return None
    gap = over.log_z - over.exact_log_z
    safe = np.where(over.log_z_error > 0, over.log_z_error, np.nan)
    return EvidenceErrors(
        mean=_mean(gap),
        rms=np.sqrt(np.square(gap).mean(0)),
        largest=np.abs(gap).max(0),
        quantiles=_quantiles(gap),
        lowest=gap.min(0),
        highest=gap.max(0),
        z_rms=np.sqrt(np.square(gap / safe).mean(0)),
    )


def _mean(values: np.ndarray) -> Numbers:
    n = len(values)
    unknown = np.full(values.shape[1], np.nan)
    return Numbers(values.mean(0), values.std(0, ddof=1) / np.sqrt(n) if n > 1 else unknown)


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Those of `QUANTILES`, (3, K), each one of the values, which may be infinite."""
    found: np.ndarray = np.quantile(values, QUANTILES, axis=0, method="nearest")
    return found


def smallest_p(calibration: Calibration, source: str) -> tuple[float, str]:
    """Least p of the ECDF tests of a source, times the number of components, and whose it is."""
    p_values = [each.ecdf_p_value for each in calibration.uniformity[source]]
    worst = int(np.argmin(p_values))
    return min(1.0, len(p_values) * p_values[worst]), calibration.labels[worst]
