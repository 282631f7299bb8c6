"""Train one Boltzmann generator for a whole range of temperatures, and report what it is worth.

    python scripts/train_alanine.py --T 300:600

Samples the molecule at the highest temperature only, fits a flow that depends on the temperature,
samples it at temperatures over the whole range, and writes free energies, heat capacities,
free-energy surfaces and effective sample sizes with error bars to report.html and summary.json in
the run directory. Alanine dipeptide by default; --pdb takes your molecule.

A run that was stopped goes on with the same command and --resume.
"""

import argparse
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads must not spin

import numpy as np
import torch
from numpy.random import default_rng

from boltzgen.flows.free_form import RoundTrip
from boltzgen.report import write_report
from boltzgen.storage import Samples, write_json, write_samples, write_u_kn
from pipeline.angles import AnglePair, find_angles
from pipeline.arguments import EXPECTED, add_cache, add_molecule, load_molecule, temperature_range
from pipeline.certificates import certificate_numbers, certificate_warnings
from pipeline.command_line import Parser, device, make_folder, positive_count, positive_number, seed
from pipeline.evaluation import Evaluation, Frames, Request, blocks_of, evaluate
from pipeline.generation import certify
from pipeline.learning import training_history
from pipeline.model import load_model
from pipeline.page import compose
from pipeline.reference import Agreement, compare, reference_frames
from pipeline.run_directory import RunDirectory
from pipeline.settings import BACKENDS, FLOWS, PRESETS, FreeFormConfig, RunConfig
from pipeline.stages import (
    Data,
    Surroundings,
    build_target,
    cap_of,
    capped,
    describe_data,
    make_data,
    train,
)
from pipeline.story import Story
from pipeline.summary import (
    print_results,
    summarise,
    warnings_of,
    weight_above,
)
from systems.charts import build_zmatrix
from systems.ledger import EnergyLedger
from systems.molecules import (
    MolecularSystem,
    ReferenceSet,
    find_reference,
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = Parser(__doc__)
    add = options.add_argument
    add("--T", type=temperature_range, required=True, metavar="LOW:HIGH",
        help="range of temperatures in K; the data are sampled at HIGH")  # fmt: skip
    add_molecule(options)
    add("--preset", choices=sorted(PRESETS), default="default",
        help="smoke: does it work, under a minute; default: about twenty minutes on two "
        "cores; full: longer and on more data, up to 100 minutes")  # fmt: skip
    add("--backend", choices=BACKENDS, default="tensor",
        help="tensor: energies as batched tensor code, data by Hamiltonian Monte Carlo; openmm: "
        "energies and molecular dynamics by OpenMM, slower, for any force field and for rigid "
        "bonds (default tensor)")  # fmt: skip
    add("--flow", choices=FLOWS, default="coupling",
        help="coupling: splines and affine maps, TRADE (default); free-form: two dense networks, "
        "backward KL; to compare with, not to work with")  # fmt: skip
    add("--out", type=Path, metavar="DIR",
        help="run directory (default: runs/SYSTEM_PRESET_seedN)")  # fmt: skip
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--seed", type=seed, default=0, help="seed of everything random (default 0)")
    add("--energy-cap", type=positive_number, metavar="KT",
        help="in training, let energies grow only like a logarithm from so many kT above the mean "
        "of the data (default: exact energies); weights are always exact")  # fmt: skip
    add("--device", type=device, default="cpu",
        help="where the flow is trained: cpu, cuda, cuda:1 (default cpu)")  # fmt: skip
    add("--processes", type=positive_count, default=min(os.cpu_count() or 1, 8),
        help="processor cores to use (default: all, at most 8)")  # fmt: skip
    add_cache(options)
    add("--quiet", action="store_true", help="no progress bars")
    return options


def configure(arguments: argparse.Namespace, system: MolecularSystem) -> RunConfig:
    """All settings of the run."""
    low, high = arguments.T
    preset = PRESETS[arguments.preset]
    objective = replace(preset.objective, energy_cap=arguments.energy_cap)
    return RunConfig(
        system=system.name, system_hash=system.content_hash, low=low, high=high,
        seed=arguments.seed, preset=arguments.preset, backend=arguments.backend,
        **vars(replace(preset, objective=objective)),
        free_form=FreeFormConfig() if arguments.flow == "free-form" else None,
    )  # fmt: skip


def grid(config: RunConfig) -> tuple[float, ...]:
    """Temperatures of the evaluation, evenly spaced over the range."""
    values = np.linspace(config.low, config.high, config.evaluation.n_temperatures)
    return tuple(float(np.round(t, 6)) for t in values)


def held_out_frames(data: Data, angles: AnglePair | None, backend: str) -> Frames:
    """The held-out trajectories, in blocks longer than their correlation."""
    what = "chains" if backend == "tensor" else "dynamics"
    x, u = data.held_out.x, data.held_out.potential
    blocks = blocks_of(x, u, angles)
    return Frames(
        f"held-out {what}", data.held_out.temperature, data.held_out.frames(),
        u.reshape(-1).astype(np.float64), blocks,
    )  # fmt: skip


def gather_frames(
    data: Data, angles: AnglePair | None, reference: ReferenceSet | None, backend: str
) -> dict[float, Frames]:
    """Frames to compare with at each temperature; the reference's, where it has them."""
    held_out = held_out_frames(data, angles, backend)
    found = {} if reference is None else reference_frames(reference, angles)
    return {held_out.temperature: held_out} | found


def write_results(run: RunDirectory, config: RunConfig, evaluation: Evaluation) -> None:
    """Write the samples of all temperatures and the u_kn matrix."""
    samples = [point.samples for point in evaluation.points]
    write_samples(
        run.samples,
        Samples(
            x=np.concatenate([s.x for s in samples]).astype(np.float32),
            c=np.concatenate([np.full((len(s.x), 1), s.temperature) for s in samples]),
            energy=np.concatenate([s.potential for s in samples]),
            log_w=np.concatenate([s.log_w for s in samples]),
            units={"x": "nm", "c": "K", "energy": "kJ/mol"},
            control_names=("temperature",),
            attributes={"system": config.system, "seed": config.seed},
        ),
    )
    write_u_kn(run.u_kn, evaluation.u_kn)


class Evaluated(NamedTuple):
    """What is known of a trained model, and what it was compared with."""

    evaluation: Evaluation
    agreement: Agreement | None
    frames: dict[float, Frames]
    angles: AnglePair | None
    certificates: dict[float, RoundTrip]

    @property
    def folds(self) -> list[str]:
        """What the certificates say against the model."""
        return [
            text
            for temperature, found in self.certificates.items()
            for text in certificate_warnings(found, f"At {temperature:g} K")
        ]


def evaluate_run(
    run: RunDirectory, config: RunConfig, data: Data, ledger: EnergyLedger, around: Surroundings
) -> Evaluated:
    """Sample the trained model, estimate everything, compare with a reference if there is one."""
    system = run.load_system()
    angles = find_angles(system)
    found = find_reference(system, around.cache)
    frames = gather_frames(data, angles, found, config.backend)
    model = load_model(run)
    request = Request(
        temperatures=grid(config), n_samples=config.evaluation.n_samples,
        n_resamples=config.evaluation.n_resamples, angles=angles, frames=frames,
        seed=config.seed, show_progress=around.show_progress,
    )  # fmt: skip
    target = build_target(system, model.chart, config, ledger, around)
    with ledger.phase("evaluation"):
        evaluation = evaluate(model, target, request)
    write_results(run, config, evaluation)
    agreement = None
    if found is not None:
        rng = default_rng([config.seed, 2])
        agreement = compare(found, evaluation, angles, rng=rng)
    certificates = {
        t: certificate
        for t, found_at in frames.items()
        if (certificate := certify(model, found_at.x, t, seed=config.seed)) is not None
    }
    return Evaluated(evaluation, agreement, frames, angles, certificates)


def open_run(arguments: argparse.Namespace) -> tuple[RunDirectory, RunConfig, MolecularSystem]:
    """Settings, and the directory that is made for them or goes on."""
    system = load_molecule(arguments)
    build_zmatrix(system.n_atoms, system.bonds)  # refuses molecules in pieces before all else
    config = configure(arguments, system)
    kind = "" if config.free_form is None else "_free-form"
    name = f"{config.system.replace('/', '-')}_{config.preset}{kind}_seed{config.seed}"
    run = RunDirectory(arguments.out or Path("runs") / name)
    make_folder("--cache", arguments.cache)
    run.start(config, system, resume=arguments.resume)
    return run, config, system


def execute(arguments: argparse.Namespace) -> None:
    """Data, training, evaluation, report."""
    torch.set_num_threads(1)  # a second thread makes steps of this size slower: docs/performance.md
    run, config, system = open_run(arguments)
    around = Surroundings(
        arguments.cache, arguments.processes, arguments.device, not arguments.quiet
    )
    ledger = EnergyLedger()
    clock = [time.monotonic()]
    data = make_data(system, config, ledger, around)
    clock.append(time.monotonic())
    cap = cap_of(config, data)
    exact = build_target(system, data.chart, config, ledger, around, training=True)
    target = capped(exact, cap, config)
    training_seconds = train(run, config, data, target, ledger, around)
    clock.append(time.monotonic())
    evaluated = evaluate_run(run, config, data, ledger, around)
    evaluation, agreement = evaluated.evaluation, evaluated.agreement
    shares = None if cap is None else weight_above(evaluation, cap)
    warnings = warnings_of(evaluation, agreement, data.warnings, shares) + evaluated.folds
    seconds = {"data": clock[1] - clock[0], "training": training_seconds,
               "evaluation": time.monotonic() - clock[2]}  # fmt: skip
    calls = {stage: ledger[stage] for stage in ("data", "training", "evaluation")}
    story = Story(
        config, evaluation, agreement, evaluated.frames, evaluated.angles, training_history(run),
        warnings, calls, seconds, shlex.join(["python", *sys.argv]), evaluated.certificates,
    )  # fmt: skip
    write_report(run.report, compose(story))
    seconds["evaluation"] = time.monotonic() - clock[2]
    summary = summarise(config, evaluation, agreement) | {
        "energy_calls": calls, "wall_seconds": sum(seconds.values()),
        "wall_seconds_by_stage": seconds, "data": describe_data(data), "warnings": warnings,
        "energy_cap": cap, "weight_above_energy_cap": shares,
        "round_trip": {f"{t:g}": certificate_numbers(found)
                       for t, found in evaluated.certificates.items()},
    }  # fmt: skip
    write_json(run.summary, summary)
    print_results(evaluation, agreement)
    for temperature, certificate in evaluated.certificates.items():
        print(f"round trip at {temperature:g} K: {certificate}")
    finish(run, warnings, calls, sum(seconds.values()))


def finish(run: RunDirectory, warnings: list[str], calls: dict[str, int], seconds: float) -> None:
    """Say where everything is and what to beware of."""
    for text in warnings:
        print(f"warning: {text}")
    listed = ", ".join(f"{count:,} {stage}" for stage, count in calls.items())
    print(f"{seconds / 60:.1f} minutes; energy calls: {listed}")
    print(f"report: {run.report}")


def main() -> int:
    """Run, turning expected mistakes into one line on the terminal."""
    arguments = parser().parse_args()
    try:
        execute(arguments)
    except EXPECTED as error:
        print(f"train_alanine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_alanine: stopped; the same command with --resume goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
