"""From what was computed at the points to estimates, comparisons and free energies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import default_rng
from scipy.special import expit

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators import (
    Estimate,
    GammaEstimate,
    bar,
    forward_ess,
    function_of_means,
    gamma_method,
    integrate_tables,
    log_evidence,
    mbar,
    pareto_khat,
    reliable,
    reverse_ess,
)
from pipeline.agreement import Agreement, agreement_of
from pipeline.mixture import mixture_log_z
from sweep.lattice import Couplings, Lattice
from sweep.points import Result

N_RESAMPLES = 200
_LEAST_TIMES = 500
EXACT, BENNETT, MBAR = "exact", "Monte Carlo, BAR", "Monte Carlo, MBAR"
REFERENCES = (EXACT, BENNETT, MBAR)
"""Routes to the free energy with which the others are compared, the best first."""
_MOST_FOR_MBAR = 2e7
"""Numbers in the matrix of reduced energies, about."""


@dataclass(frozen=True, kw_only=True)
class FlowAt:
    """Estimates from the flow at one point.

    Args:
        raw: Observables of the samples as they are, by name.
        reweighted: The same, weighted.
        ess_reverse: Of the flow's samples.
        ess_forward: At Monte Carlo configurations, None without them.
        khat: Tail of the weights.
        log_z: By importance sampling.
    """

    raw: dict[str, Estimate]
    reweighted: dict[str, Estimate]
    ess_reverse: Estimate
    ess_forward: Estimate | None
    khat: float
    log_z: Estimate


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A free energy -log Z along the points, (K,), with errors; NaN where it is not known.

    Args:
        values: -log Z.
        errors: Standard errors.
        relative: Whether only differences have a meaning.
    """

    values: np.ndarray
    errors: np.ndarray
    relative: bool = False


@dataclass(frozen=True, kw_only=True)
class SweepResults:
    """All that a sweep found.

    Args:
        values: Controls of the points, (K, C).
        couplings: All couplings of the points.
        exact: What is known exactly at each, by name.
        flow: Of the flow, empty without one.
        monte_carlo: Observables by Monte Carlo, by name; empty without it.
        free: Free energies by the name of the route.
        agreement: Flow, reweighted, against Monte Carlo, by observable.
        warnings: What must not be trusted.
    """

    values: np.ndarray
    couplings: list[dict[str, float]]
    exact: list[dict[str, float]]
    flow: list[FlowAt] = field(default_factory=list)
    monte_carlo: list[dict[str, GammaEstimate]] = field(default_factory=list)
    free: dict[str, Curve] = field(default_factory=dict)
    agreement: dict[str, Agreement] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def estimate_flow(
    lattice: Lattice, couplings: Couplings, result: Result, reference: np.ndarray | None, seed: int
) -> FlowAt:
    """Estimates of one point.

    Args:
        lattice: The model.
        couplings: Of the point.
        result: What `flow_points.flow_point` returned.
        reference: Log-weights at configurations of the target, or None.
        seed: Of the bootstrap.
    """
    rng = default_rng([seed, 11])
    log_w, measured = np.asarray(result["log_w"]), np.asarray(result["measured"])

    def all_of(weights: np.ndarray) -> dict[str, Estimate]:
        return {
            each.name: function_of_means(
                measured, weights, each.at(couplings), rng=rng,
                n_resamples=N_RESAMPLES,
            )
            for each in lattice.observables
        }  # fmt: skip

    return FlowAt(
        raw=all_of(np.zeros_like(log_w)),
        reweighted=all_of(log_w),
        ess_reverse=reverse_ess(log_w, rng=rng),
        ess_forward=None if reference is None else forward_ess(reference, rng=rng),
        khat=pareto_khat(log_w),
        log_z=log_evidence(log_w),
    )


def estimate_monte_carlo(
    lattice: Lattice, couplings: Couplings, chains: Result
) -> dict[str, GammaEstimate]:
    """Observables from what `monte_carlo.monte_carlo_point` returned, with their autocorrelation.

    Errors are from means over blocks of records, autocorrelation times from the records.

    A quantity that never changed, or changed too slowly for its error to be known, has the error
    NaN: it is no exact number.
    """
    found = {}
    series, times = np.asarray(chains["series"]), np.asarray(chains["tau"])
    n_records = len(np.asarray(chains["statistics"]))
    for each, tau in zip(lattice.observables, times, strict=True):
        function = each.at(couplings)
        try:
            found[each.name] = replace(
                gamma_method(series, function), tau_int=float(tau), tau_int_error=float("nan"),
                n_records=n_records,
            )  # fmt: skip
        except (NonFiniteError, NotConvergedError):
            unknown = float("nan")
            found[each.name] = GammaEstimate(
                value=function(series.mean((0, 1))), error=unknown, error_of_error=unknown,
                tau_int=unknown, tau_int_error=unknown, window=0, consistency=unknown,
                n_records=n_records,
            )  # fmt: skip
    return found


