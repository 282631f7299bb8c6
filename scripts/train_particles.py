"""Train one free-form flow for a cluster of particles over a range of temperatures, and report.

    python scripts/train_particles.py --system dw4 --T 0.5:2.0
    python scripts/train_particles.py --system lj13 --T 0.8:2.0

Encoder and decoder are E(n)-equivariant graph networks. They learn by maximum likelihood from draws
at one temperature (--at) and are carried to the others by the energy. Replica exchange makes these
draws, and those that everything is compared with; it is kept in the cache. Effective sample sizes
in both directions, exact likelihoods with the certificate of encoder and decoder, free energies,
histograms of energy and pair distances go to report.html, summary.json and table.csv in the run
directory, weighted samples to samples.h5.

A run that was stopped goes on with the same command and --resume.
"""

import argparse
import math
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numpy as np
import torch

from boltzgen.errors import CorruptFileError, NonFiniteError, NotConvergedError
from boltzgen.report import write_report
from boltzgen.storage import Samples, write_json, write_samples
from boltzgen.training import TrainConfig
from particles.evaluation import (
    Surroundings,
    evaluate_points,
    evidence_routes,
    reported_temperatures,
    thermodynamics_of,
)
from particles.model import Lesson, Trained, read_flow, train_flow
from particles.page import compose
from particles.random import stream_for
from particles.reference import run_reference, rungs_of
from particles.results import ParticleResults, ParticleStory
from particles.settings import CARRIES, ParticleConfig, Preset, presets
from particles.systems import SYSTEMS
from particles.tables import print_results, summarise, write_csv
from particles.trust import warnings_of
from pipeline.command_line import Parser, device, positive_count, positive_number, sample_count
from pipeline.command_line import seed as seed_number
from pipeline.ladders import Ladders
from pipeline.learning import Site, training_history, usual_training
from pipeline.run_folder import RunFolder
from systems.cache import CorruptCacheError, default_cache_dir
from systems.counting import CountedTarget
from systems.ledger import EnergyLedger

EXPECTED = (
    ValueError, OSError, NonFiniteError, NotConvergedError, CorruptFileError, CorruptCacheError,
)  # fmt: skip
_MOST_GRADIENT, _DECAY = 1.0, 0.998


def temperature_range(text: str) -> tuple[float, float]:
    """Read "0.5:2.0", or one temperature."""
    try:
        values = [float(part) for part in text.split(":")]
    except ValueError:
        values = []
    good = len(values) in (1, 2) and all(math.isfinite(v) and v > 0 for v in values)
    if not good or values[0] > values[-1]:
        raise argparse.ArgumentTypeError(
            f"expected LOW:HIGH with 0 < LOW <= HIGH, such as 0.5:2.0, got {text!r}"
        )
    return values[0], values[-1]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--system", required=True, choices=sorted(SYSTEMS), help="the cluster")
    add("--T", type=temperature_range, required=True, metavar="LOW:HIGH",
        help="range of temperatures, k = 1")  # fmt: skip
    add("--at", type=positive_number, metavar="T",
        help="temperature of the data (default: 1, or the nearest end of the range)")  # fmt: skip
    add("--carry", choices=CARRIES, default="backward-kl",
        help="how other temperatures are learnt: from energies by backward-kl or trade, from "
        "samples of the reference, or none")  # fmt: skip
    add("--preset", choices=["smoke", "default", "long"], default="default",
        help="smoke: does it work; default: minutes; long: four times the steps")  # fmt: skip
    add("--steps", type=positive_count, metavar="N", help="training steps (default: the preset's)")
    add("--samples", type=sample_count, metavar="N",
        help="samples of the flow at each temperature (default: the preset's)")  # fmt: skip
    add("--device", type=device, default="cpu",
        help="where the flow is trained: cpu, cuda, cuda:1 (default cpu)")  # fmt: skip
    add("--threads", type=positive_count, default=1, metavar="N",
        help="threads of one process (default 1)")  # fmt: skip
    add("--cache", type=Path, default=default_cache_dir(), metavar="DIR",
        help="of references (default: $BOLTZGEN_CACHE or ~/.cache/boltzgen)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="run directory (default: in runs)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--seed", type=seed_number, default=0,
        help="seed of everything but the reference (default 0)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bars")
    return options


def configure(arguments: argparse.Namespace) -> ParticleConfig:
    """All settings of the run.

    Raises:
        ValueError: The temperature of the data is not in the range.
    """
    low, high = arguments.T
    at = arguments.at or min(max(1.0, low), high)
    if not low <= at <= high:
        raise ValueError(f"--at: expected a temperature from {low:g} to {high:g}, got {at:g}")
    preset: Preset = presets(arguments.system)[arguments.preset]
    steps = arguments.steps or preset.n_steps
    train: TrainConfig = replace(
        usual_training(steps, preset.learning_rate), max_gradient_norm=_MOST_GRADIENT,
        average_decay=_DECAY,
    )  # fmt: skip
    return ParticleConfig(
        system=arguments.system, low=low, high=high, preset=arguments.preset, seed=arguments.seed,
        network=preset.network, learn=preset.learn(at, arguments.carry, steps), train=train,
        chains=preset.chains,
        evaluation=replace(
            preset.evaluation, n_samples=arguments.samples or preset.evaluation.n_samples
        ),
    )  # fmt: skip


