"""The two stages before evaluation: data and training."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from boltzgen.flows.free_form import FreeFormFlow
from boltzgen.training import RandomBatches, Trainer
from pipeline.console import ProgressBar
from pipeline.learning import learn
from pipeline.model import build_chart, build_objective, new_flow, save_model, streams
from pipeline.run_directory import RunDirectory
from pipeline.sampling import SamplingSettings, as_trajectories, sample_molecule
from pipeline.settings import RunConfig
from systems.capped import CappedTarget
from systems.charts import ChartedTarget, InternalChart
from systems.ledger import EnergyLedger
from systems.molecules import (
    DynamicsSettings,
    MixingReport,
    MolecularSystem,
    OpenMMTarget,
    TensorTarget,
    TrajectorySet,
    check_mixing,
    fastest_platform,
    simulate,
)
from systems.thermal import ThermalTarget
from systems.units import GAS_CONSTANT

_N_CHECKED = 20
_N_GROUPS = 8
_KEPT = 0.01
"""kJ/mol by which an energy may change on the way through the chart and back."""


@dataclass(frozen=True)
class Surroundings:
    """What a run uses but does not depend on: cores, device, cache, whether to show bars."""

    cache: Path
    n_processes: int
    device: torch.device
    show_progress: bool


@dataclass(frozen=True)
class Data:
    """Training and held-out trajectories, the chart fitted to the former, and how well they mix.

    Args:
        training: Trajectories to train on.
        held_out: Trajectories to test on.
        chart: Fitted to the former.
        z: Their frames in the chart, float32 (N, D); those outside its domain are left out.
        n_outside: How many were left out.
        mixing: How well all trajectories mix.
    """

    training: TrajectorySet
    held_out: TrajectorySet
    chart: InternalChart
    z: Tensor
    n_outside: int
    mixing: MixingReport

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the data, one plain sentence each."""
        if self.n_outside == 0:
            return self.mixing.warnings
        n_frames = self.n_outside + len(self.z)
        return (
            f"{self.n_outside} of {n_frames} training frames lie outside the chart (a methyl group "
            "turned inside out) and were left out; the model has no density there.",
            *self.mixing.warnings,
        )


def make_data(
    system: MolecularSystem, config: RunConfig, ledger: EnergyLedger, around: Surroundings
) -> Data:
    """Sample (or find) the molecule at the top temperature and fit the chart."""
    run = _run_chains if config.backend == "tensor" else _run_dynamics
    frames, n_held_out = run(system, config, around)
    ledger.add(frames.n_steps, phase="data")
    training, held_out = frames.split(n_held_out)
    try:
        chart = build_chart(system, training.frames())
    except ValueError as error:
        raise ValueError(
            f"the frames at {config.high:g} K (HIGH of --T) do not fit internal coordinates: "
            f"{error}. A lower HIGH may help; a chain of atoms in a straight line is not supported"
        ) from error
    check_relabelling(system, chart, training)
    z, n_outside = to_chart(chart, training)
    mixing = check_mixing(system, frames.x, n_groups=min(_N_GROUPS, frames.n_trajectories))
    return Data(training, held_out, chart, z, n_outside, mixing)


def _run_chains(
    system: MolecularSystem, config: RunConfig, around: Surroundings
) -> tuple[TrajectorySet, int]:
    """Chains of Hamiltonian Monte Carlo, and how many of them to hold out."""
    own = config.chains
    settings = SamplingSettings(
        temperatures=(config.high,), n_ladders=own.n_chains, n_frames=own.n_frames,
        n_tuning=own.n_tuning, n_discarded=own.n_discarded, n_leapfrog=own.n_leapfrog,
        n_tasks=own.n_tasks, compiled=config.compiled, seed=config.seed,
    )  # fmt: skip
    label = f"chains at {config.high:g} K"
    with ProgressBar(label, unit="step", enabled=around.show_progress) as progress:
        found = sample_molecule(
            system, settings, cache_dir=around.cache, n_processes=around.n_processes,
            progress=progress,
        )  # fmt: skip
    return as_trajectories(found.frames), own.n_held_out


def _run_dynamics(
    system: MolecularSystem, config: RunConfig, around: Surroundings
) -> tuple[TrajectorySet, int]:
    """Molecular dynamics by OpenMM, and how many trajectories to hold out."""
    own = config.dynamics
    settings = DynamicsSettings(
        temperature=config.high, n_trajectories=own.n_trajectories, n_frames=own.n_frames,
        spacing_steps=own.spacing_steps, equilibration_steps=own.equilibration_steps,
        platform=fastest_platform(system), seed=config.seed,
    )  # fmt: skip
    label = f"dynamics at {config.high:g} K"
    with ProgressBar(label, unit="step", enabled=around.show_progress) as progress:
        frames = simulate(
            system, settings, cache_dir=around.cache, n_processes=around.n_processes,
            progress=progress,
        )  # fmt: skip
    return frames, own.n_held_out


