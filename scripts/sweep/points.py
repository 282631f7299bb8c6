"""The points of a sweep, and the directory in which each finished one has a file of its own."""

import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from boltzgen.errors import CorruptFileError
from boltzgen.storage import write_atomically
from boltzgen.storage.hdf5 import open_hdf5, write_array, write_hdf5

Setting = str | int | float | bool | None | tuple["Setting", ...] | Mapping[str, "Setting"]
Result = dict[str, np.ndarray | float]
"""What is measured at a point: arrays and numbers by name, dimensionless."""
_KIND = "sweep point"
_LONGEST_STEM = 60


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is computed, all of it: two points with the same description have the same result.

    Lists become tuples and numbers of NumPy become plain ones, in copies of what is given.

    Args:
        label: Its name in files and messages.
        couplings: Numbers by name: J, h, kappa, lambda.
        seed: Seed of its random numbers, at least 0.
        settings: Anything else that its result depends on: strings, numbers, None, lists and
            mappings of them.

    Raises:
        ValueError: Something of another type, or a number that is not finite.
    """

    label: str
    couplings: Mapping[str, float]
    seed: int
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.label, str) and self.label.strip()):
            raise ValueError(f"label: expected a name, got {self.label!r}")
        seed = _plain("seed", self.seed)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed: expected a whole number of at least 0, got {self.seed!r}")
        couplings = {k: _number(f"couplings: {k}", v) for k, v in dict(self.couplings).items()}
        object.__setattr__(self, "seed", seed)
        object.__setattr__(self, "couplings", _plain("couplings", couplings))
        object.__setattr__(self, "settings", _plain("settings", dict(self.settings)))

    def __hash__(self) -> int:
        return hash(self.description)

    @property
    def description(self) -> str:
        """All of it as JSON, the same for equal points."""
        content = {
            "label": self.label, "couplings": self.couplings, "seed": self.seed,
            "settings": self.settings,
        }  # fmt: skip
        return json.dumps(content, sort_keys=True, allow_nan=False)


def _number(name: str, value: object) -> float:
    plain = _plain(name, value)
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return float(plain)


def _plain(name: str, value: object) -> Setting:
    """A copy made of what JSON can say, with the same text for the same value."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"{name}: expected names as keys, got {list(value)}")
        return {key: _plain(f"{name}: {key}", part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(name, part) for part in value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(
        f"{name}: expected strings, finite numbers, None, lists and mappings of them, got {value!r}"
    )


def check_result(result: object) -> Result:
    """Require arrays and numbers by name; numbers and arrays without axes become float.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(result, Mapping):
        raise ValueError(f"result: expected a dict of arrays and numbers, got {type(result)}")
    return {_result_name(name): _measured(name, value) for name, value in result.items()}


def _result_name(name: object) -> str:
    if not isinstance(name, str) or not name or "/" in name or name == ".":
        raise ValueError(f"result: expected names without a slash, got {name!r}")
    return name


def _measured(name: str, value: object) -> np.ndarray | float:
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or (array.ndim == 0 and array.dtype.kind == "c"):
        raise ValueError(f"result: {name}: expected an array of numbers or a number, got {value!r}")
    return array if array.ndim else float(array)


class Finished(NamedTuple):
    """A finished point: its result, and the wall time that it took in s."""

    result: Result
    seconds: float


class PointStore:
    """A directory with one HDF5 file for each finished point, and the traceback of each failed one.

    A file is named for the label and a hash of the description and of the function's name, and
    holds the whole description, so that a point with other settings is never taken for this one.

    Args:
        path: The directory; made where it is missing.
        function: What computes a point, a function of a module.

    Raises:
        ValueError: The directory cannot be written, or the function has no name of its own.
    """

    def __init__(self, path: Path, function: Callable[[Point], Result]) -> None:
        name = getattr(function, "__qualname__", "<locals>")
        if "<" in name:
            raise ValueError(
                f"function: expected a function of a module, which workers can find by its name, "
                f"got {function!r}"
            )
        _make_directory(path)
        self.path, self._function = path, name

    def file_of(self, point: Point) -> Path:
        """Where the result of a point lies."""
        return self._beside(point, ".h5")

    def traceback_of(self, point: Point) -> Path:
        """Where the traceback of a failed point lies."""
        return self._beside(point, ".traceback.txt")

    def _beside(self, point: Point, suffix: str) -> Path:
        key = hashlib.sha256(f"{self._function}\n{point.description}".encode()).hexdigest()
        stem = re.sub(r"[^A-Za-z0-9=.+-]+", "_", point.label).strip(".")[:_LONGEST_STEM]
        return self.path / f"{stem}-{key[:16]}{suffix}"

    def write(self, point: Point, finished: Finished) -> None:
        """Keep the result of a point; its file is whole or not there.

        Raises:
            OSError: The file could not be written.
        """

        def fill(file: h5py.File) -> None:
            file.attrs["function"] = self._function
            file.attrs["seconds"] = finished.seconds
            file.attrs["sha256"] = _digest(point.description, finished.result)
            file["description"] = point.description
            group = file.create_group("result", track_order=True)
            for name, value in finished.result.items():
                write_array(group, name, np.asarray(value), "1")

        write_hdf5(self.file_of(point), _KIND, fill)
        self.traceback_of(point).unlink(missing_ok=True)

    def write_traceback(self, point: Point, text: str) -> None:
        """Keep the traceback of a point that failed."""
        write_atomically(self.traceback_of(point), functools.partial(_write, text=text))

    def read(self, point: Point) -> Finished:
        """Read the result of a point.

        Raises:
            FileNotFoundError: It is not finished.
            CorruptFileError: Its file is truncated or damaged.
            ValueError: The file of this name holds another point.
        """
        path = self.file_of(point)
        with open_hdf5(path, _KIND) as file:
            description = file["description"].asstr()[()]
            result = {name: _read(value) for name, value in file["result"].items()}
            seconds, digest = float(file.attrs["seconds"]), file.attrs["sha256"]
        if digest != _digest(description, result):
            raise CorruptFileError(f"{path}: its content has another checksum than it says")
        if description != point.description:
            raise ValueError(f"store: {path} holds another point, {description}; move it away")
        return Finished(result, seconds)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"store: cannot make the directory {path}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"store: cannot write in the directory {path}")


def _read(dataset: h5py.Dataset) -> np.ndarray | float:
    value = dataset[()]
    return value if isinstance(value, np.ndarray) else float(value)


def _digest(description: str, result: Result) -> str:
    digest = hashlib.sha256(description.encode())
    for name in sorted(result):
        array = np.asarray(result[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
