"""Results of a sweep as CSV, HDF5, JSON and on the terminal."""

from pathlib import Path

import h5py
import numpy as np

from boltzgen.plots.series import EXACT, MONTE_CARLO, RAW, WEIGHTED
from boltzgen.storage.hdf5 import write_array, write_hdf5
from pipeline.agreement import farthest
from pipeline.columns import as_word, with_error, write_columns
from pipeline.console import print_table
from pipeline.numbers import Numbers, finite, quote
from pipeline.summary import versions
from sweep.story import (
    SweepStory,
    agreements_of,
    forward_ess,
    khat,
    reverse_ess,
    sources_of,
)

KIND = "lattice sweep"
_MOST_PRINTED = 60
_COLUMNS = {RAW: "flow_raw", WEIGHTED: "flow", MONTE_CARLO: "mc", EXACT: "exact"}
Rows = list[list[str]]


def columns_of(story: SweepStory) -> dict[str, np.ndarray]:
    """All numbers, (K,) each by the name of the column; NaN where one is unknown.

    Controls; of each observable OBSERVABLE_flow_raw, _flow, _mc, _exact, with _error where there
    is one, the autocorrelation time in records _mc_tau, and _z, the first of flow minus Monte
    Carlo, flow minus exact and Monte Carlo minus exact that there is, in standard errors; of the
    weights ess_reverse, ess_forward, khat and log_z; and free_ROUTE, -log Z by each route.
    """
    results = story.results
    found = {name: results.values[:, i] for i, name in enumerate(story.controls)}
    for each in story.lattice.observables:
        found |= _observable_columns(story, each.name)
    unknown = _unknown(story)
    found |= with_error("ess_reverse", reverse_ess(story) if results.flow else unknown)
    found |= with_error("ess_forward", forward_ess(story) or unknown)
    found["khat"] = khat(story) if results.flow else unknown.values
    log_z = [(each.log_z.value, each.log_z.error) for each in results.flow]
    found |= with_error("log_z", Numbers(*np.array(log_z).T) if log_z else unknown)
    for name, curve in results.free.items():
        found |= with_error(f"free_{as_word(name)}", Numbers(curve.values, curve.errors))
    return found


def _observable_columns(story: SweepStory, name: str) -> dict[str, np.ndarray]:
    sources, unknown = sources_of(story, name), _unknown(story)
    found: dict[str, np.ndarray] = {}
    for source, column in _COLUMNS.items():
        numbers = sources.get(source, unknown)
        found |= with_error(f"{name}_{column}", numbers)
        if source == MONTE_CARLO:
            times = [each[name].tau_int for each in story.results.monte_carlo]
            found[f"{name}_mc_tau"] = np.array(times) if times else unknown.values
    found.pop(f"{name}_exact_error")
    z = [each.z for each in agreements_of(story, name).values()]
    found[f"{name}_z"] = z[0] if z else unknown.values
    return found


def _unknown(story: SweepStory) -> Numbers:
    return Numbers(np.full(story.n_points, np.nan), np.full(story.n_points, np.nan))


def write_csv(path: Path | str, story: SweepStory) -> None:
    """Write one row for each point, with the columns of `columns_of`; what is unknown is empty.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """
    write_columns(path, columns_of(story))


def write_hdf5_table(path: Path | str, story: SweepStory) -> None:
    """Write the columns of `columns_of` as arrays, (K,) each.

    All are dimensionless. Attributes name the system, controls, method, objective and seed; those
    of a free energy name its route and whether only its differences have a meaning.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """
    config = story.config

    def fill(file: h5py.File) -> None:
        for name, values in columns_of(story).items():
            write_array(file, name, values, "1")
        for route, curve in story.results.free.items():
            file[f"free_{as_word(route)}"].attrs.update(route=route, relative=curve.relative)
        file.attrs.create("controls", list(story.controls), dtype=h5py.string_dtype())
        file.attrs.update(
            system=config.lattice.name, seed=config.seed, method=config.method,
            objective=_objective(story) or "none",
        )  # fmt: skip

    write_hdf5(path, KIND, fill)


def summarise(story: SweepStory) -> dict[str, object]:
    """Everything measured, as plain numbers; null where it is unknown."""
    config, results, columns = story.config, story.results, columns_of(story)
    observables = {
        each.name: {
            "label": each.label,
            **{
                name.removeprefix(f"{each.name}_"): _list(values)
                for name, values in _observable_columns(story, each.name).items()
            },
            "mc_consistency": _list([e[each.name].consistency for e in results.monte_carlo]),
        }
        for each in story.lattice.observables
    }
    weights = (
        "ess_reverse", "ess_reverse_error", "ess_forward", "ess_forward_error", "khat", "log_z",
        "log_z_error",
    )  # fmt: skip
    return {
        "system": config.lattice.name,
        "method": config.method,
        "objective": _objective(story),
        "preset": config.preset,
        "start": None if config.start is None else str(config.start),
        "flow_of": None if config.flow_of is None else str(config.flow_of),
        "reference_of": None if config.reference_of is None else str(config.reference_of),
        "controls": list(story.controls),
        "values": results.values.tolist(),
        "couplings": results.couplings,
        "boundaries": [list(each) for each in story.boundaries],
        "observables": observables,
        **{name: _list(columns[name]) for name in weights},
        "free_energies": {
            name: {"values": _list(c.values), "errors": _list(c.errors), "relative": c.relative}
            for name, c in results.free.items()
        },
        "agreement": _agreements(story),
        "seconds": story.seconds,
        "seed": config.seed,
        "versions": versions(),
        "warnings": results.warnings,
    }


