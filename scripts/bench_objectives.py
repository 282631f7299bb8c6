"""Time one step of each objective on the model of a run, and the error of the quick derivative.

    python scripts/bench_objectives.py RUN --repeats 20 --json objectives.json

Forward and backward pass of each loss, the optimiser left out, all in turn (A B C A B C) in one
process; medians and the ratio to forward KL are reported. The central difference in the
temperature is compared with the exact derivative on samples of the model, beside the size of the
TRADE residual that it enters.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import torch
from torch import Generator

from boltzgen.errors import CorruptFileError
from boltzgen.objectives import (
    CausalSampler,
    CentralDifference,
    ControlDerivative,
    ControlGradient,
    DataPoints,
    ExactDerivative,
    ExpectationTable,
    FlowPoints,
    ForwardKL,
    LogUniform,
    LogVariance,
    ReverseKL,
    log_spaced_grid,
)
from boltzgen.protocols import Batch, Objective, Target
from boltzgen.storage import write_json
from pipeline.command_line import positive_count
from pipeline.console import print_table
from pipeline.model import Model, load_model
from pipeline.run_directory import RunDirectory
from pipeline.stages import Surroundings, build_target
from pipeline.timing import median_seconds
from systems.ledger import EnergyLedger
from systems.molecules import default_cache_dir

N_POINTS = 256


def objectives(model: Model, target: Target) -> dict[str, Objective]:
    """What is timed; each looks at 256 points unless it says so, forward KL at the batch."""
    config = model.config
    grid = log_spaced_grid(config.low, config.high, 25, boundary=config.high)

    def trade(derivative: ControlDerivative) -> ControlGradient:
        table = ExpectationTable(grid, n_samples=2, every=10**9)
        return ControlGradient(
            target,
            sampler=CausalSampler(grid),
            table=table,
            n_points=N_POINTS,
            derivative=derivative,
        )

    return {
        "forward KL": ForwardKL(),
        "TRADE, exact derivative": trade(ExactDerivative()),
        "TRADE, central difference": trade(CentralDifference()),
        "log-variance": LogVariance(
            target, FlowPoints(grid, n_controls=4, n_samples=N_POINTS // 4)
        ),
        "log-variance, 128 frames": LogVariance(target, DataPoints(128)),
        "reverse KL": ReverseKL(target, LogUniform(config.low, config.high), n_samples=N_POINTS),
    }


def time_all(
    model: Model, losses: dict[str, Objective], batch: Batch, *, repeats: int
) -> dict[str, float]:
    """Median seconds of a forward and backward pass of each loss."""
    generator = Generator().manual_seed(0)

    def pass_of(objective: Objective) -> None:
        model.flow.zero_grad(set_to_none=True)
        objective(model.flow, batch, step=1, generator=generator).loss.backward()

    passes = {name: partial(pass_of, objective) for name, objective in losses.items()}
    return median_seconds(passes, repeats=repeats)


def derivative_error(model: Model, target: Target) -> dict[str, float]:
    """Root-mean-square error of the central difference, beside the rms TRADE residual."""
    generator = Generator().manual_seed(1)
    steps = torch.linspace(model.config.low, model.config.high, 9, dtype=torch.float32)
    c = steps.repeat_interleave(128)[:, None]
    x = model.flow.sample(c, generator=generator).detach()
    exact = ExactDerivative()(model.flow, x, c).slope.detach()
    quick = CentralDifference()(model.flow, x, c).slope.detach()
    energy_slope = target.energy_and_denergy_dc(x, c)[1][:, 0]
    wanted = -(c[:, 0] * energy_slope).reshape(9, -1)
    residual = exact.reshape(9, -1) - wanted
    residual = residual - residual.mean(1, keepdim=True)
    return {
        "error": float((quick - exact).square().mean().sqrt()),
        "residual": float(residual.square().mean().sqrt()),
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("run", type=Path, metavar="RUN", help="run directory of train_alanine.py")
    add("--repeats", type=positive_count, default=20, help="timed rounds (default 20)")
    add("--processes", type=positive_count, default=2, help="threads (default 2)")
    add("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return options


def main() -> int:
    """Time, print, write."""
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.processes)
    try:
        model = load_model(run := RunDirectory(arguments.run))
    except (ValueError, OSError, CorruptFileError) as error:
        print(f"bench_objectives: {error}", file=sys.stderr)
        return 1
    model.flow.float()
    around = Surroundings(
        default_cache_dir(), arguments.processes, torch.device("cpu"), show_progress=False
    )
    target = build_target(
        run.load_system(), model.chart, model.config, EnergyLedger(), around, training=True
    )
    n_batch = model.config.objective.batch_size
    c = torch.full((n_batch, 1), model.config.high)
    batch = Batch(model.flow.sample(c, generator=Generator().manual_seed(2)).detach(), c)
    seconds = time_all(model, objectives(model, target), batch, repeats=arguments.repeats)
    base = seconds["forward KL"]
    rows = [[name, f"{1e3 * s:.1f}", f"{s / base:.2f}"] for name, s in seconds.items()]
    print_table(
        f"Forward and backward pass, batch {n_batch}, {N_POINTS} points",
        ["objective", "ms", "ratio"],
        rows,
    )
    errors = derivative_error(model, target)
    print(
        f"central difference: rms error {errors['error']:.2g} in d log q / d log T, "
        f"rms TRADE residual {errors['residual']:.2g}"
    )
    if arguments.json is not None:
        write_json(arguments.json, {"seconds": seconds, "derivative": errors})
    return 0


if __name__ == "__main__":
    sys.exit(main())
