"""Train one flow for all powers of a likelihood, and report posterior, evidence, calibration.

    python scripts/temper_posterior.py --model two_moons --beta 0.4:2.1
    python scripts/temper_posterior.py --model my_model.py:posterior --beta 0:1

The posterior at power beta is L^beta times the prior: the prior at 0, the posterior at 1. A flow
that depends on beta (and on the observation, where the model has it as a control) is trained on
simulated pairs, on draws of the prior, on draws by Monte Carlo or on the energy alone, and is
sampled with exact weights over the whole range. Effective sample sizes, log evidence by several
routes, moments, calibration and chains with the flow as proposal go to report.html, summary.json
and table.csv in the run directory, samples to samples.h5.

A run that was stopped goes on with the same command and --resume.
"""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numpy as np
import torch
from torch import Tensor

from boltzgen.errors import CorruptFileError, NonFiniteError, NotConvergedError
from boltzgen.random import spawn
from boltzgen.report import write_report
from boltzgen.storage import Samples, write_json, write_samples
from pipeline.ladders import Ladders
from pipeline.learning import Site, training_history
from pipeline.run_folder import RunFolder
from posterior.amortised import calibrate, over_observations, proposal_chains
from posterior.chains import run_ladders, rungs_of
from posterior.command import configure, parser
from posterior.evaluation import (
    Surroundings,
    evaluate_points,
    evidence_routes,
    has_classifier,
    reported_betas,
)
from posterior.export import write_inference_data
from posterior.model import read_flow, train_flow
from posterior.models import open_posterior
from posterior.page import compose
from posterior.random import stream_for
from posterior.results import PosteriorResults, PosteriorStory
from posterior.sampling import Model
from posterior.settings import PosteriorConfig
from posterior.tables import print_results, summarise, write_csv
from posterior.trust import warnings_of
from systems.counting import CountedTarget
from systems.ledger import EnergyLedger
from systems.posteriors import Posterior

EXPECTED = (ValueError, OSError, ImportError, NonFiniteError, NotConvergedError, CorruptFileError)


class Run:
    """One run, stage by stage.

    Args:
        folder: Its directory.
        config: Its settings.
        posterior: The model.
        arguments: The command line.
    """

    def __init__(
        self,
        folder: RunFolder[PosteriorConfig],
        config: PosteriorConfig,
        posterior: Posterior,
        arguments: argparse.Namespace,
    ) -> None:
        self.folder, self.config, self.posterior = folder, config, posterior
        self.ledger = EnergyLedger()
        self.target = CountedTarget(posterior, self.ledger)
        self.device: torch.device = arguments.device
        self.show_progress = not arguments.quiet
        self.seconds: dict[str, float] = {}

    def ladders(self) -> Ladders | None:
        """Replica exchange, where it is asked for."""
        if not self.config.with_chains:
            return None
        started = time.monotonic()
        betas = rungs_of(self.config.chains, reported_betas(self.config))
        with self.ledger.phase("chains"):
            found = run_ladders(
                self.posterior, self.target, self.config.chains, betas,
                generator=stream_for("chains", self.config.seed), show_progress=self.show_progress,
            )  # fmt: skip
        self.seconds["chains"] = time.monotonic() - started
        return found

    def data(self, ladders: Ladders | None) -> tuple[Tensor, Tensor]:
        """Free numbers and controls to train on, float64 (N, D) and (N, C)."""
        own, posterior = self.config.learn, self.posterior
        drawing, simulating = spawn(stream_for("data", self.config.seed), 2)
        if own.objective == "draws":
            if ladders is None:
                raise ValueError("--objective: draws need chains, got none")
            draws = ladders.to_learn(1.0)
            x = torch.from_numpy(draws.reshape(-1, draws.shape[-1])).double()
            return x, torch.ones(len(x), 1, dtype=torch.float64)
        x = posterior.sample_prior(own.n_data, generator=drawing)
        at = 1.0 if own.objective == "simulations" else 0.0
        beta = torch.full((len(x), 1), at, dtype=torch.float64)
        if not posterior.observed:
            return x, beta
        y = posterior.simulate(x, generator=simulating).double()
        return x, torch.cat([beta, y], 1)

    def train(self, ladders: Ladders | None) -> Model:
        """Train the flow, or take it up where it was left."""
        if not self.folder.model.exists():
            site = Site(self.device, EnergyLedger(), self.show_progress)
            target = CountedTarget(self.posterior, site.ledger)
            train_flow(self.folder, self.config, target, self.data(ladders), site)
        trained = read_flow(self.folder, self.config)
        self.seconds["training"] = trained.seconds
        self.ledger.add(trained.energy_calls, phase="training")
        return Model(self.posterior, self.target, trained.flow)

    def evaluate(self, model: Model, ladders: Ladders | None) -> PosteriorResults:
        """Estimate everything."""
        started = time.monotonic()
        around = Surroundings(model, self.config, ladders, self.show_progress)
        with self.ledger.phase("evaluation"):
            points = evaluate_points(around)
            routes, failed = evidence_routes(around, points)
            over, calibration = over_observations(around), calibrate(around)
            chains = proposal_chains(around)
        self.seconds["evaluation"] = time.monotonic() - started
        warnings = [*failed, *([] if ladders is None else ladders.warnings)]
        warnings += warnings_of(points, routes, over, calibration, chains, labels=model.labels)
        return PosteriorResults(
            labels=model.labels, points=points, evidence=routes, over=over,
            calibration=calibration, chains=chains, warnings=tuple(warnings),
        )  # fmt: skip


