"""Sample a molecule over a range of temperatures without any model: a reference, with errors.

    python scripts/sample_molecule.py --T 300:600 --replicas 8

Replicas at several temperatures move and exchange, in many independent ladders: by Hamiltonian
Monte Carlo on all of them at once, or through OpenMM (--backend openmm). Writes to the run
directory: report.html (free energies, Ramachandran pictures, convergence), ramachandran.png,
summary.json, u_kn.h5, topology.pdb and one trajectory of DCD frames for each temperature.

Everything sampled is kept in the cache: the same command goes on where it was stopped, a larger
--frames extends what is there, and scripts/train_alanine.py sets its model against it.
"""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.angles import find_angles
from pipeline.arguments import EXPECTED, add_cache, add_molecule, load_molecule, temperature_range
from pipeline.command_line import Parser, make_folder, positive_count, seed
from pipeline.console import ProgressBar, print_table
from pipeline.convergence import convergence
from pipeline.reference import analyse, reference_frames
from pipeline.reference_files import ReferenceDirectory
from pipeline.reference_page import FREE_ENERGY_HEADER, ReferenceStory, free_energy_rows
from pipeline.sampling import Sampled, SamplingSettings, sample_molecule
from pipeline.settings import BACKENDS
from systems.molecules import (
    MolecularSystem,
    ReferenceSettings,
    find_reference,
    reference,
    rungs,
)

_GRID_K = 50.0
_N_LADDERS = {"tensor": 64, "openmm": 4}
_LEAST_BATCH = 128


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--T", type=temperature_range, default=(300.0, 600.0), metavar="LOW:HIGH",
        help="range of temperatures in K (default 300:600)")  # fmt: skip
    add("--replicas", type=positive_count, default=8,
        help="temperatures, multiples of 50 K first (default 8)")  # fmt: skip
    add("--ladders", type=positive_count,
        help="independent ladders (default 64; 4 through OpenMM)")  # fmt: skip
    add("--frames", type=positive_count, default=1000,
        help="frames of each ladder at each temperature (default 1000)")  # fmt: skip
    add("--backend", choices=BACKENDS, default="tensor",
        help="tensor: Hamiltonian Monte Carlo on batched tensor code; openmm: Langevin dynamics "
        "by OpenMM's own ReplicaExchangeSampler, slower, for any force field and for rigid bonds "
        "(default tensor)")  # fmt: skip
    add("--seed", type=seed, default=0, help="seed of the random numbers (default 0)")
    add("--out", type=Path, metavar="DIR",
        help="run directory (default: runs/reference_SYSTEM_BACKEND_seedN)")  # fmt: skip
    add("--processes", type=positive_count, default=min(os.cpu_count() or 1, 8),
        help="processor cores to use (default: all, at most 8)")  # fmt: skip
    add("--analyse-only", action="store_true",
        help="sample nothing; analyse the reference in the cache that cost most")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")
    add_molecule(options)
    add_cache(options)
    return options


def temperatures_of(arguments: argparse.Namespace) -> tuple[float, ...]:
    """The ladder that the command line asks for.

    Raises:
        ValueError: There are fewer than two temperatures.
    """
    low, high = arguments.T
    if arguments.replicas < 2:
        raise ValueError(f"--replicas: expected at least 2, got {arguments.replicas}")
    grid = np.arange(np.ceil(low / _GRID_K), np.floor(high / _GRID_K) + 1) * _GRID_K
    return rungs(low, high, arguments.replicas, first=grid.tolist())


def _tasks(n_ladders: int, n_rungs: int) -> int:
    """As many equal shares of the ladders as leave each a batch worth vectorising."""
    fair = [n for n in range(1, n_ladders + 1) if n_ladders % n == 0]
    return max(n for n in fair if n == 1 or n_ladders // n * n_rungs >= _LEAST_BATCH)


def obtain(system: MolecularSystem, arguments: argparse.Namespace) -> Sampled:
    """Sample, or find what there is."""
    if arguments.analyse_only:
        cached = find_reference(system, arguments.cache)
        if cached is None:
            raise ValueError(f"--cache: no reference of {system.name} in {arguments.cache}")
        return Sampled(cached)
    temperatures = temperatures_of(arguments)
    n_ladders = arguments.ladders or _N_LADDERS[arguments.backend]
    with ProgressBar("replica exchange", unit="step", enabled=not arguments.quiet) as progress:
        common = {"cache_dir": arguments.cache, "n_processes": arguments.processes}
        if arguments.backend == "openmm":
            dynamics = ReferenceSettings(
                temperatures=temperatures, n_repeats=n_ladders,
                n_iterations=arguments.frames, seed=arguments.seed,
            )  # fmt: skip
            return Sampled(reference(system, dynamics, progress=progress, **common))
        settings = SamplingSettings(
            temperatures=temperatures, n_ladders=n_ladders,
            n_frames=arguments.frames, seed=arguments.seed,
            n_tasks=_tasks(n_ladders, len(temperatures)),
        )  # fmt: skip
        return sample_molecule(system, settings, progress=progress, **common)


def tell(system: MolecularSystem, sampled: Sampled, seconds: float) -> ReferenceStory:
    """Everything that the report says."""
    data, angles = sampled.frames, find_angles(system)
    found = convergence(system, data, angles)
    return ReferenceStory(
        name=system.name, sampled=sampled, free=analyse(data), convergence=found,
        frames=reference_frames(data, angles), angles=angles,
        warnings=found.warnings(data.temperatures), seconds=seconds,
        command=shlex.join(["python", *sys.argv]),
    )  # fmt: skip


def execute(arguments: argparse.Namespace) -> None:
    """Sample, analyse, report."""
    system = load_molecule(arguments)
    name = f"reference_{system.name.replace('/', '-')}_{arguments.backend}_seed{arguments.seed}"
    directory = ReferenceDirectory(arguments.out or Path("runs") / name)
    make_folder("--cache", arguments.cache)
    directory.start(system)
    started = time.monotonic()
    sampled = obtain(system, arguments)
    story = tell(system, sampled, time.monotonic() - started)
    directory.write(system, story, None if arguments.analyse_only else arguments.seed)
    data, found = sampled.frames, story.convergence
    state = "" if data.complete else " (unfinished: the same command goes on)"
    print_table(
        f"Reference of {system.name} by {data.sampler}{state}", FREE_ENERGY_HEADER,
        free_energy_rows(story),
    )  # fmt: skip
    for text in story.warnings:
        print(f"warning: {text}")
    print(
        f"{data.n_repeats} ladders, {found.n_round_trips:.0f} round trips, "
        f"{data.n_energy_calls:,} energy calls, {story.seconds / 60:.1f} minutes of sampling"
    )
    print(f"report: {directory.report}")


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser().parse_args()
    try:
        execute(arguments)
    except EXPECTED as error:
        print(f"sample_molecule: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sample_molecule: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
