"""Time replica exchange: our Monte Carlo on all replicas at once, against OpenMM's own sampler.

    python scripts/bench_sampling.py --system ala2/ff96-obc1 --rounds 10 --json sampling.json

Both sample the same ladder in this process, by turns (A B A B), each on one core; independent
ladders fill further cores alike. Reported: energy calls and simulated time a second of wall time;
independent frames a second, by the statistical inefficiency of the energy and of the slowest
torsion, at the lowest and the highest temperature; and whether the two agree in mean energy and
basins. Equilibration is not timed. With --cache another call goes on where this one stopped.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numpy as np
import torch

from boltzgen.storage import write_json
from pipeline.angles import AnglePair, find_angles
from pipeline.arguments import add_molecule, load_molecule
from pipeline.command_line import Parser, positive_count
from pipeline.console import ProgressBar, print_table
from pipeline.convergence import Convergence, convergence
from pipeline.reference import in_order
from pipeline.sampling import Sampled, SamplingSettings, sample_molecule
from systems.molecules import (
    CorruptCacheError,
    MolecularSystem,
    ReferenceSet,
    ReferenceSettings,
    ReferenceStore,
    SimulationError,
    ladder,
    reference,
)
from systems.molecules.trajectories import mean_and_error

OURS, THEIRS = "boltzgen", "OpenMM"
_GRID = (350.0, 400.0, 450.0, 500.0, 550.0)


@dataclass(frozen=True)
class Sampler:
    """One of the two.

    Args:
        sampled: Its frames.
        seconds: Wall time of each timed round.
        n_frames: Frames of each timed round, all temperatures and ladders together.
        fs_per_frame: Simulated time between frames of a replica, mean over temperatures.
        calls_per_frame: Energy calls between frames of a replica.
    """

    sampled: Sampled
    seconds: list[float]
    n_frames: int
    fs_per_frame: float
    calls_per_frame: int

    @property
    def frames_a_second(self) -> float:
        """Frames a second of the median round."""
        return float(self.n_frames / np.median(self.seconds))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--ladders", type=positive_count, default=64, help="ladders of ours (default 64)")
    add("--rounds", type=positive_count, default=5, help="timed rounds of each (default 5)")
    add("--frames", type=positive_count, default=40,
        help="frames of each ladder of ours in a round (default 40)")  # fmt: skip
    add("--iterations", type=positive_count, default=10,
        help="exchange attempts of OpenMM's sampler in a round (default 10)")  # fmt: skip
    add("--equilibration-ps", type=positive_count, default=10,
        help="equilibration of each of OpenMM's replicas (default 10)")  # fmt: skip
    add("--cache", type=Path, metavar="DIR", help="keep the frames there (default: nowhere)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    add_molecule(options)
    return options


def measure(
    system: MolecularSystem, arguments: argparse.Namespace, cache: Path
) -> dict[str, Sampler]:
    """Run both by turns; the first round of each equilibrates and is not timed."""
    temperatures = ladder(300.0, 600.0, include=_GRID)
    ours = SamplingSettings(
        temperatures=temperatures, n_ladders=arguments.ladders, chunk_frames=arguments.frames,
        n_tasks=1,
    )  # fmt: skip
    theirs = ReferenceSettings(
        temperatures=temperatures, n_repeats=1, chunk_iterations=arguments.iterations,
        equilibration_steps=1000 * arguments.equilibration_ps, equilibration_iterations=1,
    )  # fmt: skip
    plans = (ours.plan, theirs.plan)
    stores = (ReferenceStore.place("reference", system, plan, cache) for plan in plans)
    first = max(store.chunks(0).n_chunks for store in stores)
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with ProgressBar("rounds", unit="round", enabled=True) as progress:
        for done in range(arguments.rounds + 1):
            progress(done, arguments.rounds + 1)
            n_chunks = first + done + 1
            started = time.perf_counter()
            own = sample_molecule(
                system, replace(ours, n_frames=n_chunks * arguments.frames), cache_dir=cache,
                n_processes=1,
            )  # fmt: skip
            between = time.perf_counter()
            other = Sampled(
                reference(
                    system, replace(theirs, n_iterations=n_chunks * arguments.iterations),
                    cache_dir=cache, n_processes=1,
                )
            )  # fmt: skip
            if done:
                seconds[OURS].append(between - started)
                seconds[THEIRS].append(time.perf_counter() - between)
        progress(arguments.rounds + 1, arguments.rounds + 1)
    return _samplers(own, other, seconds, ours, theirs)


def _samplers(
    own: Sampled,
    other: Sampled,
    seconds: dict[str, list[float]],
    ours: SamplingSettings,
    theirs: ReferenceSettings,
) -> dict[str, Sampler]:
    steps = own.step_fs if own.step_fs is not None else np.array([np.nan])
    n_rungs = len(ours.temperatures)
    return {
        OURS: Sampler(
            own, seconds[OURS], ours.n_ladders * ours.chunk_frames * n_rungs,
            float(steps.mean()) * ours.n_leapfrog, ours.n_leapfrog,
        ),
        THEIRS: Sampler(
            other, seconds[THEIRS], theirs.chunk_iterations * n_rungs,
            theirs.timestep_fs * theirs.steps_per_iteration, theirs.steps_per_iteration,
        ),
    }  # fmt: skip


def rates(sampler: Sampler, moved: Convergence) -> dict[str, float]:
    """What one of them does in a second of wall time."""
    frames = sampler.frames_a_second
    ends = {"lowest T": 0, "highest T": -1}
    energy = moved.inefficiency["energy"]
    each = frames / moved.n_frames.size  # frames of one temperature
    return {
        "energy calls": frames * sampler.calls_per_frame,
        "simulated ps": frames * sampler.fs_per_frame * 1e-3,
        **{f"independent energies, {t}": each / float(energy[k]) for t, k in ends.items()},
        **{f"independent frames, {t}": each / float(moved.slowest[k]) for t, k in ends.items()},
    }


def compare(data: dict[str, ReferenceSet], angles: AnglePair | None) -> list[dict[str, float]]:
    """Mean energy and, where there are torsions, how often the second one is in (-120, 60) degrees.

    Errors are the larger of those by the correlation time and by the spread over ladders.
    """
    series = {name: _series(one, angles) for name, one in data.items()}
    rows = []
    for k, t in enumerate(data[OURS].temperatures):
        row = {"T": float(t)}
        for what in series[OURS]:
            pairs = {name: mean_and_error(series[name][what][:, :, k]) for name in (OURS, THEIRS)}
            for name, (value, error) in pairs.items():
                row |= {f"{what} {name}": value, f"{what} error {name}": error}
            (one, e), (other, f) = pairs.values()
            row[f"{what} z"] = (one - other) / float(np.hypot(e, f))
        rows.append(row)
    return rows


def _series(data: ReferenceSet, angles: AnglePair | None) -> dict[str, np.ndarray]:
    """Observables of all frames, each (R, N, K)."""
    rows = in_order(data)
    found = {"U": data.potential[rows].astype(np.float64)}
    if angles is not None:
        degrees = np.rad2deg(angles.measure(data.x[rows])[1])
        found["share"] = ((degrees > -120) & (degrees < 60)).astype(np.float64)
    return found


def show(found: dict[str, dict[str, float]], rows: list[dict[str, float]], torsion: str) -> None:
    """Print both tables."""
    lines = [
        [what, f"{found[OURS][what]:.4g}", f"{found[THEIRS][what]:.4g}",
         f"{found[OURS][what] / found[THEIRS][what]:.1f}"]
        for what in found[OURS]
    ]  # fmt: skip
    print_table("A second of wall time on one core", ["what", OURS, THEIRS, "ratio"], lines)
    titles = {"U": "Mean energy in kJ/mol", "share": f"Share of {torsion} in (-120, 60) degrees"}
    for kind, title in titles.items():
        if f"{kind} z" not in rows[0]:
            continue
        cells = [
            [
                f"{row['T']:g}",
                *(f"{row[f'{kind} {n}']:.3f} ± {row[f'{kind} error {n}']:.3f}"
                  for n in (OURS, THEIRS)),
                f"{row[f'{kind} z']:+.1f}",
            ]
            for row in rows
        ]  # fmt: skip
        print_table(title, ["T / K", OURS, THEIRS, "z"], cells)


def main() -> int:
    """Measure, print, write."""
    arguments = parser().parse_args()
    torch.set_num_threads(1)
    try:
        system = load_molecule(arguments)
        with TemporaryDirectory() as scratch:
            measured = measure(system, arguments, arguments.cache or Path(scratch))
        angles = find_angles(system)
        data = {name: sampler.sampled.frames for name, sampler in measured.items()}
        found = {
            name: rates(sampler, convergence(system, data[name], angles))
            for name, sampler in measured.items()
        }
        rows = compare(data, angles)
    except (ValueError, OSError, SimulationError, CorruptCacheError) as error:
        print(f"bench_sampling: {error}", file=sys.stderr)
        return 1
    show(found, rows, "" if angles is None else angles.names[1])
    if arguments.json is not None:
        seconds = {name: sampler.seconds for name, sampler in measured.items()}
        write_json(
            arguments.json,
            {"system": system.name, "seconds": seconds, "rates": found, "agreement": rows},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