def write_results(run: Run, results: PosteriorResults, arguments: argparse.Namespace) -> None:
    """Write samples, tables, summary and report."""
    folder = run.folder
    story = PosteriorStory(
        title=run.config.model, config=run.config, results=results,
        history=training_history(folder) if folder.metrics.exists() else [],
        energy_calls=run.ledger.as_dict(), seconds=run.seconds,
        command=shlex.join(["python", *sys.argv]),
    )  # fmt: skip
    samples, y = [point.samples for point in results.points], run.config.observation
    c = [np.tile([s.beta, *y], (len(s.x), 1)) for s in samples]
    write_samples(
        folder.path / "samples.h5",
        Samples(
            x=np.concatenate([s.x for s in samples]), c=np.concatenate(c),
            energy=np.concatenate([s.energy for s in samples]),
            log_w=np.concatenate([s.log_w for s in samples]),
            units={"x": "1", "c": "1", "energy": "1"},
            control_names=run.posterior.control_names,
            attributes={"model": run.config.model, "seed": run.config.seed},
        ),
    )  # fmt: skip
    write_csv(folder.path / "table.csv", story)
    write_json(folder.summary, summarise(story))
    write_report(folder.report, compose(story))
    if arguments.arviz:
        write_inference_data(folder.path, run.posterior, run.config, results)
    print_results(story)
    for text in results.warnings:
        print(f"warning: {text}")
    print(f"{sum(run.seconds.values()) / 60:.1f} minutes; report: {folder.report}")


def execute(arguments: argparse.Namespace) -> None:
    """Chains, training, evaluation, report."""
    torch.set_num_threads(1)
    posterior = open_posterior(arguments.model)
    if not has_classifier():
        print("note: no classifier test: it needs scikit-learn, pip install "
              "'boltzgen-flows[posteriors]'")  # fmt: skip
    config = configure(arguments, posterior)
    name = f"{config.model.replace('/', '-').replace(':', '-')}_{config.learn.objective}"
    path = arguments.out or Path("runs") / f"{name}_seed{config.seed}"
    folder = RunFolder(path, PosteriorConfig)
    folder.open(config, resume=arguments.resume)
    run = Run(folder, config, posterior, arguments)
    ladders = run.ladders()
    model = run.train(ladders)
    write_results(run, run.evaluate(model, ladders), arguments)


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser(__doc__).parse_args()
    try:
        execute(arguments)
    except EXPECTED as error:
        print(f"temper_posterior: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("temper_posterior: stopped; the same command with --resume goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