def check_relabelling(system: MolecularSystem, chart: InternalChart, frames: TrajectorySet) -> None:
    """Require that a frame keeps its energy on its way through the chart.

    The chart exchanges the hydrogens of a methyl group, which a force field has to treat alike.

    Raises:
        ValueError: It does not.
    """
    every = max(1, len(frames.frames()) // _N_CHECKED)
    x = torch.from_numpy(frames.frames()[::every]).double()
    z, _ = chart.to_internal(x)
    z, x = (rows[chart.in_domain(z)] for rows in (z, x))
    with OpenMMTarget(system, platform=fastest_platform(system)) as target:
        change = target.potential(chart.to_cartesian(z)[0]) - target.potential(x)
    worst = float(change.abs().max())
    if not worst < _KEPT:
        raise ValueError(
            f"the energy changes by up to {worst:.3g} kJ/mol when the hydrogens of methyl groups "
            "are exchanged; remove the forces that tell them apart"
        )


def build_target(
    system: MolecularSystem,
    chart: InternalChart,
    config: RunConfig,
    ledger: EnergyLedger,
    around: Surroundings,
    *,
    training: bool = False,
) -> ChartedTarget:
    """The molecule's target in the coordinates of a chart.

    Args:
        system: The molecule.
        chart: The chart.
        config: Says through what energies are evaluated.
        ledger: Where energy calls are booked.
        around: Cores and device.
        training: Whether it is for training: compiled if the settings say so, on the device.
    """
    if config.backend == "openmm":
        through = OpenMMTarget(
            system, platform=fastest_platform(system), n_workers=around.n_processes, ledger=ledger
        )
        return ChartedTarget(through, chart)
    direct = TensorTarget(system, compiled=training and config.compiled, ledger=ledger)
    return ChartedTarget(direct.to(around.device) if training else direct, chart)


def cap_of(config: RunConfig, data: Data) -> float | None:
    """Energy in kJ/mol from which on training sees a logarithm, if the settings want one."""
    if config.objective.energy_cap is None:
        return None
    mean = float(data.training.potential.mean())
    return mean + config.objective.energy_cap * GAS_CONSTANT * config.high


def capped(target: ChartedTarget, cap: float | None, config: RunConfig) -> ChartedTarget:
    """The target that training sees."""
    if cap is None:
        return target
    if not isinstance(target.target, ThermalTarget):
        raise TypeError(f"target: expected a ThermalTarget, got {type(target.target).__name__}")
    scale = GAS_CONSTANT * config.high
    return ChartedTarget(CappedTarget(target.target, cap, scale=scale), target.chart)


def to_chart(chart: InternalChart, frames: TrajectorySet) -> tuple[Tensor, int]:
    """Frames of all trajectories in the chart, float32 (N, D), and how many lie outside it."""
    x = torch.from_numpy(frames.frames())
    z = torch.cat([chart.to_internal(part.double())[0] for part in x.split(20_000)])
    inside = chart.in_domain(z)
    return z[inside].float(), int((~inside).sum())


def train(
    run: RunDirectory, config: RunConfig, data: Data, target: ChartedTarget,
    ledger: EnergyLedger, around: Surroundings,
) -> float:  # fmt: skip
    """Fit the flow, or go on from the checkpoint, and write the model file.

    Returns:
        Seconds of training, those of earlier pieces included.

    Raises:
        NonFiniteError: The loss or gradient is not finite; names the last good checkpoint.
    """
    flow = new_flow(data.chart, config, data.z).to(around.device)
    chart_data = data.z.to(around.device)
    if isinstance(flow, FreeFormFlow):
        chart_data = flow.canonical(chart_data)
    data.chart.to(around.device)
    controls = torch.full((len(chart_data), 1), config.high, device=around.device)
    trainer = Trainer(
        flow, build_objective(config, target),
        RandomBatches(chart_data, controls, batch_size=config.objective.batch_size),
        config.train, generator=streams(config)[1],
    )  # fmt: skip
    seconds = learn(
        run, trainer, every=config.checkpoint_every, ledger=ledger,
        shown=("nll", "trade_rms", "log_variance_rms", "free_form_surrogate", "reconstruction"),
        show_progress=around.show_progress,
    )  # fmt: skip
    save_model(run, trainer, data.chart, config)
    return seconds


def describe_data(data: Data) -> dict[str, object]:
    """Facts about the dynamics for the summary."""
    return {
        "temperature": data.training.temperature,
        "kinetic_temperature": data.training.kinetic_temperature,
        "kinetic_temperature_error": data.training.kinetic_temperature_error,
        "torsions": [
            {
                "name": torsion.name,
                "rhat": torsion.rhat,
                "fraction_positive": torsion.fraction_positive.tolist(),
                "n_transitions": torsion.n_transitions.tolist(),
            }
            for torsion in data.mixing.torsions
        ],
        "warnings": list(data.warnings),
        "chart": {
            "n_coordinates": data.chart.event_shape[0],
            "n_periodic": data.chart.n_periodic,
            "n_frozen": len(data.chart.layout.frozen),
            "training_frames_outside": data.n_outside,
        },
    }
