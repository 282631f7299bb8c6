"""Free-energy differences between temperatures of a trained run, with errors, by MBAR.

    python scripts/free_energy.py RUN --T 300,400,500

Samples the model anew at the temperatures asked for and prints F / kT = -log Z(T), relative to
the first of them, and all differences. Configurational parts, without momenta.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng

from boltzgen.errors import CorruptFileError, NonFiniteError, NotConvergedError
from boltzgen.estimators import (
    ConditionalFreeEnergies,
    conditional_free_energies,
    describe_khat,
    pareto_khat,
)
from boltzgen.storage import write_json
from pipeline.arguments import temperature_list
from pipeline.command_line import Parser, make_folder, positive_count, sample_count, seed
from pipeline.console import print_table
from pipeline.evaluation import cross_energies
from pipeline.generation import check_temperature, draw
from pipeline.model import load_model
from pipeline.run_directory import RunDirectory
from pipeline.stages import Surroundings, build_target
from systems.ledger import EnergyLedger
from systems.molecules import default_cache_dir


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("run", type=Path, metavar="RUN", help="run directory of train_alanine.py")
    add("--T", type=temperature_list, required=True, metavar="T1,T2,...",
        help="two or more different temperatures in K")  # fmt: skip
    add("--n", type=sample_count, default=10_000,
        help="samples at each temperature (default 10000)")  # fmt: skip
    add("--seed", type=seed, default=1, help="seed (default 1)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    add("--processes", type=positive_count, default=min(os.cpu_count() or 1, 8),
        help="processor cores to use (default: all, at most 8)")  # fmt: skip
    return options


def report(temperatures: tuple[float, ...], found: ConditionalFreeEnergies) -> dict[str, object]:
    """Print values and differences; return them as plain numbers."""
    errors = np.fmax(found.difference_errors, found.bootstrap_difference_errors)
    rows = [
        [f"{t:g}", f"{found.f_k[i]:.4f} ± {errors[0, i]:.4f}", f"{found.n_effective[i]:.0f}"]
        for i, t in enumerate(temperatures)
    ]
    print_table("-log Z(T) relative to the first T",
                ["T / K", "F / kT", "effective samples"], rows)  # fmt: skip
    pairs = [(i, j) for i in range(len(temperatures)) for j in range(i + 1, len(temperatures))]
    rows = [
        [f"{temperatures[i]:g}", f"{temperatures[j]:g}",
         f"{found.f_k[j] - found.f_k[i]:.4f} ± {errors[i, j]:.4f}"]
        for i, j in pairs
    ]  # fmt: skip
    print_table("Differences", ["from T / K", "to T / K", "F/kT at to - F/kT at from"], rows)
    return {
        "T": list(temperatures),
        "free_energy": found.f_k.tolist(),
        "free_energy_error": errors[0].tolist(),
        "difference_error": errors.tolist(),
        "effective_samples": found.n_effective.tolist(),
    }


def execute(arguments: argparse.Namespace) -> None:
    """Sample at every temperature and solve."""
    temperatures = arguments.T
    if len(temperatures) < 2 or len(set(temperatures)) != len(temperatures):
        raise ValueError(
            f"--T: expected two or more different temperatures, got "
            f"{', '.join(f'{t:g}' for t in temperatures)}"
        )
    torch.set_num_threads(arguments.processes)
    run = RunDirectory(arguments.run)
    model = load_model(run)
    for temperature in temperatures:
        check_temperature(model, temperature)
    if arguments.json is not None:
        make_folder("--json", arguments.json.parent)
    around = Surroundings(
        default_cache_dir(), arguments.processes, torch.device("cpu"), show_progress=True
    )
    target = build_target(run.load_system(), model.chart, model.config, EnergyLedger(), around)
    generator = torch.Generator().manual_seed(arguments.seed)
    samples = tuple(draw(model, target, t, arguments.n, generator=generator) for t in temperatures)
    energies = cross_energies(model, samples, show_progress=True)
    k = len(temperatures)
    found = conditional_free_energies(
        energies.u_kn[:k], energies.u_kn[k:], energies.n_k[:k],
        rng=default_rng(arguments.seed),
    )  # fmt: skip
    numbers = report(temperatures, found)
    for one in samples:
        khat = pareto_khat(one.log_w)
        if khat >= 0.7:
            print(f"warning: k-hat is {khat:.2f} at {one.temperature:g} K: {describe_khat(khat)}")
    if arguments.json is not None:
        write_json(arguments.json, {"system": model.config.system, **numbers})


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser().parse_args()
    try:
        execute(arguments)
    except (ValueError, OSError, CorruptFileError, NonFiniteError, NotConvergedError) as error:
        print(f"free_energy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
