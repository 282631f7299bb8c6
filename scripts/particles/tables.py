"""Results on particles as JSON, CSV and on the terminal."""

from pathlib import Path

import numpy as np

from boltzgen.config import to_mapping
from boltzgen.estimators import Estimate, describe_khat
from particles.evaluation import SAMPLING
from particles.results import AtTemperature, Distances, ParticleStory
from pipeline.certificates import certificate_numbers
from pipeline.columns import as_word, with_error, write_columns
from pipeline.console import print_table
from pipeline.numbers import Numbers, finite, numbers_of, percentage, quote
from pipeline.summary import versions

_PRINTED = ["T", "ESS/N %", "forward %", "k-hat", "log Z", "NLL", "U", "z", "W2 pairs", "W2 U"]


def summarise(story: ParticleStory) -> dict[str, object]:
    """Everything measured, as plain numbers; null where it is unknown or infinite."""
    config, results = story.config, story.results
    return {
        "system": config.system,
        "title": story.title,
        "preset": config.preset,
        "seed": config.seed,
        "n_parameters": results.n_parameters,
        "points": [_point(point) for point in results.points],
        "log_z": {
            name: {
                "values": [finite(v) for v in route.values],
                "errors": [finite(v) for v in route.errors],
                "relative": route.relative,
            }
            for name, route in results.log_z.items()
        },
        "thermodynamics": {
            name: [finite(v) for v in getattr(results.thermodynamics, name)]
            for name in (
                "free_energy", "free_energy_errors", "entropy", "entropy_errors",
                "heat_capacity", "heat_capacity_errors",
            )
        },
        "energy_calls": story.energy_calls,
        "seconds": story.seconds,
        "settings": to_mapping(config),
        "versions": versions(),
        "warnings": list(results.warnings),
    }  # fmt: skip


def _point(point: AtTemperature) -> dict[str, object]:
    reference = point.reference
    return {
        "T": point.T,
        "n_samples": len(point.log_w),
        **_pair("ess_reverse", point.ess_reverse),
        **_pair("ess_forward", point.ess_forward),
        "khat": finite(point.khat),
        "khat_words": describe_khat(point.khat),
        **_pair("log_z", point.log_z),
        **_pair("energy", point.energy),
        **_pair("reference_energy", reference.energy),
        "z_energy": finite(point.z),
        **_pair("nll", point.nll),
        "n_compared": point.n_compared,
        "n_lost": point.n_lost,
        "round_trip": certificate_numbers(point.round_trip),
        "w2_pair_distances": _distances(point.pair),
        "w2_potential": _distances(point.potential),
        **_pair("autocorrelation_steps", reference.tau),
        "n_reference": len(reference.blocks),
    }


def _pair(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: finite(estimate.value), f"{name}_error": finite(estimate.error)}


def _distances(found: Distances) -> dict[str, float | None]:
    return {name: finite(getattr(found, name)) for name in ("raw", "weighted", "floor")}


def columns_of(story: ParticleStory) -> dict[str, np.ndarray]:
    """All numbers over the temperatures, (K,) each by the name of the column."""
    results = story.results
    points, found = results.points, {"T": results.temperatures}
    for name in ("ess_reverse", "ess_forward", "log_z", "energy", "nll"):
        found |= with_error(name, numbers_of([getattr(point, name) for point in points]))
    found |= with_error("reference_energy", numbers_of([p.reference.energy for p in points]))
    found["khat"] = np.array([p.khat for p in points])
    for name, route in results.log_z.items():
        if name != SAMPLING:
            found |= with_error(f"log_z_{as_word(name)}", Numbers(route.values, route.errors))
    for name, distances in (("pair_distances", "pair"), ("potential", "potential")):
        for kind in ("raw", "weighted", "floor"):
            found[f"w2_{name}_{kind}"] = np.array(
                [getattr(getattr(p, distances), kind) for p in points]
            )
    return found


def write_csv(path: Path | str, story: ParticleStory) -> None:
    """Write one row for each temperature, with the columns of `columns_of`.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """
    write_columns(path, columns_of(story))


def print_results(story: ParticleStory) -> None:
    """Print the final table, and under it the certificate that belongs to its likelihoods."""
    points = story.results.points
    print_table(f"{story.title}, {len(points)} temperatures", _PRINTED, [_row(p) for p in points])
    print("Encoder f and decoder g undo each other:")
    for point in points:
        print(f"  T = {point.T:.4g}: {point.round_trip}")


def _row(point: AtTemperature) -> list[str]:
    cells = [
        f"{point.T:.4g}",
        percentage(point.ess_reverse.value, point.ess_reverse.error),
        percentage(point.ess_forward.value, point.ess_forward.error),
        f"{point.khat:.2f}",
        quote(point.log_z.value, point.log_z.error),
        likelihood(point),
        quote(point.energy.value, point.energy.error),
        f"{point.z:+.1f}",
        f"{point.pair.weighted:.3f}",
        f"{point.potential.weighted:.2g}",
    ]
    return [cell.replace(" ", "") for cell in cells]


def likelihood(point: AtTemperature) -> str:
    """The negative log-likelihood, or that it is infinite."""
    return "∞" if point.n_lost else quote(point.nll.value, point.nll.error)
