"""A training run with every kind of state: run as a program, it is the victim of the kill tests.

python -m tests.boltzgen.training.resumable DIRECTORY
"""

import sys
import time
from pathlib import Path

import torch

from boltzgen.flows import AffineTransform, LogRatio, SplineTransform, VectorLayout, coupling_flow
from boltzgen.objectives import (
    CausalSampler,
    ControlGradient,
    ExpectationTable,
    FlowPoints,
    ForwardKL,
    GradientBalance,
    LogVariance,
    Ramp,
    Term,
    Weighted,
    log_spaced_grid,
)
from boltzgen.random import seeded, spawn
from boltzgen.storage import MetricsLog, save_tensors, truncate_metrics
from boltzgen.training import (
    RandomBatches,
    TrainConfig,
    Trainer,
    load_checkpoint,
    run_with_checkpoints,
)
from systems.toys import DoubleWell2D

N_STEPS, EVERY = 30, 3


def make_trainer(n_steps: int = N_STEPS, *, n_hidden: int = 8) -> Trainer:
    """Forward KL, TRADE from step 4, log-variance from step 9, balanced, with averaged weights."""
    weights, data, stream = spawn(torch.Generator().manual_seed(3), 3)
    target, grid = DoubleWell2D(), log_spaced_grid(0.5, 1.0, 4, 1.0)
    layout = VectorLayout(torch.zeros(2, dtype=torch.bool), torch.ones(2), LogRatio(torch.ones(1)))
    kinds = [SplineTransform(4), SplineTransform(4), AffineTransform()]
    with seeded(weights):
        flow = coupling_flow(layout, kinds, n_hidden=n_hidden, n_blocks=1)
    trade = ControlGradient(
        target,
        sampler=CausalSampler(grid),
        table=ExpectationTable(grid, n_samples=20, every=7),
        n_points=16,
        noise=0.01,
    )
    spread = LogVariance(target, FlowPoints(grid, n_controls=2, n_samples=8, reach=2))
    terms = [
        Term("forward_kl", ForwardKL()),
        Term("trade", trade, 0.5, Ramp(4, 5)),
        Term("log_variance", spread, 0.5, Ramp(9, 5)),
    ]
    x = target.sample_exact(1.0, 500, generator=data).float()
    return Trainer(
        flow,
        Weighted(terms, GradientBalance(3, every=5)),
        RandomBatches(x, torch.ones(len(x), 1), batch_size=32),
        TrainConfig(n_steps=n_steps, warm_up=5, average_decay=0.9),
        generator=stream,
    )


def main(directory: Path) -> None:
    """Go on where the checkpoint left off; write the final state at the end."""
    torch.set_num_threads(1)
    trainer = make_trainer()
    path, metrics = directory / "checkpoint", directory / "metrics.jsonl"
    if path.exists():
        load_checkpoint(path, trainer)
    if metrics.exists():
        truncate_metrics(metrics, last_step=trainer.step)
    with MetricsLog(metrics) as log:
        for record in run_with_checkpoints(trainer, path, every=EVERY, metadata=dict):
            log.append({"step": record.step, **record.metrics})
            time.sleep(0.01)
    save_tensors(directory / "final", trainer.state(), {})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
