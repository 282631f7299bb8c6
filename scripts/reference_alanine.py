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
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from tqdm import tqdm

from boltzgen.estimators import independent_indices, mbar
from systems.molecules import (
    DEFAULT_SYSTEM,
    CorruptCacheError,
    MolecularSystem,
    ReferenceSet,
    ReferenceSettings,
    SimulationError,
    default_cache_dir,
    find_reference,
    from_pdb,
    ladder,
    named,
    reference,
    system_names,
)
from systems.units import GAS_CONSTANT

_GRID_K = 50.0
_FS_PER_NS = 1e6
_MIN_FRAMES = 50


@dataclass(frozen=True)
class Analysis:
    """What the reference says; every array has shape (K,), one entry per temperature.

    Args:
        temperatures: K.
        free_energy: Reduced free energy -log Z(T) relative to the first temperature, kT.
        asymptotic_error: Its standard error by MBAR from independent frames, kT.
        spread_error: The same from the spread over independent repeats (NaN for one repeat), kT.
        potential: Mean potential energy, kJ/mol.
        potential_error: Its standard error, kJ/mol.
        n_independent: Independent frames that entered MBAR.
        overlap: Smallest overlap between neighbouring temperatures, a number.
    """

    temperatures: np.ndarray
    free_energy: np.ndarray
    asymptotic_error: np.ndarray
    spread_error: np.ndarray
    potential: np.ndarray
    potential_error: np.ndarray
    n_independent: np.ndarray
    overlap: float

    @property
    def error(self) -> np.ndarray:
        """The larger of the two errors."""
        return np.fmax(self.asymptotic_error, self.spread_error)


class ProgressBar:
    """A terminal bar over energy calls, with rate and remaining time."""

    def __init__(self, description: str, *, enabled: bool) -> None:
        self._bar = tqdm(desc=description, unit="step", unit_scale=True, disable=not enabled)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def __call__(self, done: int, total: int) -> None:
        """Move to `done`; the first call sets what the cache held already."""
        if self._bar.total is None:
            self._bar.total, self._bar.initial, self._bar.n = total, done, done
            self._bar.unpause()
        self._bar.update(done - self._bar.n)
        self._bar.refresh()


def independent_rows(data: ReferenceSet) -> list[np.ndarray]:
    """Rows of frames with independent energies, one array per repeat.

    The series of each state in each repeat is thinned by the statistical inefficiency of the
    energy, on which alone f(T) depends. Slower motions that move the energy a little (phi changing
    hands) are what the spread over repeats is there to catch.
    """
    kept = []
    for repeat in np.unique(data.repeat):
        rows = []
        for state in range(data.temperatures.size):
            series = np.flatnonzero((data.repeat == repeat) & (data.state == state))
            rows.append(series[independent_indices(data.potential[series])])
        kept.append(np.concatenate(rows))
    return kept


