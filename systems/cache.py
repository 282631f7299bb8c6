"""Where simulations are kept, and how: chunks that appear whole or not at all."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

_NOTE = "calls_before.txt"
CACHE_VARIABLE = "BOLTZGEN_CACHE"


class CorruptCacheError(RuntimeError):
    """A cached file is truncated, damaged or not what its name says."""


def default_cache_dir() -> Path:
    """The directory in the environment variable BOLTZGEN_CACHE, else ~/.cache/boltzgen."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "boltzgen")


def settings_key(*parts: object) -> str:
    """SHA-256 of the JSON of the parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def derive_seed(seed: int, *path: int) -> int:
    """Derive a seed in [1, 2^31) for one of many independent streams under one seed."""
    return int(settings_key("seed", seed, *path)[:8], 16) % (2**31 - 1) + 1


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], *, attributes: Mapping[str, str] | None = None
) -> None:
    """Write arrays to HDF5 so that the file is either whole or absent, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(temporary, "w") as file:
            for name, value in arrays.items():
                file.create_dataset(name, data=value)
            file.attrs["datasets"] = sorted(arrays)
            for name, text in (attributes or {}).items():
                file.attrs[name] = text
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Raises:
        CorruptCacheError: The file is damaged; the message says to delete it.
    """
    try:
        with h5py.File(path, "r") as file:
            return {str(name): file[name][()] for name in file.attrs["datasets"]}
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise CorruptCacheError(
            f"{path} is damaged or not a cache file ({error}); delete it and run again"
        ) from error


class ChunkStore:
    """Consecutive chunks of one simulation in a directory, each an atomic HDF5 file.

    Args:
        directory: Where the chunks lie; made when the first is written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def n_chunks(self) -> int:
        """How many chunks there are without a gap."""
        n = 0
        while self.path(n).exists():
            n += 1
        return n

    def path(self, index: int) -> Path:
        """File of chunk `index`."""
        return self.directory / f"chunk_{index:05d}.h5"

    def note(self, calls: int) -> None:
        """Say how many energy calls went by on the way to the first chunk, for progress bars."""
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self.directory / f".{_NOTE}.tmp"
        temporary.write_text(str(calls))
        os.replace(temporary, self.directory / _NOTE)

    @property
    def noted(self) -> int:
        """What `note` said last; 0 if nothing."""
        path = self.directory / _NOTE
        return int(path.read_text()) if path.exists() else 0

    def write(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write chunk `index`."""
        write_arrays(self.path(index), arrays)

    def read(self, index: int) -> dict[str, np.ndarray]:
        """Read chunk `index`.

        Raises:
            CorruptCacheError: The file is damaged.
        """
        return read_arrays(self.path(index))
