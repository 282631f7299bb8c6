"""Results on a posterior as JSON, CSV and on the terminal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from boltzgen.config import to_mapping
from boltzgen.estimators import Coverage, Uniformity, describe_khat
from pipeline.agreement import Agreement, farthest
from pipeline.columns import as_word, with_error, write_columns
from pipeline.console import print_table
from pipeline.numbers import Numbers, finite, numbers_of, percentage, quote
from pipeline.summary import versions
from posterior.agreement import (
    EvidenceErrors,
    averages,
    compared,
    largest_z,
    routes_of,
    smallest_p,
)
from posterior.evaluation import EXACT
from posterior.results import (
    AtBeta,
    Calibration,
    OverObservations,
    PosteriorResults,
    PosteriorStory,
    ProposalChains,
)

_MOST_PRINTED = 40
_PRINTED = ["β", "ESS/N %", "forward %", "k-hat", "log Z", "minus exact", "max |z|", "C2ST"]


def summarise(story: PosteriorStory) -> dict[str, object]:
    """Everything measured, as plain numbers; null where it is unknown."""
    config, results = story.config, story.results
    return {
        "model": config.model,
        "title": story.title,
        "objective": config.learn.objective,
        "preset": config.preset,
        "seed": config.seed,
        "observation": list(config.observation),
        "labels": list(results.labels),
        "betas": results.betas.tolist(),
        "weights": _weights(results.points),
        "log_z": _routes(results),
        "components": _components(results),
        "agreement": [_agreement(point, results.labels) for point in results.points],
        "over_observations": None if results.over is None else _over(results.over),
        "calibration": None if results.calibration is None else _calibration(results.calibration),
        "proposal_chains": None if results.chains is None else _chains(results.chains),
        "energy_calls": story.energy_calls,
        "seconds": story.seconds,
        "settings": to_mapping(config),
        "versions": versions(),
        "warnings": list(results.warnings),
    }


def _weights(points: Sequence[AtBeta]) -> dict[str, object]:
    return {
        **_pair("ess_reverse", numbers_of([p.ess_reverse for p in points])),
        **_pair("ess_forward", numbers_of([p.ess_forward for p in points])),
        "khat": [finite(p.khat) for p in points],
        "khat_words": [describe_khat(p.khat) for p in points],
        "n_samples": [len(p.samples.log_w) for p in points],
    }


def _pair(name: str, numbers: Numbers) -> dict[str, object]:
    return {key: _list(values) for key, values in with_error(name, numbers).items()}


def _list(values: np.ndarray) -> list[float | None]:
    return [finite(value) for value in values]


def _routes(results: PosteriorResults) -> dict[str, object]:
    """By route; errors are statistical, beside the estimated error of the rule of integration."""
    return {
        name: {
            "values": _list(route.values),
            "errors": _list(route.errors),
            "relative": route.relative,
            "discretisation": None if route.discretisation is None else _list(route.discretisation),
        }
        for name, route in results.evidence.items()
    }


def _components(results: PosteriorResults) -> dict[str, object]:
    found: dict[str, object] = {}
    for i, label in enumerate(results.labels):
        columns = {
            name: [finite(getattr(point, name)[i]) for point in results.points]
            for name in ("mean", "mean_error", "spread", "spread_error")
        }
        references = {
            f"reference_{name}": [
                None if p.reference is None else finite(getattr(p.reference, name)[i])
                for p in results.points
            ]
            for name in columns
        }
        found[label] = {**columns, **references}
    return found


def _agreement(point: AtBeta, labels: Sequence[str]) -> dict[str, object] | None:
    found = compared(point)
    if found is None or point.reference is None:
        return None
    c2st = None
    if point.c2st is not None:
        estimate, p_value = point.c2st
        c2st = {"accuracy": finite(estimate.value), "error": finite(estimate.error),
                "p_value": finite(p_value)}  # fmt: skip
    return {
        "beta": point.beta,
        "reference": point.reference.source,
        "n_draws": len(point.reference.theta),
        "mean": _differences(found.mean, labels),
        "spread": _differences(found.spread, labels),
        "c2st": c2st,
    }


def _differences(found: Agreement, labels: Sequence[str]) -> dict[str, object]:
    worst = farthest(found.z)
    return {
        "z": _list(found.z),
        "largest_z": None if worst is None else finite(abs(found.z[worst])),
        "component": None if worst is None else labels[worst],
        "chi_square": finite(found.chi_square),
        "n_components": int((~np.isnan(found.z)).sum()),
        "p_value": finite(found.p_value),
    }


def _over(over: OverObservations) -> dict[str, object]:
    found = averages(over)
    forward, exact = found.ess_forward, found.log_z
    return {
        "n_observations": len(over.ess),
        "betas": over.betas.tolist(),
        **_pair("ess_mean", found.ess),
        "ess_median": _list(found.ess_quantiles[1]),
        "ess_10_to_90": [_list(found.ess_quantiles[0]), _list(found.ess_quantiles[2])],
        "ess_lowest": _list(found.ess_lowest),
        **({} if forward is None else _pair("ess_forward_mean", forward)),
        "khat_median": _list(found.khat_quantiles[1]),
        "khat_highest": _list(found.khat_highest),
        "n_khat_above": found.n_unreliable.tolist(),
        "log_z_error": None if exact is None else _evidence_errors(exact),
    }


def _evidence_errors(exact: EvidenceErrors) -> dict[str, object]:
    return {
        **_pair("mean", exact.mean),
        "rms": _list(exact.rms),
        "largest": _list(exact.largest),
        "z_rms": _list(exact.z_rms),
    }


def _calibration(calibration: Calibration) -> dict[str, object]:
    smallest, median = calibration.n_effective
    return {
        "n_truths": len(next(iter(calibration.ranks.values()))),
        "n_draws": calibration.n_draws,
        "n_effective": {"smallest": finite(smallest), "median": finite(median)},
        "sources": {
            source: {
                "smallest_p_times_components": smallest_p(calibration, source)[0],
                "components": {
                    label: {**_uniformity(test), "coverage": _coverage(shares)}
                    for label, test, shares in zip(
                        calibration.labels, tests, calibration.coverage[source], strict=True
                    )
                },
            }
            for source, tests in calibration.uniformity.items()
        },
    }


def _uniformity(test: Uniformity) -> dict[str, object]:
    return {
        "chi_square": test.chi_square,
        "dof": test.dof,
        "p_chi_square": test.p_value,
        "p_ecdf": test.ecdf_p_value,
        "leaves_band": test.leaves,
    }


def _coverage(found: Coverage) -> dict[str, list[float | None]]:
    names = ("levels", "expected", "observed", "lower", "upper", "p_values")
    return {name: _list(getattr(found, name)) for name in names}


def _chains(chains: ProposalChains) -> dict[str, object]:
    n_chains, n_steps = chains.theta.shape[:2]
    return {
        "beta": chains.beta,
        "n_chains": n_chains,
        "n_steps": n_steps,
        "acceptance": finite(chains.acceptance),
        "tau": finite(chains.tau.value),
        "tau_error": finite(chains.tau.error),
        "component": chains.label,
        "rhat": finite(chains.rhat),
        "n_effective": finite(chains.n_effective),
    }


def columns_of(story: PosteriorStory) -> dict[str, np.ndarray]:
    """All numbers over the powers, (K,) each by the name of the column; NaN where one is unknown.

    beta; ess_reverse, ess_forward, khat; log_z_ROUTE; c2st with its p_value; of each component
    mean_LABEL and sd_LABEL with _error, the same of the reference with _reference, and z; and
    averages over observations, over_.
    """
    results = story.results
    points = results.points
    found = {"beta": results.betas}
    found |= with_error("ess_reverse", numbers_of([p.ess_reverse for p in points]))
    found |= with_error("ess_forward", numbers_of([p.ess_forward for p in points]))
    found["khat"] = np.array([p.khat for p in points])
    for name, route in routes_of(results).items():
        found |= with_error(f"log_z_{as_word(name)}", Numbers(route.values, route.errors))
    found |= with_error("c2st", numbers_of([p.c2st and p.c2st[0] for p in points]))
    found["c2st_p_value"] = np.array([np.nan if p.c2st is None else p.c2st[1] for p in points])
    for i, label in enumerate(results.labels):
        found |= _component_columns(points, i, as_word(label))
    if results.over is not None:
        found |= _over_columns(results.over)
    return found


def _component_columns(points: Sequence[AtBeta], i: int, word: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name, short in (("mean", "mean"), ("spread", "sd")):
        for source, column in (("flow", ""), ("reference", "_reference")):
            owners = points if source == "flow" else [p.reference for p in points]
            numbers = Numbers(*(
                np.array([np.nan if o is None else getattr(o, key)[i] for o in owners])
                for key in (name, f"{name}_error")
            ))  # fmt: skip
            found |= with_error(f"{short}_{word}{column}", numbers)
        pairs = [compared(point) for point in points]
        found[f"{short}_{word}_z"] = np.array(
            [np.nan if pair is None else getattr(pair, name).z[i] for pair in pairs]
        )
    return found


def _over_columns(over: OverObservations) -> dict[str, np.ndarray]:
    found = averages(over)
    columns = {
        **with_error("over_ess_mean", found.ess),
        "over_ess_median": found.ess_quantiles[1],
        "over_ess_lowest": found.ess_lowest,
        "over_khat_highest": found.khat_highest,
    }
    if found.log_z is not None:
        columns |= {"over_log_z_rms": found.log_z.rms, "over_log_z_largest": found.log_z.largest}
    return columns


def write_csv(path: Path | str, story: PosteriorStory) -> None:
    """Write one row for each power, with the columns of `columns_of`; what is unknown is empty.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """
    write_columns(path, columns_of(story))


def print_results(story: PosteriorStory) -> None:
    """Print the final tables: every power, then observations, calibration and chains."""
    results = story.results
    rows = [_row(results, k) for k in range(len(results.points))]
    kept = [i for i in range(len(_PRINTED)) if any(row[i] != "-" for row in rows)]
    step = -(-len(rows) // _MOST_PRINTED)
    shown = [[row[i] for i in kept] for row in rows[::step]]
    print_table(f"{story.title}, {len(shown)} powers", [_PRINTED[i] for i in kept], shown)
    if results.over is not None:
        _print_over(results.over)
    if results.calibration is not None:
        _print_calibration(results.calibration)
    if results.chains is not None:
        _print_chains(results.chains)


def _row(results: PosteriorResults, k: int) -> list[str]:
    """Cells of one power, under `_PRINTED`."""
    point, worst = results.points[k], largest_z(results.points[k])
    exact = results.evidence.get(EXACT)
    off = np.nan if exact is None else point.log_z.value - exact.values[k]
    estimates = numbers_of([point.ess_reverse, point.ess_forward])
    c2st = numbers_of([point.c2st and point.c2st[0]])
    return [
        f"{point.beta:.4g}",
        *(_tight(percentage(v, e)) for v, e in zip(*estimates, strict=True)),
        f"{point.khat:.2f}",
        _tight(quote(point.log_z.value, point.log_z.error)),
        _tight(quote(off, point.log_z.error)),
        "-" if worst is None else f"{worst.z:.1f}",
        _tight(quote(c2st.values[0], c2st.errors[0])),
    ]


def _tight(text: str) -> str:
    return text.replace(" ", "")


def _print_over(over: OverObservations) -> None:
    found = averages(over)
    header = ["β", "mean ESS/N %", "lowest %", "k-hat > 0.7"]
    columns = [
        [f"{beta:.4g}" for beta in over.betas],
        [_tight(percentage(v, e)) for v, e in zip(*found.ess, strict=True)],
        [f"{100 * value:.1f}" for value in found.ess_lowest],
        [str(n) for n in found.n_unreliable],
    ]
    if found.log_z is not None:
        header += ["log Z rms error", "largest"]
        errors = (found.log_z.rms, found.log_z.largest)
        columns += [[f"{value:.2g}" for value in each] for each in errors]
    rows = [list(row) for row in zip(*columns, strict=True)]
    print_table(f"Over {len(over.ess)} observations", header, rows)


def _print_calibration(calibration: Calibration) -> None:
    rows = []
    for source, tests in calibration.uniformity.items():
        p_value, label = smallest_p(calibration, source)
        n_out = sum(each.leaves for each in tests)
        rows.append([source, f"{p_value:.2g}", label, f"{n_out} of {len(tests)}"])
    header = ["calibration", "smallest p x components", "component", "leave the band"]
    n_truths = len(next(iter(calibration.ranks.values())))
    print_table(f"Ranks of {n_truths} simulated truths", header, rows)


def _print_chains(chains: ProposalChains) -> None:
    tau = _tight(quote(chains.tau.value, chains.tau.error))
    row = [
        f"{chains.beta:.4g}", f"{100 * chains.acceptance:.1f}", tau, chains.label or "-",
        f"{chains.n_effective:.0f}", f"{chains.rhat:.3f}",
    ]  # fmt: skip
    header = ["β", "accepted %", "longest τ / steps", "of", "effective draws", "R-hat"]
    print_table("Flow as proposal", header, [row])
