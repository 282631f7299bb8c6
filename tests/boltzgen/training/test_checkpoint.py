import ctypes
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from boltzgen.errors import CorruptFileError, NonFiniteError
from boltzgen.objectives import ForwardKL, Term, Weighted
from boltzgen.protocols import LossTerms
from boltzgen.storage import files, load_tensors, save_tensors
from boltzgen.training import (
    RandomBatches,
    TrainConfig,
    Trainer,
    load_checkpoint,
    run_with_checkpoints,
    save_checkpoint,
)
from tests.boltzgen.objectives.families import PowerNormal
from tests.boltzgen.training.resumable import make_trainer


class Failing(nn.Module):
    """A term that becomes not finite at a step: in its value, or only in its gradient."""

    def __init__(self, at, value):
        super().__init__()
        self.at, self.value = at, value

    def forward(self, density, batch, *, step, generator):
        loss = density.m.square()
        if step == self.at and self.value == "gradient":
            loss = loss + (0 * density.b).sqrt()
        elif step == self.at:
            loss = loss * self.value
        return LossTerms(loss, {})


def small_trainer(term=None, n_steps=20, dtype=torch.float64):
    terms = [Term("forward_kl", ForwardKL()), *([Term("pull", term)] if term else [])]
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batches = RandomBatches(x.to(dtype), torch.ones(50, 1, dtype=dtype), batch_size=8)
    generator = torch.Generator().manual_seed(1)
    config = TrainConfig(n_steps=n_steps)
    density = PowerNormal(b=0.3).to(dtype)
    return Trainer(density, Weighted(terms), batches, config, generator=generator)


def exhaust(trainer, path, every=3):
    return list(run_with_checkpoints(trainer, path, every=every, metadata=dict))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_term_step_and_checkpoint(tmp_path, value):
    path, trainer = tmp_path / "a", small_trainer(Failing(10, value))
    with pytest.raises(NonFiniteError) as caught:
        exhaust(trainer, path)
    for part in ("loss is", "at step 10", f"loss/pull = {value}", f"checkpoint: {path} (step 9)"):
        assert part in str(caught.value)
    assert "forward_kl" not in str(caught.value)
    resumed = small_trainer()
    load_checkpoint(path, resumed)
    assert resumed.step == 9
    assert len(exhaust(resumed, path)) == 11
    assert all(p.isfinite().all() for p in resumed.density.parameters())


def test_a_gradient_that_is_not_finite_names_step_parameter_and_checkpoint(tmp_path):
    path, trainer = tmp_path / "a", small_trainer(Failing(10, "gradient"))
    with pytest.raises(NonFiniteError) as caught:
        exhaust(trainer, path)
    expected = ("gradient is not finite at step 10", "that of b", f"checkpoint: {path} (step 9)")
    for part in expected:
        assert part in str(caught.value)


def test_the_weights_are_those_before_the_failure():
    trainer, same = small_trainer(Failing(5, float("nan"))), small_trainer(Failing(50, 0.0))
    with pytest.raises(NonFiniteError, match="at step 5"):
        list(trainer)
    for _ in range(5):
        next(iter(same))
    assert trainer.step == 5
    assert all(map(torch.equal, trainer.density.parameters(), same.density.parameters()))


def test_without_a_checkpoint_none_is_named(tmp_path):
    (tmp_path / "a").write_text("of another run")
    with pytest.raises(NonFiniteError, match="last good checkpoint: none was written"):
        exhaust(small_trainer(Failing(1, float("nan"))), tmp_path / "a")


def test_checkpoints_are_written_when_due_and_at_the_end(tmp_path):
    path, seen = tmp_path / "a", []
    steps = run_with_checkpoints(small_trainer(), path, every=8, metadata=lambda: {"k": "v"})
    for record in steps:
        seen.append((record.step, load_tensors(path)[1] if path.exists() else None))
    at = {step: None if found is None else found["step"] for step, found in seen}
    assert at == {s: None for s in range(1, 9)} | {s: "8" for s in range(9, 17)} | {
        s: "16" for s in range(17, 21)
    }
    assert load_tensors(path)[1] == {"k": "v", "step": "20"}
    with pytest.raises(ValueError, match="every"):
        exhaust(small_trainer(), path, every=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 kB, where the kernel lets us mount one; else writing is made to fail."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "disk"
    place.mkdir()
    options = b"size=64k"
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, options) != 0:
        pytest.skip("no right to mount a file system; the other test of a full disk runs anyway")
    yield place
    libc.umount(os.fsencode(place))