def compare(
    lattice: Lattice,
    flow: Sequence[FlowAt],
    reference: Sequence[Mapping[str, Estimate | GammaEstimate]],
) -> dict[str, Agreement]:
    """Compare every observable of the reweighted flow with a reference over all points."""
    found = {}
    for each in lattice.observables:
        pairs = [
            (f.reweighted[each.name], r[each.name]) for f, r in zip(flow, reference, strict=True)
        ]
        found[each.name] = agreement_of(
            np.array([(a.value - b.value) / np.hypot(a.error, b.error) for a, b in pairs])
        )
    return found


def importance_route(flow: Sequence[FlowAt]) -> Curve:
    """-log Z of each point by itself."""
    return Curve(
        values=np.array([-f.log_z.value for f in flow]),
        errors=np.array([f.log_z.error for f in flow]),
    )


def integral_route(grid: np.ndarray, sums: np.ndarray, at: np.ndarray) -> Curve:
    """-log Z, relative to the first point, as the integral of <dE/dc> over a grid.

    Args:
        grid: Values of the control, (G,).
        sums: Sums of the weights and of weights times dE/dc, (R, G, 2), as
            `flow_points.slopes_on_grid` returns them.
        at: Where the integral is wanted, (K,), within the grid.
    """
    found = integrate_tables(grid, sums, at=at)
    return Curve(values=-found.values, errors=found.errors, relative=True)


def mixture_route(flow: Sequence[Result]) -> Curve:
    """-log Z of all points from the samples of all of them, each flow being normalised."""
    log_q = [np.asarray(result["log_q"]) for result in flow]
    energy = [np.asarray(result["energy"]) for result in flow]
    n_k = np.array([each.shape[1] for each in log_q])
    found = mixture_log_z(-np.concatenate(log_q, axis=1), np.concatenate(energy, axis=1), n_k)
    return Curve(values=-found.values, errors=found.errors)


