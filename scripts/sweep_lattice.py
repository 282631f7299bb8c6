"""Sweep a coupling of a lattice model: a flow that depends on it, Monte Carlo, and exact values.

    python scripts/sweep_lattice.py --model phi4 --L 8 --lambda 0.02 --kappa 0.22:0.32:0.005
    python scripts/sweep_lattice.py --model ising --L 16 --T 1.5:3.5:0.1

One flow is trained for the whole range and sampled at every point; Monte Carlo runs at every point
as well. Magnetisation, susceptibility, Binder cumulant, energy, heat capacity and free energy, with
errors, go to sweep.csv, sweep.h5, summary.json and report.html in the run directory. Two couplings
given as ranges make a map. Points are independent work and run on all cores; --scheduler sends them
to a cluster (scripts/sweep/cluster.py says how to start one with SLURM). A sweep that was stopped
goes on with the same command and --resume.
"""

import argparse
import itertools
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numpy as np
import torch

from boltzgen.base import Density
from boltzgen.errors import CorruptFileError, NonFiniteError, NotConvergedError
from boltzgen.random import spawn
from boltzgen.report import write_report
from boltzgen.storage import write_json
from pipeline.learning import training_history
from pipeline.run_folder import RunFolder
from sweep.attempts import Function
from sweep.cluster import ClusterSettings, cluster_settings, run_points
from sweep.command import configure, parser
from sweep.connection import SweepError, remote_client
from sweep.flow_points import flow_point, flow_points, log_weights_at, slopes_on_grid
from sweep.model import (
    bounds_of,
    pack,
    read_weights,
    streams,
    train_flow,
    training_seconds,
    unpack,
)
from sweep.models import open_lattice
from sweep.monte_carlo import (
    monte_carlo_point,
    reference_fields,
    reference_points,
    training_data,
)
from sweep.page import SweepStory, compose
from sweep.points import Point, PointStore, Result
from sweep.results import (
    BENNETT,
    EXACT,
    MBAR,
    Curve,
    SweepResults,
    chain_route,
    compare,
    estimate_flow,
    estimate_monte_carlo,
    importance_route,
    integral_route,
    mixture_route,
    warnings_of,
)
from sweep.settings import SweepConfig
from sweep.tables import print_results, summarise, write_csv, write_hdf5_table

EXPECTED = (ValueError, OSError, NonFiniteError, NotConvergedError, CorruptFileError, SweepError)
_N_GRID = 41


