"""Draw weighted samples of a trained run at any temperature of its range.

    python scripts/sample.py runs/my_run --T 350 --n 10000

Writes a trajectory that mdtraj opens (.h5 or .xtc) and, beside it, a .weights.npz with the
normalised weights, log-weights and energies of its frames. Averages over the temperature are
weighted: sum(w * A). No weight is clipped; the effective number of samples is printed.
"""

import argparse
import os
import sys
from pathlib import Path

import mdtraj
import numpy as np
import torch
from numpy.random import default_rng

from boltzgen.errors import CorruptFileError, NonFiniteError
from boltzgen.estimators import describe_khat, normalise, pareto_khat, reverse_ess
from pipeline.arguments import temperature_list
from pipeline.command_line import Parser, make_folder, positive_count, sample_count, seed
from pipeline.generation import WeightedSamples, check_temperature, draw
from pipeline.model import load_model
from pipeline.run_directory import RunDirectory
from pipeline.stages import Surroundings, build_target
from systems.ledger import EnergyLedger
from systems.molecules import default_cache_dir

SUFFIXES = (".h5", ".xtc")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("run", type=Path, metavar="RUN", help="run directory of train_alanine.py")
    add("--T", type=temperature_list, required=True, metavar="T", help="temperature in K")
    add("--n", type=sample_count, default=10_000, help="number of samples (default 10000)")
    add("--out", type=Path, metavar="FILE",
        help=f"trajectory, {' or '.join(SUFFIXES)} (default: RUN/samples_TK.h5)")  # fmt: skip
    add("--seed", type=seed, default=1, help="seed (default 1)")
    add("--processes", type=positive_count, default=min(os.cpu_count() or 1, 8),
        help="processor cores to use (default: all, at most 8)")  # fmt: skip
    add("--force", action="store_true", help="replace files that exist")
    return options


def write_trajectory(run: RunDirectory, samples: WeightedSamples, path: Path) -> Path:
    """Write positions, and the weights beside them; return the file of the weights."""
    topology = mdtraj.load_topology(str(run.topology))
    frames = mdtraj.Trajectory(samples.x.astype(np.float32), topology)
    frames.save(str(path), force_overwrite=True)
    beside = path.with_suffix(".weights.npz")
    np.savez(
        beside, weights=normalise(samples.log_w), log_weights=samples.log_w,
        potential_kJ_per_mol=samples.potential, temperature_K=samples.temperature,
    )  # fmt: skip
    return beside


def execute(arguments: argparse.Namespace) -> None:
    """Sample, weight, write."""
    if len(arguments.T) != 1:
        raise ValueError(f"--T: expected one temperature, got {len(arguments.T)}")
    torch.set_num_threads(arguments.processes)
    run, temperature = RunDirectory(arguments.run), arguments.T[0]
    path = arguments.out or run.path / f"samples_{temperature:g}K.h5"
    beside = path.with_suffix(".weights.npz")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"--out: expected a name ending in {' or '.join(SUFFIXES)}, got {path}")
    model = load_model(run)
    check_temperature(model, temperature)
    taken = [str(p) for p in (path, beside) if p.exists()]
    if taken and not arguments.force:
        raise ValueError(
            f"--out: already there: {' and '.join(taken)}; give another name, or --force"
        )
    make_folder("--out", path.parent)
    around = Surroundings(
        default_cache_dir(), arguments.processes, torch.device("cpu"), show_progress=False
    )
    target = build_target(run.load_system(), model.chart, model.config, EnergyLedger(), around)
    generator = torch.Generator().manual_seed(arguments.seed)
    samples = draw(model, target, temperature, arguments.n, generator=generator)
    write_trajectory(run, samples, path)
    ess = reverse_ess(samples.log_w, rng=default_rng(arguments.seed))
    khat = pareto_khat(samples.log_w)
    print(f"{arguments.n} samples of {model.config.system} at {temperature:g} K: {path}")
    print(f"weights: {beside}")
    print(f"effective samples: {ess.value * arguments.n:.0f} ({100 * ess.value:.1f} ± "
          f"{100 * ess.error:.1f} %); k-hat {khat:.2f}, {describe_khat(khat)}")  # fmt: skip


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser().parse_args()
    try:
        execute(arguments)
    except (ValueError, OSError, CorruptFileError, NonFiniteError) as error:
        print(f"sample: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