def free_energies(
    data: ReferenceSet, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """MBAR over the given rows: f (K,), its errors (K,), counts (K,) and overlap (K, K)."""
    rows = rows[np.argsort(data.state[rows], kind="stable")]
    counts = np.bincount(data.state[rows], minlength=data.temperatures.size)
    u_kn = data.potential[None, rows] / (GAS_CONSTANT * data.temperatures[:, None])
    found = mbar(u_kn, counts)
    return found.f_k, found.errors, counts, found.overlap


def analyse(data: ReferenceSet) -> Analysis:
    """Free energies and mean energies of a reference, with errors of two kinds.

    Args:
        data: Frames of a reference.

    Raises:
        ValueError: There are too few frames to say anything.
    """
    n_states = data.temperatures.size
    if data.potential.size < _MIN_FRAMES * n_states:
        raise ValueError(
            f"data: expected at least {_MIN_FRAMES * n_states} frames, got {data.potential.size}; "
            "sample longer (--ns)"
        )
    repeats = independent_rows(data)
    f, errors, counts, overlap = free_energies(data, np.concatenate(repeats))
    single = np.stack([free_energies(data, rows)[0] for rows in repeats])
    means = np.array(
        [
            [data.potential[(data.repeat == r) & (data.state == k)].mean() for k in range(n_states)]
            for r in np.unique(data.repeat)
        ]
    )
    by_state = [data.potential[data.state == k] for k in range(n_states)]
    asymptotic = np.array([u.std() for u in by_state]) / np.sqrt(counts)
    return Analysis(
        temperatures=data.temperatures,
        free_energy=f,
        asymptotic_error=errors,
        spread_error=_spread(single),
        potential=np.array([u.mean() for u in by_state]),
        potential_error=np.fmax(asymptotic, _spread(means)),
        n_independent=counts,
        overlap=float(np.diag(overlap, 1).min()),
    )


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over repeats, (R, K) -> (K,); NaN for one repeat."""
    n_repeats = values.shape[0]
    if n_repeats < 2:
        return np.full(values.shape[1], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(n_repeats))


def table(system: MolecularSystem, data: ReferenceSet, found: Analysis) -> str:
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
    path: Path, system: MolecularSystem, data: ReferenceSet, found: Analysis, seed: int | None
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


def parse_range(text: str) -> tuple[float, float]:
    """Read "300:600" as a rising range of temperatures in K."""
    parts = text.split(":")
    try:
        lo, hi = (float(part) for part in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected LOW:HIGH in kelvin, such as 300:600, got {text!r}"
        ) from None
    if not 0 < lo < hi < float("inf"):
        raise argparse.ArgumentTypeError(f"expected 0 < LOW < HIGH in kelvin, got {text!r}")
    return lo, hi


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("--T", type=parse_range, default=(300.0, 600.0), metavar="LOW:HIGH",
        help="range of temperatures in K; multiples of 50 K inside it are in the ladder "
        "(default 300:600)")  # fmt: skip
    add("--system", default=None, metavar="NAME",
        help=f"one of {', '.join(system_names())} (default {DEFAULT_SYSTEM})")  # fmt: skip
    add("--pdb", type=Path, metavar="FILE", help="your own molecule, with all hydrogens")
    add("--forcefield", nargs="+", metavar="XML",
        help="force-field files for --pdb, such as amber99sbildn.xml amber96_obc.xml")  # fmt: skip
    add("--ns", type=float, default=100.0,
        help="nanoseconds in all, over replicas and repeats, without equilibration "
        "(default 100: one to two hours on two cores)")  # fmt: skip
    add("--repeats", type=int, default=4, help="independent repeats (default 4)")
    add("--processes", type=int, default=2, help="repeats that run side by side (default 2)")
    add("--seed", type=int, default=20240, help="seed of the random numbers (default 20240)")
    add("--out", type=Path, default=None, metavar="DIR",
        help="also write reference.json there")  # fmt: skip
    add("--cache", type=Path, default=default_cache_dir(), metavar="DIR",
        help="where frames are kept (default: $BOLTZGEN_CACHE or ~/.cache/boltzgen)")  # fmt: skip
    add("--analyse-only", action="store_true",
        help="sample nothing; analyse the longest reference in the cache")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")
    return options


def load_system(arguments: argparse.Namespace) -> MolecularSystem:
    """The molecule that the command line asks for."""
    if arguments.pdb is None:
        if arguments.forcefield:
            raise ValueError("--forcefield: expected --pdb with it, got none")
        return named(arguments.system or DEFAULT_SYSTEM)
    if arguments.system is not None or not arguments.forcefield:
        raise ValueError("--pdb: expected --forcefield with it and no --system")
    return from_pdb(arguments.pdb, arguments.forcefield)


def settings_from(arguments: argparse.Namespace) -> ReferenceSettings:
    """Ladder and lengths that the command line asks for."""
    lo, hi = arguments.T
    if not arguments.ns > 0:
        raise ValueError(f"--ns: expected more than 0, got {arguments.ns}")
    if arguments.repeats < 1:
        raise ValueError(f"--repeats: expected at least 1, got {arguments.repeats}")
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
    system = load_system(arguments)
    seed: int | None = arguments.seed
    if arguments.analyse_only:
        cached, seed = find_reference(system, arguments.cache), None
        if cached is None:
            raise ValueError(f"--cache: no reference of {system.name} in {arguments.cache}")
        data = cached
    else:
        with ProgressBar("replica exchange", enabled=not arguments.quiet) as progress:
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
        write_summary(arguments.out / "reference.json", system, data, found, seed)


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
