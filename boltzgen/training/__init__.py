"""The training loop, its data and its checkpoints."""

from boltzgen.training.alarms import (
    Alarm,
    AlarmedObjective,
    CollapseAlarm,
    ResidualAlarm,
    TailAlarm,
    TransitionAlarm,
)
from boltzgen.training.averaging import WeightAverage
from boltzgen.training.batches import BatchSource, RandomBatches
from boltzgen.training.checkpoint import load_checkpoint, run_with_checkpoints, save_checkpoint
from boltzgen.training.loop import StepRecord, TrainConfig, Trainer
from boltzgen.training.watch import LikelihoodWatch, Watched, WatchedObjective

__all__ = [
    "Alarm",
    "AlarmedObjective",
    "CollapseAlarm",
    "ResidualAlarm",
    "TailAlarm",
    "TransitionAlarm",
    "BatchSource",
    "LikelihoodWatch",
    "RandomBatches",
    "StepRecord",
    "TrainConfig",
    "Trainer",
    "Watched",
    "WatchedObjective",
    "WeightAverage",
    "load_checkpoint",
    "run_with_checkpoints",
    "save_checkpoint",
]