class Sweep:
    """One sweep, stage by stage.

    Args:
        run: Its directory.
        config: Its settings.
        arguments: The command line.
        cluster: Where points are computed.
    """

    def __init__(
        self, run: RunFolder[SweepConfig], config: SweepConfig, arguments: argparse.Namespace,
        cluster: ClusterSettings,
    ) -> None:  # fmt: skip
        self.run, self.config, self.arguments, self.cluster = run, config, arguments, cluster
        self.lattice = open_lattice(config.lattice)
        self.values = list(itertools.product(*config.values))
        self.couplings = [config.lattice.couplings(at) for at in self.values]
        self.seconds: dict[str, float] = {}

    def timed_points(self, stage: str, function: Function, points: list[Point]) -> list[Result]:
        """Compute points, and book the time."""
        started = time.monotonic()
        found = run_points(
            function, points, store=self.run.path / "points", settings=self.cluster,
            show_progress=not self.arguments.quiet,
        )  # fmt: skip
        self.seconds[stage] = time.monotonic() - started
        return found

    def monte_carlo(self) -> list[Result]:
        """Chains at all points, and on the way to the known end; possibly those of another run."""
        if self.config.reference_of is not None:
            return self._given_chains(RunFolder(self.config.reference_of, SweepConfig))
        points = reference_points(self.config, self.values)
        return self.timed_points("Monte Carlo", monte_carlo_point, points)

    def _given_chains(self, given: RunFolder[SweepConfig]) -> list[Result]:
        there = given.load_config()
        store = PointStore(given.path / "points", monte_carlo_point)
        points = reference_points(there, self.values)
        return [store.read(point).result for point in points]

    def train(self) -> str:
        """Train the flow, or take that of another run; return it as text."""
        if self.config.flow_of is not None:
            given = RunFolder(self.config.flow_of, SweepConfig)
            weights = read_weights(given, self.config)
            self.seconds["training"] = training_seconds(given)
            return pack(weights)
        started = time.monotonic()
        if not self.run.model.exists():
            data = self._data()
            self.seconds["data"] = time.monotonic() - started
            self.seconds["training"] = train_flow(
                self.run, self.config, self.lattice.target(), data,
                device=self.arguments.device, show_progress=not self.arguments.quiet,
            )  # fmt: skip
        else:
            self.seconds["training"] = training_seconds(self.run)
        return pack(read_weights(self.run, self.config))

    def _data(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Fields and controls to train on; one row of zeros where the objective uses none."""
        config = self.config
        if config.learn.objective == "backward-kl":
            c = torch.tensor(config.data.boundaries[:1], dtype=torch.float64)
            return torch.zeros(1, *config.lattice.shape, dtype=torch.float64), c
        return training_data(self.lattice, config.data, generator=streams(config)[2])

    def sample(self, weights: str) -> list[Result]:
        """Samples of the flow at all points."""
        points = flow_points(self.config, self.values, weights)
        return self.timed_points("flow", flow_point, points)

    def open_flow(self, weights: str) -> Density:
        """The flow, for evaluation here."""
        return unpack(weights, self.config.lattice, bounds_of(self.config), self.config.flow)


def analyse(sweep: Sweep, chains: list[Result], weights: str | None) -> SweepResults:
    """Estimate everything from what was computed."""
    lattice, couplings, n_points = sweep.lattice, sweep.couplings, len(sweep.values)
    results = SweepResults(
        values=np.array(sweep.values), couplings=couplings,
        exact=[lattice.exact(c) for c in couplings],
    )  # fmt: skip
    if chains:
        results.monte_carlo.extend(
            estimate_monte_carlo(lattice, c, r) for c, r in zip(couplings, chains, strict=False)
        )
    if weights is not None:
        add_flow(sweep, results, chains, weights)
    if all("log_z" in e for e in results.exact):
        values = np.array([-e["log_z"] for e in results.exact])
        results.free[EXACT] = Curve(values=values, errors=np.zeros(n_points))
    if chains:
        path = [p.couplings for p in reference_points(sweep.config, sweep.values)]
        way = BENNETT if len(sweep.config.values) == 1 else MBAR
        try:
            results.free[way] = chain_route(lattice, path, chains, n_points)
        except NotConvergedError as error:
            results.warnings.append(f"No free energy from Monte Carlo: {error}.")
    results.warnings.extend(warnings_of(lattice, results))
    return results


def add_flow(sweep: Sweep, results: SweepResults, chains: list[Result], weights: str) -> None:
    """Estimates from the flow, and their agreement with Monte Carlo."""
    lattice, seed = sweep.lattice, sweep.config.seed
    density = sweep.open_flow(weights)
    found = sweep.sample(weights)
    fields, table = spawn(streams(sweep.config)[3], 2)
    for number, (at, couplings) in enumerate(zip(sweep.values, sweep.couplings, strict=True)):
        reference = None
        if chains:
            x = reference_fields(lattice, at, chains[number], generator=fields)
            reference = log_weights_at(lattice, density, x, at)
        results.flow.append(
            estimate_flow(lattice, couplings, found[number], reference, seed + number)
        )
    results.free["importance sampling"] = importance_route(results.flow)
    results.free["mixture of flows"] = mixture_route(found)
    if len(sweep.config.values) == 1:
        results.free["integral of dE/dc"] = _integral(sweep, density, table)
    if results.monte_carlo:
        results.agreement.update(compare(lattice, results.flow, results.monte_carlo))


def _integral(sweep: Sweep, density: Density, generator: torch.Generator) -> Curve:
    own, options = np.array(sweep.config.values[0]), sweep.config.evaluation
    grid = np.linspace(own[0], own[-1], max(_N_GRID, own.size))
    tables = slopes_on_grid(
        sweep.lattice, density, grid, n_samples=options.n_table, n_tables=options.n_tables,
        generator=generator,
    )  # fmt: skip
    return integral_route(grid, tables, own)


def write_results(sweep: Sweep, results: SweepResults) -> None:
    """Write tables, summary and report."""
    run = sweep.run
    own = sweep.config.flow_of is None and run.metrics.exists()
    history = training_history(run) if own else []
    story = SweepStory(
        lattice=sweep.lattice, config=sweep.config, results=results, history=history,
        seconds=sweep.seconds, command=shlex.join(["python", *sys.argv]),
    )  # fmt: skip
    write_csv(run.path / "sweep.csv", story)
    write_hdf5_table(run.path / "sweep.h5", story)
    write_json(run.summary, summarise(story))
    write_report(run.report, compose(story))
    print_results(story)
    for text in results.warnings:
        print(f"warning: {text}")
    print(f"{sum(sweep.seconds.values()) / 60:.1f} minutes; report: {run.report}")


def with_given(config: SweepConfig) -> SweepConfig:
    """See that what other runs are to give is there; a flow comes with how it was trained.

    Raises:
        ValueError: A run is none of this model.
        FileNotFoundError: A run has no flow.
        CorruptFileError: A flow is damaged, or of another size.
    """
    if config.start is not None:
        read_weights(RunFolder(config.start, SweepConfig), config, any_lattice=True)
    if config.reference_of is not None:
        there = RunFolder(config.reference_of, SweepConfig).load_config()
        if (there.lattice, there.values) != (config.lattice, config.values):
            raise ValueError(
                f"--reference: expected a run of {config.lattice.name} over the same points, got "
                f"one of {there.lattice.name}"
            )
    if config.flow_of is None:
        return config
    there = RunFolder(config.flow_of, SweepConfig).load_config()
    given = replace(
        config, flow=there.flow, learn=there.learn, data=there.data, train=there.train,
        start=there.start,
    )  # fmt: skip
    read_weights(RunFolder(config.flow_of, SweepConfig), given)
    return given


def execute(arguments: argparse.Namespace) -> None:
    """Monte Carlo, training, flow, report."""
    torch.set_num_threads(1)
    config = with_given(configure(arguments))
    cluster = cluster_settings(arguments)
    if cluster.scheduler is not None:
        with remote_client(cluster.scheduler, timeout=cluster.timeout):
            pass  # an address that does not answer is known before any work
    name = f"{config.lattice.name.replace('/', '-')}_{config.learn.objective}_seed{config.seed}"
    run = RunFolder(arguments.out or Path("runs") / name, SweepConfig)
    run.open(config, resume=arguments.resume)
    sweep = Sweep(run, config, arguments, cluster)
    chains = sweep.monte_carlo() if config.method != "flow" else []
    weights = sweep.train() if config.method != "mc" else None
    write_results(sweep, analyse(sweep, chains, weights))


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser(__doc__).parse_args()
    try:
        execute(arguments)
    except EXPECTED as error:
        print(f"sweep_lattice: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        kept = str(stop) or "stopped; the same command with --resume goes on"
        print(f"sweep_lattice: {kept}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