def assert_intact(path, before, caught):
    assert path.read_bytes() == before
    assert "previous file is intact" in str(caught.value)
    assert str(path) in str(caught.value)
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
    resumed = small_trainer()
    load_checkpoint(path, resumed)
    assert resumed.step == 3


def test_a_full_disk_leaves_the_last_checkpoint(tiny_disk):
    path, trainer = tiny_disk / "a", small_trainer()
    steps = run_with_checkpoints(trainer, path, every=3, metadata=dict)
    for _ in range(4):
        next(steps)
    before = path.read_bytes()
    room = os.statvfs(tiny_disk)
    (tiny_disk / "filler").write_bytes(b"x" * (room.f_bavail * room.f_frsize))
    with pytest.raises(OSError, match="No space left") as caught:
        list(steps)
    assert_intact(path, before, caught)
    (tiny_disk / "filler").unlink()
    resumed = small_trainer()
    load_checkpoint(path, resumed)
    exhaust(resumed, path)
    assert load_tensors(path)[1]["step"] == "20"


def test_a_write_that_fails_half_way_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path, trainer = tmp_path / "a", small_trainer()
    steps = run_with_checkpoints(trainer, path, every=3, metadata=dict)
    for _ in range(4):
        next(steps)
    before = path.read_bytes()
    whole = Path.write_bytes

    def write_half(self, content):
        whole(self, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="No space left") as caught:
        list(steps)
    monkeypatch.undo()
    assert_intact(path, before, caught)


def test_a_flush_that_fails_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    """Some file systems report a full disk only when the data are flushed."""
    path, trainer = tmp_path / "a", small_trainer()
    steps = run_with_checkpoints(trainer, path, every=3, metadata=dict)
    for _ in range(4):
        next(steps)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        list(steps)
    monkeypatch.undo()
    assert_intact(path, before, caught)


def test_damaged_checkpoints(tmp_path):
    path, trainer = tmp_path / "a", small_trainer()
    next(iter(trainer))
    save_checkpoint(path, trainer, {})
    content = path.read_bytes()
    state = trainer.state()
    for damaged in (b"", content[:100], content[:-1], content[:-5] + b"12345"):
        path.write_bytes(damaged)
        with pytest.raises(CorruptFileError, match=str(path)):
            load_checkpoint(path, trainer)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "b", trainer)
    assert all(torch.equal(state[k], v) for k, v in trainer.state().items())


def changed(state, **entries):
    """A state with some entries replaced, or left out where the value is None."""
    merged = {k.replace("/", "__"): v for k, v in state.items()} | entries
    return {k.replace("__", "/"): v for k, v in merged.items() if v is not None}


WRONG = {
    "density__m": {"density__m": None},
    "density__extra": {"density__extra": torch.zeros(())},
    "density__m of another shape": {"density__m": torch.zeros(2, dtype=torch.float64)},
    "density__m of another dtype": {"density__m": torch.zeros(())},
    "step": {"step": None},
    "generator": {"generator": None},
    "optimizer__0__exp_avg": {"optimizer__0__exp_avg": None},
    "optimizer__0__step": {"optimizer__0__step": None},
    "optimizer__9__step": {"optimizer__9__step": torch.zeros(())},
    "objective__x": {"objective__x": torch.zeros(())},
    "average__m": {"average__m": torch.zeros((), dtype=torch.float64)},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_checkpoint_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, name):
    path, trainer = tmp_path / "a", small_trainer()
    next(iter(trainer))
    save_tensors(path, changed(trainer.state(), **WRONG[name]), {})
    other = small_trainer()
    before = other.state()
    entry = name.split(" ")[0].replace("__", "/")
    with pytest.raises(ValueError, match=f"{path}: expected a checkpoint of this model.*{entry}"):
        load_checkpoint(path, other)
    assert all(torch.equal(before[k], v) for k, v in other.state().items())


def test_checkpoints_of_another_model(tmp_path):
    path = tmp_path / "a"
    save_checkpoint(path, make_trainer(), {})
    for other in (make_trainer(n_hidden=9), small_trainer(), small_trainer(dtype=torch.float32)):
        with pytest.raises(ValueError, match="expected a checkpoint of this model"):
            load_checkpoint(path, other)


def test_a_checkpoint_without_any_moments_is_refused():
    trainer = small_trainer()
    next(iter(trainer))
    state = {k: v for k, v in trainer.state().items() if not k.startswith("optimizer/")}
    with pytest.raises(ValueError, match="state of the optimiser, got none"):
        small_trainer().restore(state)
