"""Training with a bar, a log of every step, and checkpoints from which it goes on."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import boltzgen
from boltzgen.config import to_mapping
from boltzgen.errors import CorruptFileError
from boltzgen.storage import (
    MetricsLog,
    load_tensors,
    read_metrics,
    save_tensors,
    truncate_metrics,
)
from boltzgen.training import TrainConfig, Trainer, load_checkpoint, run_with_checkpoints
from pipeline.console import ProgressBar
from pipeline.memory import keep_freed_memory
from pipeline.run_folder import ConfigT, RunFolder
from systems.ledger import EnergyLedger


@dataclass(frozen=True)
class Site:
    """Where a training happens.

    Args:
        device: Where the flow is.
        ledger: Takes the energy calls.
        show_progress: Whether to show a bar.
    """

    device: torch.device
    ledger: EnergyLedger
    show_progress: bool


def learn(
    run: RunFolder[ConfigT],
    trainer: Trainer,
    *,
    every: int,
    ledger: EnergyLedger,
    shown: Sequence[str],
    show_progress: bool,
) -> float:
    """Train to the end, or go on from the checkpoint to the end.

    Args:
        run: Where checkpoint and metrics lie.
        trainer: New; restored here.
        every: Steps between checkpoints.
        ledger: Counts energy calls, booked under "training".
        shown: Metrics at the end of the bar.
        show_progress: Whether to show it.

    Returns:
        Seconds of training, those of earlier pieces included.

    Raises:
        NonFiniteError: The loss or gradient is not finite; names the last good checkpoint.
    """
    keep_freed_memory()
    before = _resume(run, trainer, ledger)
    started = time.monotonic()

    def metadata() -> dict[str, str]:
        seconds = before + time.monotonic() - started
        counts = {k: v for k, v in ledger.as_dict().items() if k == "training"}
        return {"ledger": json.dumps(counts), "seconds": repr(seconds)}

    steps = run_with_checkpoints(trainer, run.checkpoint, every=every, metadata=metadata)
    with (
        MetricsLog(run.metrics) as log,
        ledger.phase("training"),
        ProgressBar("training", unit="step", enabled=show_progress) as progress,
    ):
        progress(trainer.step, trainer.config.n_steps)
        for record in steps:
            log.append({"step": record.step, **record.metrics})
            progress(record.step, record.n_steps)
            progress.say({k: record.metrics[k] for k in shown if k in record.metrics})
    return before + time.monotonic() - started


def _resume(run: RunFolder[ConfigT], trainer: Trainer, ledger: EnergyLedger) -> float:
    """Take up the checkpoint, if there is one; return the seconds spent before it."""
    if not run.checkpoint.exists():
        if run.metrics.exists():
            truncate_metrics(run.metrics, last_step=0)
        return 0.0
    metadata = load_checkpoint(run.checkpoint, trainer)
    for phase, count in json.loads(metadata["ledger"]).items():
        ledger.add(count, phase=phase)
    if run.metrics.exists():
        truncate_metrics(run.metrics, last_step=trainer.step)
    return float(metadata["seconds"])


def training_history(run: RunFolder[ConfigT]) -> list[dict[str, float]]:
    """Metrics of all steps."""
    return read_metrics(run.metrics)


def averaged_weights(trainer: Trainer) -> dict[str, Tensor]:
    """Copies of the averaged weights of what was trained, on the CPU."""
    with trainer.average.applied(trainer.density):
        state = trainer.density.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}


def usual_training(n_steps: int, learning_rate: float) -> TrainConfig:
    """Settings of the optimiser: a short warm-up, and an average over some hundred steps."""
    return TrainConfig(
        n_steps=n_steps, learning_rate=learning_rate, warm_up=min(100, n_steps // 4),
        average_decay=0.99,
    )  # fmt: skip


def write_model(
    run: RunFolder[ConfigT],
    trainer: Trainer,
    config: ConfigT,
    *,
    seconds: float,
    energy_calls: int,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write the averaged weights, with the settings and what training took as metadata."""
    metadata = {
        "config": json.dumps(to_mapping(config)), "version": boltzgen.__version__,
        "seconds": repr(seconds), "energy_calls": str(energy_calls), **(more or {}),
    }  # fmt: skip
    save_tensors(run.model, averaged_weights(trainer), metadata)


def read_model(
    run: RunFolder[ConfigT], config: ConfigT
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights and metadata that `write_model` wrote.

    Raises:
        FileNotFoundError: There is no model.
        CorruptFileError: It is damaged, or of another run.
    """
    tensors, metadata = load_tensors(run.model)
    if json.loads(metadata.get("config", "null")) != json.loads(json.dumps(to_mapping(config))):
        raise CorruptFileError(f"{run.model}: was written by a run with other settings")
    return tensors, metadata