class Run:
    """One run, stage by stage.

    Args:
        folder: Its directory.
        config: Its settings.
        arguments: The command line.
    """

    def __init__(
        self,
        folder: RunFolder[ParticleConfig],
        config: ParticleConfig,
        arguments: argparse.Namespace,
    ) -> None:
        self.folder, self.config, self.arguments = folder, config, arguments
        self.cluster = SYSTEMS[config.system].build()
        self.ledger = EnergyLedger()
        self.target = CountedTarget(self.cluster, self.ledger)
        self.show_progress = not arguments.quiet
        self.seconds: dict[str, float] = {}

    def reference(self) -> Ladders:
        """Draws at all temperatures, from the cache or new."""
        started = time.monotonic()
        rungs = rungs_of(self.config.chains, reported_temperatures(self.config))
        found = run_reference(
            self.arguments.cache, self.config.system, self.config.chains, rungs,
            ledger=self.ledger, show_progress=self.show_progress,
        )  # fmt: skip
        self.seconds["reference"] = time.monotonic() - started
        return found

    def data(self, ladders: Ladders) -> Lesson:
        """Draws to learn from, and held-out ones to watch the likelihood of."""
        at, own = self.config.learn.at, self.config.learn
        held_out = ladders.held_out(at)
        if held_out is None:
            raise ValueError(f"--at: expected a rung of the ladder, got {at:g}")
        rungs = [at]
        if own.carry == "samples":
            inside = (ladders.values >= self.config.low) & (ladders.values <= self.config.high)
            rungs = ladders.values[inside].tolist()
        draws = [ladders.to_learn(rung).reshape(-1, *held_out.shape[2:]) for rung in rungs]
        controls = [torch.full((len(x), 1), rung) for x, rung in zip(draws, rungs, strict=True)]
        watched = torch.from_numpy(held_out.reshape(-1, *held_out.shape[2:]))
        order = torch.randperm(len(watched), generator=stream_for("watched", self.config.seed))
        return Lesson(
            torch.from_numpy(np.concatenate(draws)), torch.cat(controls),
            watched[order[: own.n_watched]],
        )  # fmt: skip

    def train(self, ladders: Ladders) -> Trained:
        """Train the flow, or take it up where it was left."""
        if not self.folder.model.exists():
            site = Site(self.arguments.device, EnergyLedger(), self.show_progress)
            target = CountedTarget(self.cluster, site.ledger)
            train_flow(self.folder, self.config, target, self.data(ladders), site)
        trained = read_flow(self.folder, self.config)
        self.seconds["training"] = trained.seconds
        self.ledger.add(trained.energy_calls, phase="training")
        return trained

    def evaluate(self, trained: Trained, ladders: Ladders) -> ParticleResults:
        """Estimate everything."""
        started = time.monotonic()
        around = Surroundings(
            self.cluster, self.target, trained.flow, self.config, ladders, self.show_progress
        )
        with self.ledger.phase("evaluation"):
            points = evaluate_points(around)
            routes, failed = evidence_routes(around, points)
        found = thermodynamics_of(points, self.config.seed)
        self.seconds["evaluation"] = time.monotonic() - started
        warnings = [*ladders.warnings, *([trained.warning] if trained.warning else []), *failed]
        return ParticleResults(
            points=points, log_z=routes, thermodynamics=found,
            n_parameters=sum(p.numel() for p in trained.flow.parameters()),
            warnings=(*warnings, *warnings_of(points, routes)),
        )  # fmt: skip


def write_results(run: Run, results: ParticleResults) -> None:
    """Write samples, tables, summary and report."""
    folder, named = run.folder, SYSTEMS[run.config.system]
    story = ParticleStory(
        title=named.title, unit=named.unit, config=run.config, results=results,
        history=training_history(folder) if folder.metrics.exists() else [],
        energy_calls=run.ledger.as_dict(), seconds=run.seconds,
        command=shlex.join(["python", *sys.argv]),
    )  # fmt: skip
    points = results.points
    write_samples(
        folder.path / "samples.h5",
        Samples(
            x=np.concatenate([p.draws.x for p in points]),
            c=np.concatenate([np.full((len(p.log_w), 1), p.T) for p in points]),
            energy=np.concatenate([p.draws.potential / p.T for p in points]),
            log_w=np.concatenate([p.log_w for p in points]),
            units={"x": "1", "c": "1", "energy": "1"}, control_names=("temperature",),
            attributes={"system": run.config.system, "seed": run.config.seed},
        ),
    )  # fmt: skip
    write_csv(folder.path / "table.csv", story)
    write_json(folder.summary, summarise(story))
    write_report(folder.report, compose(story))
    print_results(story)
    for text in results.warnings:
        print(f"warning: {text}")
    print(f"{sum(run.seconds.values()) / 60:.1f} minutes; report: {folder.report}")


def execute(arguments: argparse.Namespace) -> None:
    """Reference, training, evaluation, report."""
    torch.set_num_threads(arguments.threads)
    config = configure(arguments)
    path = arguments.out or Path("runs") / f"{config.system}_seed{config.seed}"
    folder = RunFolder(path, ParticleConfig)
    folder.open(config, resume=arguments.resume)
    run = Run(folder, config, arguments)
    ladders = run.reference()
    write_results(run, run.evaluate(run.train(ladders), ladders))


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser().parse_args()
    try:
        execute(arguments)
    except EXPECTED as error:
        print(f"train_particles: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_particles: stopped; the same command with --resume goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
