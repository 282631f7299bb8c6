"""From settings to the objects: chart, flow, objective, trainer; and the model file."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

import boltzgen
from boltzgen.config import to_mapping
from boltzgen.errors import CorruptFileError
from boltzgen.flows import (
    AffineTransform,
    Flow,
    LogRatio,
    SplineTransform,
    VectorLayout,
    coupling_flow,
)
from boltzgen.flows.free_form import FreeFormFlow
from boltzgen.objectives import (
    CausalSampler,
    CentralDifference,
    ControlGradient,
    DataPoints,
    ExactDerivative,
    ExpectationTable,
    FlowPoints,
    ForwardKL,
    GradientBalance,
    Huber,
    LogVariance,
    MissingPoints,
    PointSource,
    Ramp,
    Term,
    Weighted,
    log_spaced_grid,
)
from boltzgen.protocols import Target
from boltzgen.random import seeded, spawn
from boltzgen.storage import load_tensors, save_tensors
from boltzgen.training import Trainer
from pipeline.free_form import build_free_form, free_form_objective
from pipeline.learning import averaged_weights
from pipeline.run_directory import RunDirectory
from pipeline.settings import FlowConfig, RunConfig
from systems.charts import InternalChart, chart_from_state, fit_chart
from systems.molecules import MolecularSystem


@dataclass(frozen=True)
class Model:
    """A trained flow, the chart it lives in and the temperature of its data."""

    chart: InternalChart
    flow: Flow | FreeFormFlow
    config: RunConfig


def build_chart(system: MolecularSystem, frames: np.ndarray) -> InternalChart:
    """Fit the chart to frames of shape (N, n, 3), nm."""
    return fit_chart(
        torch.from_numpy(frames), bonds=system.bonds, elements=system.elements,
        constraints=system.constraints,
    )  # fmt: skip


def build_flow(chart: InternalChart, config: FlowConfig, *, high: float) -> Flow:
    """Build the flow of a chart; call it inside `seeded`."""
    divisors = torch.ones(chart.event_shape, dtype=torch.long)
    divisors[chart.periodic.cpu()] = chart.fold.cpu()
    layout = VectorLayout(chart.periodic.cpu(), divisors, LogRatio(torch.tensor([high])))
    n_affine = config.n_layers - config.n_spline_layers
    splines = [SplineTransform(config.n_bins) for _ in range(config.n_spline_layers)]
    transforms = [AffineTransform() for _ in range(n_affine)] + splines
    return coupling_flow(
        layout, transforms, n_hidden=config.n_hidden, n_blocks=config.n_blocks,
        n_bins=config.n_bins,
    )  # fmt: skip


def build_objective(config: RunConfig, target: Target) -> Weighted:
    """Forward KL at the top temperature, TRADE and log-variance on the grid below it.

    That of a free-form flow is another.
    """
    if config.free_form is not None:
        return free_form_objective(config, config.free_form, target)
    options = config.objective
    grid = log_spaced_grid(config.low, config.high, options.n_grid, boundary=config.high)
    ramp = Ramp(options.warm_up, options.ramp)
    trade = ControlGradient(
        target,
        sampler=CausalSampler(grid, strength=options.causality),
        table=ExpectationTable(
            grid, n_samples=options.table_samples, every=options.table_every
        ),
        n_points=options.trade_points,
        derivative=ExactDerivative() if options.exact_derivative else CentralDifference(),
        penalty=Huber(options.huber), reach=options.trade_reach, noise=options.trade_noise,
    )  # fmt: skip
    data = Term("forward_kl", ForwardKL(), options.data_weight)
    terms = [data, Term("trade", trade, options.trade_weight, ramp)]
    if options.spread_weight > 0:
        candidates = FlowPoints(
            grid, n_controls=options.spread_controls, n_samples=options.spread_candidates,
            reach=options.spread_reach,
        )  # fmt: skip
        samples: PointSource = candidates
        if options.spread_candidates > options.spread_samples:
            samples = MissingPoints(candidates, target, n_samples=options.spread_samples)
        spread = LogVariance(target, samples, penalty=Huber(options.huber))
        terms.append(Term("log_variance", spread, options.spread_weight, ramp))
    if options.energy_weight > 0:
        frames = LogVariance(
            target, DataPoints(options.energy_points), penalty=Huber(options.huber),
            name="data_log_variance",
        )  # fmt: skip
        terms.append(Term("data_log_variance", frames, options.energy_weight, ramp))
    return Weighted(terms, GradientBalance(len(terms), every=100))


def streams(config: RunConfig) -> tuple[Generator, Generator]:
    """The random streams of a run: of the flow's first weights, and of training."""
    weights, training = spawn(Generator().manual_seed(config.seed), 2)
    return weights, training


def new_flow(
    chart: InternalChart, config: RunConfig, z: Tensor | None = None
) -> Flow | FreeFormFlow:
    """Build the untrained flow of a run; the same one for the same settings.

    Args:
        chart: The chart.
        config: Settings.
        z: Data (N, D), by which a free-form flow cuts angles; None where a file will say.
    """
    with seeded(streams(config)[0]):
        if config.free_form is not None:
            return build_free_form(chart, config.free_form, high=config.high, z=z)
        return build_flow(chart, config.flow, high=config.high)


def save_model(
    run: RunDirectory, trainer: Trainer, chart: InternalChart, config: RunConfig
) -> None:
    """Write chart and averaged weights, with the settings as metadata."""
    tensors = {f"flow/{name}": value for name, value in averaged_weights(trainer).items()}
    tensors |= {f"chart/{name}": value for name, value in chart.state().items()}
    metadata = {"config": json.dumps(to_mapping(config)), "version": boltzgen.__version__}
    save_tensors(run.model, tensors, metadata)


def load_model(run: RunDirectory) -> Model:
    """Read the trained model of a run, in float64 on the CPU.

    Raises:
        FileNotFoundError: The run has no model yet.
        CorruptFileError: The file is damaged or belongs to other settings.
    """
    config = run.load_config()
    if not run.model.exists():
        raise FileNotFoundError(
            f"{run.model} is not there: the run has not been trained to its end; "
            "train_alanine.py --resume goes on with it"
        )
    tensors, metadata = load_tensors(run.model)
    if json.loads(metadata.get("config", "null")) != json.loads(json.dumps(to_mapping(config))):
        raise CorruptFileError(f"{run.model}: was written by a run with other settings")
    chart = chart_from_state(_under("chart/", tensors))
    flow = new_flow(chart, config)
    flow.load_state_dict(_under("flow/", tensors))
    return Model(chart, flow.double().eval(), config)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
