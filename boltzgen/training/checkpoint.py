"""Checkpoints of a trainer, and a training run that writes them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from boltzgen.checks import check_at_least
from boltzgen.errors import NonFiniteError
from boltzgen.storage import load_tensors, save_tensors
from boltzgen.training.loop import StepRecord, Trainer


def save_checkpoint(path: Path, trainer: Trainer, metadata: Mapping[str, str]) -> None:
    """Write all that the trainer's next step depends on, atomically.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """
    save_tensors(path, trainer.state(), {**metadata, "step": str(trainer.step)})


def load_checkpoint(path: Path, trainer: Trainer) -> dict[str, str]:
    """Put a trainer built with the same arguments where the checkpoint left off.

    Returns:
        The metadata.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: The file is damaged.
        ValueError: It belongs to another model.
    """
    tensors, metadata = load_tensors(path)
    try:
        trainer.restore(tensors)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: expected a checkpoint of this model; {error}") from error
    return metadata


def run_with_checkpoints(
    trainer: Trainer,
    path: Path,
    *,
    every: int,
    metadata: Callable[[], Mapping[str, str]],
) -> Iterator[StepRecord]:
    """Train, writing a checkpoint every so many steps and at the end.

    A checkpoint is written after the record of its step was taken, so that a log of the records
    holds every step up to the checkpoint's, wherever the process is killed.

    Args:
        trainer: New, or restored from `path`.
        path: The checkpoint, replaced each time; at any moment the file on disk is a whole one.
        every: Steps between checkpoints.
        metadata: Called at each checkpoint for what to keep beside the tensors.

    Yields:
        The record of each step.

    Raises:
        NonFiniteError: The loss or gradient is not finite; names the last good checkpoint.
    """
    check_at_least("every", every, 1)
    saved = trainer.step if trainer.step > 0 and path.exists() else None
    try:
        for record in trainer:
            yield record
            if record.step % every == 0 or record.step == record.n_steps:
                save_checkpoint(path, trainer, metadata())
                saved = record.step
    except NonFiniteError as error:
        last = "none was written" if saved is None else f"{path} (step {saved})"
        raise NonFiniteError(f"{error}; last good checkpoint: {last}") from error
