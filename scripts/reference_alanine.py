"""Make an independent reference: replica exchange by OpenMM, free energies by pymbar.

    python scripts/reference_alanine.py --T 300:600 --ns 100

Samples the molecule at a ladder of temperatures that exchange, several times over from different
random numbers, and prints F(T) and U(T) with errors. Everything sampled is kept in the cache:
the same command goes on where it was stopped, a larger --ns or --repeats extends what is there,
and scripts/train_alanine.py sets its model against it when it finds it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from pipeline.arguments import (
    Parser,
    add_cache,
    add_molecule,
    load_molecule,
    positive_count,
    positive_number,
    seed,
    temperature_range,
)
from pipeline.console import ProgressBar
from pipeline.reference import ReferenceFreeEnergies, analyse
from systems.molecules import (
    CorruptCacheError,
    MolecularSystem,
    ReferenceSet,
    ReferenceSettings,
    SimulationError,
    find_reference,
    ladder,
    reference,
)

_GRID_K = 50.0
_FS_PER_NS = 1e6


def table(system: MolecularSystem, data: ReferenceSet, found: ReferenceFreeEnergies) -> str:
    """The result in words and numbers."""
    state = "complete" if data.complete else "unfinished: run the same command again to go on"
    lines = [
        f"Reference of {system.name}: {data.n_repeats} repeats, {data.x.shape[0]} frames, "
        f"{data.n_energy_calls:.3g} energy calls ({state})",
        "F is -log Z(T) relative to the first temperature; the error is the larger of those by "
        "MBAR and by the spread over repeats",
        "",
        f"{'T/K':>8} {'F/kT':>12} {'error':>8} {'MBAR':>8} {'repeats':>8} "
        f"{'U/(kJ/mol)':>12} {'error':>8} {'frames':>8}",
    ]
    rows = zip(
        found.temperatures,
        found.free_energy,
        found.error,
        found.asymptotic_error,
        found.spread_error,
        found.potential,
        found.potential_error,
        found.n_independent,
        strict=True,
    )
    lines += [
        f"{t:8.1f} {f:12.4f} {e:8.4f} {a:8.4f} {s:8.4f} {u:12.3f} {ue:8.3f} {n:8d}"
        for t, f, e, a, s, u, ue, n in rows
    ]
    return "\n".join([*lines, "", f"Smallest overlap of neighbours: {found.overlap:.3f}"])


def write_summary(
    path: Path,
    system: MolecularSystem,
    data: ReferenceSet,
    found: ReferenceFreeEnergies,
    seed: int | None,
) -> None:
    """Write what the table says as JSON."""
    spread = [None if np.isnan(e) else float(e) for e in found.spread_error]
    summary = {
        "system": system.name,
        "T": found.temperatures.tolist(),
        "free_energy": found.free_energy.tolist(),
        "free_energy_error": found.error.tolist(),
        "free_energy_error_mbar": found.asymptotic_error.tolist(),
        "free_energy_error_repeats": spread,
        "potential": found.potential.tolist(),
        "potential_error": found.potential_error.tolist(),
        "n_independent": found.n_independent.tolist(),
        "n_repeats": data.n_repeats,
        "energy_calls": data.n_energy_calls,
        "complete": data.complete,
        "seed": seed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--T", type=temperature_range, default=(300.0, 600.0), metavar="LOW:HIGH",
        help="range of temperatures in K; multiples of 50 K inside it are in the ladder "
        "(default 300:600)")  # fmt: skip
    add("--ns", type=positive_number, default=100.0,
        help="nanoseconds in all, over replicas and repeats, without equilibration "
        "(default 100: one to two hours on two cores)")  # fmt: skip
    add("--repeats", type=positive_count, default=4, help="independent repeats (default 4)")
    add(
        "--processes",
        type=positive_count,
        default=2,
        help="repeats that run side by side (default 2)",
    )
    add("--seed", type=seed, default=20240, help="seed of the random numbers (default 20240)")
    add("--out", type=Path, default=None, metavar="DIR",
        help="also write reference.json there")  # fmt: skip
    add("--analyse-only", action="store_true",
        help="sample nothing; analyse the longest reference in the cache")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")
    add_molecule(options)
    add_cache(options)
    return options


def settings_from(arguments: argparse.Namespace) -> ReferenceSettings:
    """Ladder and lengths that the command line asks for."""
    lo, hi = arguments.T
    grid = np.arange(np.ceil(lo / _GRID_K), np.floor(hi / _GRID_K) + 1) * _GRID_K
    temperatures = ladder(lo, hi, include=grid.tolist())
    base = ReferenceSettings(temperatures=temperatures, seed=arguments.seed)
    n_steps = arguments.ns * _FS_PER_NS / base.timestep_fs / arguments.repeats / len(temperatures)
    return ReferenceSettings(
        temperatures=temperatures,
        n_repeats=arguments.repeats,
        n_iterations=max(1, int(np.ceil(n_steps / base.steps_per_iteration))),
        seed=arguments.seed,
    )


def run(arguments: argparse.Namespace) -> None:
    """Sample, analyse, report."""
    system = load_molecule(arguments)
    used_seed: int | None = arguments.seed
    if arguments.analyse_only:
        cached, used_seed = find_reference(system, arguments.cache), None
        if cached is None:
            raise ValueError(f"--cache: no reference of {system.name} in {arguments.cache}")
        data = cached
    else:
        with ProgressBar("replica exchange", unit="step", enabled=not arguments.quiet) as progress:
            data = reference(
                system,
                settings_from(arguments),
                cache_dir=arguments.cache,
                n_processes=arguments.processes,
                progress=progress,
            )
    found = analyse(data)
    print(table(system, data, found))
    if arguments.out is not None:
        write_summary(arguments.out / "reference.json", system, data, found, used_seed)


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    try:
        run(parser().parse_args())
    except (ValueError, OSError, SimulationError, CorruptCacheError) as error:
        print(f"reference_alanine: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
