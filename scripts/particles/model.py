"""The flow of a run on particles: its networks, its objective, its training."""

from typing import NamedTuple

import torch
from torch import Tensor

from boltzgen.flows import CentredNormal, LogRatio
from boltzgen.flows.free_form import EquivariantGraph, FreeFormFlow
from boltzgen.objectives import (
    ControlPoints,
    FreeFormControlGradient,
    FreeFormLikelihood,
    FreeFormReverseKL,
    LogUniform,
    Ramp,
    Reconstruction,
    Term,
    Weighted,
)
from boltzgen.protocols import Batch, Target
from boltzgen.random import seeded
from boltzgen.training import LikelihoodWatch, RandomBatches, Trainer, WatchedObjective
from particles.random import stream_for
from particles.settings import ParticleConfig
from particles.systems import SYSTEMS
from pipeline.learning import Site, learn, read_model, write_model
from pipeline.run_folder import RunFolder

_SHOWN = ("free_form_surrogate", "reconstruction", "held_out_nll")
_PER_CONTROL = 8


def spread_of(x: Tensor) -> float:
    """Standard deviation of a free dimension of centred configurations, (B, N, n)."""
    _, n_particles, n_dims = x.shape
    return float((x.square().sum((1, 2)).mean() / ((n_particles - 1) * n_dims)).sqrt())


def build_flow(config: ParticleConfig, length: float) -> FreeFormFlow:
    """The untrained flow, which is a normal cluster of the spread `length`.

    Its weights are set with torch's global generator: call it inside `seeded`.
    """
    n_particles, n_dims = SYSTEMS[config.system].build().event_shape
    seen = LogRatio(torch.tensor([config.learn.at]))
    encoder, decoder = (
        EquivariantGraph(
            n_particles, n_dims, seen, n_hidden=config.network.n_hidden,
            n_layers=config.network.n_layers, length=length,
        )
        for _ in range(2)
    )  # fmt: skip
    return FreeFormFlow(encoder, decoder, CentredNormal(n_particles, n_dims, 1, scale=length))


def build_objective(
    config: ParticleConfig, target: Target, length: float, watch: LikelihoodWatch
) -> Weighted:
    """Maximum likelihood at the data; reverse KL or TRADE at the other temperatures."""
    own = config.learn
    inverse = Reconstruction(
        own.reconstruction / length**2, start=own.start, length=config.train.n_steps // 2
    )
    likelihood = WatchedObjective(FreeFormLikelihood(inverse), watch, metric="free_form_surrogate")
    terms = [Term("likelihood", likelihood)]
    controls, ramp = LogUniform(config.low, config.high), Ramp(own.warm_up, own.ramp)
    if config.low < config.high and own.carry == "backward-kl":
        reverse = FreeFormReverseKL(target, controls, inverse, n_samples=own.n_carried)
        terms.append(Term("backward_kl", reverse, own.carry_weight, ramp))
    if config.low < config.high and own.carry == "trade":
        points = ControlPoints(
            controls, n_controls=max(1, own.n_carried // _PER_CONTROL), n_samples=_PER_CONTROL
        )
        trade = FreeFormControlGradient(target, points, inverse)
        terms.append(Term("trade", trade, own.carry_weight, ramp))
    return Weighted(terms)


class Lesson(NamedTuple):
    """What a flow learns from.

    Attributes:
        x: Configurations, float64 (N, *E).
        c: Their temperatures, (N, 1).
        watched: Others at the temperature of the data to watch the likelihood of, (M, *E).
    """

    x: Tensor
    c: Tensor
    watched: Tensor


def train_flow(
    run: RunFolder[ParticleConfig],
    config: ParticleConfig,
    target: Target,
    lesson: Lesson,
    site: Site,
) -> None:
    """Fit the flow, or go on from the checkpoint, and write the model file.

    Args:
        run: The run.
        config: Its settings.
        target: The cluster, which books its calls in the ledger.
        lesson: What it learns from.
        site: Where it happens.
    """
    x, c, watched = (each.float().to(site.device) for each in lesson)
    length = spread_of(x)
    with seeded(stream_for("weights", config.seed)):
        flow = build_flow(config, length).float().to(site.device)

    watch = LikelihoodWatch(
        Batch(watched, torch.full((len(watched), 1), config.learn.at, device=site.device)),
        every=max(1, config.train.n_steps // config.learn.n_looks),
    )
    trainer = Trainer(
        flow, build_objective(config, target, length, watch),
        RandomBatches(x, c, batch_size=config.learn.batch_size), config.train,
        generator=stream_for("training", config.seed),
    )  # fmt: skip
    seconds = learn(
        run, trainer, every=config.checkpoint_every, ledger=site.ledger, shown=_SHOWN,
        show_progress=site.show_progress,
    )  # fmt: skip
    write_model(
        run, trainer, config, seconds=seconds, energy_calls=site.ledger["training"],
        more={"length": repr(length), "watch": watch.warning or ""},
    )  # fmt: skip


class Trained(NamedTuple):
    """A trained flow, in float64 on the CPU, and what its training took and said.

    Attributes:
        flow: The flow.
        length: Spread of the particles that it began with.
        seconds: Wall time.
        energy_calls: Evaluations of the energy.
        warning: Of the watch over the likelihood; empty if there is none.
    """

    flow: FreeFormFlow
    length: float
    seconds: float
    energy_calls: int
    warning: str


def read_flow(run: RunFolder[ParticleConfig], config: ParticleConfig) -> Trained:
    """Read the trained flow.

    Raises:
        FileNotFoundError: There is no model.
        CorruptFileError: It is damaged, or of another run.
    """
    tensors, metadata = read_model(run, config)
    length = float(metadata["length"])
    with seeded(stream_for("weights", config.seed)):
        flow = build_flow(config, length).double()
    flow.load_state_dict(tensors)
    return Trained(
        flow.eval(), length, float(metadata["seconds"]), int(metadata["energy_calls"]),
        metadata["watch"],
    )  # fmt: skip
