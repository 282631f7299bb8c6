"""The flow of a run on a posterior: its data, its objective, its training."""

from typing import NamedTuple

import torch
from torch import Tensor

from boltzgen.flows import (
    ControlEncoding,
    Flow,
    Joined,
    LogRatio,
    SplineTransform,
    Standardised,
    Whitening,
    conditional_flow,
)
from boltzgen.objectives import (
    CentralDifference,
    ControlPoints,
    ControlSampler,
    ForwardKL,
    GridlessControlGradient,
    Huber,
    LogUniform,
    LogVariance,
    Ramp,
    ReverseKL,
    Term,
    Weighted,
    WithContexts,
)
from boltzgen.protocols import Target
from boltzgen.random import seeded
from boltzgen.training import RandomBatches, Trainer
from pipeline.learning import Site, learn, read_model, write_model
from pipeline.run_folder import RunFolder
from posterior.random import stream_for
from posterior.settings import PosteriorConfig

_SHOWN = ("nll", "trade_rms", "log_variance_rms", "reverse_kl")
_STEP = 0.05


def build_flow(
    config: PosteriorConfig, whitening: Whitening, observed: Standardised | None
) -> Flow:
    """The untrained flow; call it inside `seeded`.

    Args:
        config: Settings.
        whitening: Of the free numbers.
        observed: How the observation is seen, if it is a control.
    """
    own = config.flow
    power = LogRatio(torch.ones(1), offset=config.learn.offset)
    seen: ControlEncoding = power if observed is None else Joined([power, observed])
    splines = [SplineTransform(own.n_bins, own.half_width) for _ in range(own.n_layers)]
    return conditional_flow(
        whitening, seen, splines, n_hidden=own.n_hidden, n_blocks=own.n_blocks,
        marginal=SplineTransform(2 * own.n_bins, own.marginal_half_width),
    )  # fmt: skip


def new_flow(config: PosteriorConfig, x: Tensor, c: Tensor) -> Flow:
    """The untrained flow of a run, whitened by its data, x (N, D) and c (N, C)."""
    y = c[:, 1:].double()
    observed = Standardised(y.mean(0), y.std(0)) if y.shape[1] else None
    with seeded(stream_for("weights", config.seed)):
        return build_flow(config, Whitening.of_samples(x, c.shape[1]), observed)


def build_objective(config: PosteriorConfig, target: Target, c: Tensor) -> Weighted:
    """Maximum likelihood at the data and TRADE elsewhere, or the energy alone.

    Args:
        config: Settings.
        target: The posterior.
        c: Controls of the data, whose observations are the ones to answer for, (N, C).
    """
    own = config.learn
    low = 0.0 if own.objective == "prior" else config.low
    controls: ControlSampler = LogUniform(low, config.high, offset=own.offset)
    if c.shape[1] > 1:
        controls = WithContexts(controls, c[:, 1:])
    if own.objective == "backward-kl":
        return Weighted(
            [Term("backward_kl", ReverseKL(target, controls, n_samples=own.batch_size))]
        )
    points = ControlPoints(
        controls, n_controls=own.n_controls, n_samples=own.n_samples, boundary=float(c[0, 0]),
        reach=own.reach, offset=own.offset,
    )  # fmt: skip
    ramp, penalty = Ramp(own.warm_up, own.ramp), Huber(own.huber)
    trade = GridlessControlGradient(
        target, points, derivative=CentralDifference(_STEP, offset=own.offset), penalty=penalty
    )
    terms = [Term("forward_kl", ForwardKL())]
    if low < config.high:
        terms.append(Term("trade", trade, own.trade_weight, ramp))
    if own.spread_weight > 0:
        spread = LogVariance(target, points, penalty=penalty)
        terms.append(Term("log_variance", spread, own.spread_weight, ramp))
    return Weighted(terms)


def train_flow(
    run: RunFolder[PosteriorConfig],
    config: PosteriorConfig,
    target: Target,
    data: tuple[Tensor, Tensor],
    site: Site,
) -> None:
    """Fit the flow, or go on from the checkpoint, and write the model file.

    Args:
        run: The run.
        config: Its settings.
        target: The posterior, which books its calls in the ledger.
        data: Free numbers (N, D) and controls (N, C), float64.
        site: Where it happens.
    """
    x, c = data
    flow = new_flow(config, x, c).float().to(site.device)
    x, c = x.float().to(site.device), c.float().to(site.device)
    trainer = Trainer(
        flow, build_objective(config, target, c),
        RandomBatches(x, c, batch_size=config.learn.batch_size), config.train,
        generator=stream_for("training", config.seed),
    )  # fmt: skip
    seconds = learn(
        run, trainer, every=config.checkpoint_every, ledger=site.ledger, shown=_SHOWN,
        show_progress=site.show_progress,
    )  # fmt: skip
    write_model(run, trainer, config, seconds=seconds, energy_calls=site.ledger["training"])


class Trained(NamedTuple):
    """A trained flow, in float64 on the CPU, and what its training took: seconds, energy calls."""

    flow: Flow
    seconds: float
    energy_calls: int


def read_flow(run: RunFolder[PosteriorConfig], config: PosteriorConfig) -> Trained:
    """Read the trained flow.

    Raises:
        FileNotFoundError: There is no model.
        CorruptFileError: It is damaged, or of another run.
    """
    tensors, metadata = read_model(run, config)
    n_free, n_observed = len(tensors["bijection.layers.0.mean"]), len(config.observation)
    blank = Whitening(torch.zeros(n_free), torch.eye(n_free), 1 + n_observed)
    observed = Standardised(torch.zeros(n_observed), torch.ones(n_observed))
    # The halves of the couplings are drawn, not kept.
    with seeded(stream_for("weights", config.seed)):
        flow = build_flow(config, blank, observed if n_observed else None)
    flow.double()
    flow.load_state_dict(tensors)
    return Trained(flow.eval(), float(metadata["seconds"]), int(metadata["energy_calls"]))