def chain_route(
    lattice: Lattice, path: Sequence[Couplings], chains: Sequence[Result], n_points: int
) -> Curve:
    """-log Z of the points by Monte Carlo, from where it is known exactly.

    Along one coupling each point is joined to the next by Bennett's acceptance ratio on all
    records; over a map all points are joined at once by MBAR, on records that are independent.

    Args:
        lattice: The model.
        path: Couplings of all chains: the points of the sweep first, then those that lead to the
            end where all sites are independent, and that end last.
        chains: What `monte_carlo.monte_carlo_point` returned for each.
        n_points: How many of them are points of the sweep.

    Returns:
        Absolute values; those of all points share the error of the way from the known end.

    Raises:
        NotConvergedError: Neighbours do not overlap.
    """
    if len(lattice.config.controls) == 1:
        return _bennett_route(lattice, path, chains, n_points)
    kept = [np.asarray(r["statistics"], np.float64) for r in chains]
    unknown = sum(np.isnan(float(r["inefficiency"])) for r in chains)
    if unknown:
        raise NotConvergedError(f"chains: {unknown} points move too slowly for their errors")
    most = int(np.clip(_MOST_FOR_MBAR / len(path) ** 2, 50, 4000))
    steps = [
        max(1, -(-len(k) // most), int(np.ceil(float(r["inefficiency"]))))
        for k, r in zip(kept, chains, strict=True)
    ]
    kept = [k[::step] for k, step in zip(kept, steps, strict=True)]
    rows = np.concatenate(kept)
    u_kn = lattice.config.n_sites * np.stack([rows @ lattice.coefficients(c) for c in path])
    found = mbar(u_kn, np.array([len(each) for each in kept]))
    end = len(path) - 1
    return Curve(
        values=found.f_k[:n_points] - found.f_k[end] - lattice.known_end(path[-1])[1],
        errors=found.difference_errors[end, :n_points],
    )


def _bennett_route(
    lattice: Lattice, path: Sequence[Couplings], chains: Sequence[Result], n_points: int
) -> Curve:
    """From the known end to the nearest point of the sweep, and from there to both ends of it."""
    start = lattice.nearest_to_known_end(path[:n_points])
    way = [*range(len(path) - 1, n_points - 1, -1), start]
    values, errors = np.empty(n_points), np.empty(n_points)
    for onward in (range(start + 1, n_points), range(start - 1, -1, -1)):
        order = [*way, *onward]
        found = bennett_along(lattice, [path[k] for k in order], [chains[k] for k in order])
        for place, k in enumerate(order):
            if k < n_points:
                values[k], errors[k] = found.values[place], found.errors[place]
    return Curve(values=values - lattice.known_end(path[-1])[1], errors=errors)


def bennett_along(lattice: Lattice, path: Sequence[Couplings], chains: Sequence[Result]) -> Curve:
    """Free energies along a path, relative to its beginning, each step by Bennett's ratio.

    The chains between two steps enter both, with the same sign, so that the steps are not
    independent: each record has an influence on the sum, a chain the sum of those of its records,
    and the error is that of independent chains, which takes in their autocorrelation as well. Where
    the records of a point never change, errors from there on are unknown.
    """
    values, variances, left = np.zeros(len(path)), np.zeros(len(path)), 0.0
    entering = np.zeros(len(np.asarray(chains[0]["series"])))
    for k in range(len(path) - 1):
        change = lattice.coefficients(path[k + 1]) - lattice.coefficients(path[k])
        works = [_works(lattice, each, change) for each in (chains[k], chains[k + 1])]
        if any(np.ptp(work) == 0 for work in works):
            left = np.nan
        step = bar(works[0].ravel(), -works[1].ravel()).value
        first, second = expit(step - works[0]), expit(works[1] - step)
        scale = (first * (1 - first)).sum() + (second * (1 - second)).sum()
        left += _between_chains(entering - (first - first.mean()).sum(1) / scale)
        entering = (second - second.mean()).sum(1) / scale
        values[k + 1] = values[k] + step
        variances[k + 1] = left + _between_chains(entering)
    return Curve(values=values, errors=np.sqrt(variances))


def _works(lattice: Lattice, chains: Result, change: np.ndarray) -> np.ndarray:
    """Change of the reduced energy at every record, (n_chains, n_records)."""
    statistics = np.asarray(chains["statistics"], np.float64)
    works = lattice.config.n_sites * (statistics @ change)
    return works.reshape(len(np.asarray(chains["series"])), -1)


def _between_chains(sums: np.ndarray) -> float:
    """Variance of the total of independent chains from the sums of each."""
    n = sums.size
    return float(n / (n - 1) * np.square(sums - sums.mean()).sum()) if n > 1 else float("nan")


def warnings_of(lattice: Lattice, results: SweepResults) -> list[str]:
    """What must not be trusted, one sentence each."""
    found = []
    for at, flow in zip(results.values, results.flow, strict=False):
        where = ", ".join(f"{n} = {v:g}" for n, v in zip(lattice.config.controls, at, strict=True))
        if not reliable(flow.khat):
            found.append(
                f"At {where} the weights of the flow have too heavy a tail (k-hat "
                f"{flow.khat:.2f}, above 0.7): do not trust its reweighted numbers there."
            )
        forward = flow.ess_forward
        if forward is not None and forward.value < flow.ess_reverse.value / 2:
            found.append(
                f"At {where} the forward ESS, {100 * forward.value:.1f} %, is less than half the "
                f"reverse one, {100 * flow.ess_reverse.value:.1f} %: the flow misses something."
            )
    least = 1e-3 / max(1, len(results.monte_carlo) * len(lattice.observables))
    for at, chains in zip(results.values, results.monte_carlo, strict=False):
        where = ", ".join(f"{n} = {v:g}" for n, v in zip(lattice.config.controls, at, strict=True))
        still = [name for name, each in chains.items() if np.isnan(each.error)]
        if still:
            found.append(
                f"At {where} Monte Carlo gives {', '.join(still)} no error: it never changed, or "
                "too slowly."
            )
        doubtful = [name for name, each in chains.items() if each.consistency < least]
        if doubtful:
            found.append(
                f"At {where} the chains of Monte Carlo disagree with each other on "
                f"{', '.join(doubtful)}: some are stuck or have not relaxed."
            )
        moving = [each for each in chains.values() if not np.isnan(each.tau_int)]
        if not moving:
            continue
        worst = max(moving, key=lambda estimate: estimate.tau_int)
        if worst.tau_int > worst.n_records / _LEAST_TIMES:
            found.append(
                f"At {where} Monte Carlo ran for only {worst.n_records / worst.tau_int:.0f} "
                "autocorrelation times: its errors are rough."
            )
    return found
