import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from boltzgen.errors import CorruptFileError
from boltzgen.storage import MetricsLog, read_metrics, truncate_metrics


def test_appends_and_reads_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.append({"step": 0, "loss": torch.tensor(1.5), "norm": np.float32(2.0)})
    with MetricsLog(path) as log:
        log.append({"step": 1, "loss": float("nan"), "parts": {"a": [np.inf, 1.0]}})
    assert read_metrics(path) == [
        {"step": 0, "loss": 1.5, "norm": 2.0},
        {"step": 1, "loss": None, "parts": {"a": [None, 1.0]}},
    ]


def test_cut_last_line_is_left_out_and_removed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"st')
    assert [r["step"] for r in read_metrics(path)] == [0, 1]
    with MetricsLog(path) as log:
        log.append({"step": 2})
    assert [r["step"] for r in read_metrics(path)] == [0, 1, 2]


def test_truncates_to_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"stage": "warm-up"}\n{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step')
    truncate_metrics(path, last_step=2)
    assert read_metrics(path) == [{"stage": "warm-up"}, {"step": 1}, {"step": 2}]
    truncate_metrics(path, last_step=0)
    assert read_metrics(path) == [{"stage": "warm-up"}]


def test_damage_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"st\n{"step": 2}\n')
    with pytest.raises(CorruptFileError, match="line 2 is not JSON"):
        read_metrics(path)
    path.write_text("3\n")
    with pytest.raises(CorruptFileError, match="line 1: expected a JSON object"):
        read_metrics(path)


def test_survives_sigkill(tmp_path):
    path = tmp_path / "metrics.jsonl"
    code = f"""
from boltzgen.storage import MetricsLog
log = MetricsLog({str(path)!r})
step = 0
while True:
    log.append({{"step": step, "filler": "x" * 2000}})
    step += 1
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    while not path.exists() or path.stat().st_size < 100_000:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = [r["step"] for r in read_metrics(path)]
    assert steps == list(range(len(steps)))
    assert len(steps) > 10
