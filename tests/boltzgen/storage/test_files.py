import errno
import subprocess
import sys

import numpy as np
import pytest
import torch

from boltzgen.errors import CorruptFileError
from boltzgen.storage import read_json, write_atomically, write_json

# A limit on the size of a file stands for a full disk: the kernel refuses the write half-way.
FULL_DISK = """
import resource, signal, sys
import numpy as np, torch
from boltzgen.storage import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1] + "/file"
def write(n):
    x = np.zeros((n, 1))
    if sys.argv[2] == "tensors":
        save_tensors(path, {"x": torch.zeros(n, dtype=torch.float64)}, {"n": str(n)})
    elif sys.argv[2] == "samples":
        write_samples(path, Samples(x=x, c=x, energy=x[:, 0], log_w=x[:, 0],
            units={"x": "nm", "c": "K", "energy": "kT"}, control_names=("T",)))
    else:
        write_json(path, {"x": x.tolist()})
write(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write(100_000)
except OSError as error:
    sys.stdout.write(str(error))
else:
    sys.stdout.write("no error")
"""


def failing(path):
    path.write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_failure_leaves_the_previous_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, lambda p: p.write_text("first"))
    with pytest.raises(OSError, match=r"cannot write .*a.txt \(the previous file is intact\): No"):
        write_atomically(path, failing)
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    write_atomically(path, lambda p: p.write_text("second"))
    assert path.read_text() == "second"


def test_any_other_error_passes_and_cleans_up(tmp_path):
    def interrupted(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(OSError, match="cannot write .*missing/a.json: No such file") as caught:
        write_json(tmp_path / "missing" / "a.json", {})
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("kind", ["tensors", "samples", "json"])
def test_full_disk(tmp_path, kind):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), kind]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "cannot write" in ran.stdout, ran.stdout + ran.stderr
    assert "(the previous file is intact)" in ran.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_size < 100_000


def test_json_round_trip_of_arrays_and_scalars(tmp_path):
    path = tmp_path / "a.json"
    value = {"T": np.array([300.0, 600.0]), "n": np.int64(3), "t": torch.tensor(2.5), "p": tmp_path}
    write_json(path, value)
    assert read_json(path) == {"T": [300.0, 600.0], "n": 3, "t": 2.5, "p": str(tmp_path)}


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="expected finite numbers or None for .*a.json"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    with pytest.raises(TypeError, match="cannot write a set as JSON"):
        write_json(tmp_path / "a.json", {"a": {1}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", '{"a": 1', "[1]", "\x00\xff"])
def test_damaged_json(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(CorruptFileError, match="a.json"):
        read_json(path)