def _objective(story: SweepStory) -> str | None:
    return story.config.learn.objective if story.results.flow else None


def _agreements(story: SweepStory) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for each in story.lattice.observables:
        for pair, agreement in agreements_of(story, each.name).items():
            worst = farthest(agreement.z)
            found.setdefault(pair, {})[each.name] = {
                "largest_z": None if worst is None else float(abs(agreement.z[worst])),
                "at": None if worst is None else story.results.values[worst].tolist(),
                "chi_square": finite(agreement.chi_square),
                "n_points": int(np.isfinite(agreement.z).sum()),
                "p_value": finite(agreement.p_value),
            }
    return found


def _list(values: np.ndarray | list[float]) -> list[float | None] | None:
    """Numbers with None for those that are not finite; None if there are none at all."""
    found = [finite(v) for v in values]
    return None if all(v is None for v in found) else found


def agreement_rows(story: SweepStory) -> Rows:
    """Observable, what is compared, points, largest |z| and where, chi-square, p."""
    rows = []
    for each in story.lattice.observables:
        for pair, found in agreements_of(story, each.name).items():
            worst = farthest(found.z)
            where = ["-", "-"] if worst is None else [f"{abs(found.z[worst]):.1f}", story.at(worst)]
            n = int(np.isfinite(found.z).sum())
            tests = [f"{found.chi_square:.1f}", f"{found.p_value:.2g}"] if n else ["-", "-"]
            rows.append([each.label.split(" = ")[0], pair, str(n), *where, *tests])
    return rows


AGREEMENT_HEADER = [
    "observable", "difference", "points", "largest |z|", "at", "chi-square", "p",
]  # fmt: skip


def print_results(story: SweepStory) -> None:
    """Print the final tables: every point, then how the sources agree."""
    columns = columns_of(story)
    first = story.lattice.observables[0]
    label = first.label.split(" = ")[0]
    shown = {
        "ESS/N %": _percentages(columns, "ess_reverse"),
        "forward %": _percentages(columns, "ess_forward"),
        "k-hat": [f"{v:.2f}" for v in columns["khat"]],
        f"{label} flow": _texts(columns, f"{first.name}_flow"),
        f"{label} MC": _texts(columns, f"{first.name}_mc"),
        f"{label} exact": [f"{v:.5g}" for v in columns[f"{first.name}_exact"]],
        "τ MC": [f"{v:.3g}" for v in _slowest(story)],
        "max |z|": [f"{v:.1f}" for v in _largest_z(story)],
    }
    if story.results.flow:
        del shown["τ MC"]
        if story.results.monte_carlo:  # two columns are enough; the agreement is below
            del shown[f"{label} exact"]
    kept = {name: cells for name, cells in shown.items() if set(cells) - {"-", "nan", "nan±nan"}}
    cells = [[_place(values) for values in story.results.values], *kept.values()]
    rows = [
        ["-" if cell.startswith("nan") else cell for cell in row]
        for row in zip(*cells, strict=True)
    ]
    step = -(-len(rows) // _MOST_PRINTED)
    which = f", {len(rows[::step])} of {len(rows)} points" if step > 1 else ""
    names = [",".join(story.symbols), *kept]
    print_table(f"{story.config.lattice.name}{which}", names, rows[::step])
    _print_agreement(story)


def _print_agreement(story: SweepStory) -> None:
    rows = []
    for each in story.lattice.observables:
        for pair, found in agreements_of(story, each.name).items():
            worst = farthest(found.z)
            if worst is not None:
                z, where = f"{abs(found.z[worst]):.1f}", _place(story.results.values[worst])
                rows.append([each.name, pair, z, where, f"{found.p_value:.2g}"])
    if rows:
        at = f"at {','.join(story.symbols)}"
        header = ["observable", "difference", "largest |z|", at, "chi-square p"]
        print_table("Agreement", header, rows)


def _place(values: np.ndarray) -> str:
    return ",".join(f"{v:.4g}" for v in values)


def _texts(columns: dict[str, np.ndarray], name: str) -> list[str]:
    pairs = zip(columns[name], columns[f"{name}_error"], strict=True)
    return [quote(v, e).replace(" ", "") for v, e in pairs]


def _percentages(columns: dict[str, np.ndarray], name: str) -> list[str]:
    pairs = zip(100 * columns[name], 100 * columns[f"{name}_error"], strict=True)
    return [f"{v:.1f}±{e:.1f}" for v, e in pairs]


def _largest_z(story: SweepStory) -> np.ndarray:
    """Largest |z| of all observables at each point, of the pair that comes first."""
    found = np.full(story.n_points, np.nan)
    for each in story.lattice.observables:
        for agreement in list(agreements_of(story, each.name).values())[:1]:
            found = np.fmax(found, np.abs(agreement.z))
    return found


def _slowest(story: SweepStory) -> np.ndarray:
    """Longest autocorrelation time of all observables at each point, in records."""
    times = [
        max((e.tau_int for e in at.values() if not np.isnan(e.tau_int)), default=np.nan)
        for at in story.results.monte_carlo
    ]
    return np.array(times) if times else np.full(story.n_points, np.nan)
