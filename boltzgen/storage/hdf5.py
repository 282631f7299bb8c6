"""The common part of our HDF5 files: kind, version, atomic writing and readable errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from boltzgen.errors import CorruptFileError
from boltzgen.storage.files import write_atomically

FORMAT = 1
Attribute = str | int | float


def write_hdf5(path: Path | str, kind: str, fill: Callable[[h5py.File], None]) -> None:
    """Write an HDF5 file of a kind, atomically.

    Args:
        path: The file to create or replace.
        kind: What the file holds, checked at reading.
        fill: Called with the open file.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """

    def write(temporary: Path) -> None:
        try:
            with h5py.File(temporary, "w") as file:
                file.attrs["kind"] = kind
                file.attrs["format"] = FORMAT
                fill(file)
        except RuntimeError as error:  # HDF5 reports a full disk at closing as RuntimeError
            raise OSError(None, str(error)) from error

    write_atomically(path, write)


@contextmanager
def open_hdf5(path: Path | str, kind: str) -> Iterator[h5py.File]:
    """Open an HDF5 file of a kind for reading.

    Args:
        path: The file.
        kind: What the file must hold.

    Yields:
        The open file.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: The file is truncated, damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("kind") != kind:
                raise CorruptFileError(f"{path}: an HDF5 file, but not of kind {kind!r}")
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        if isinstance(error, CorruptFileError):
            raise
        raise CorruptFileError(
            f"{path}: not readable as {kind!r}, truncated or damaged ({error})"
        ) from error


def write_array(file: h5py.File, name: str, array: np.ndarray, unit: str) -> None:
    """Write one array with its unit, with a checksum for each stored piece."""
    array = np.asarray(array)
    fletcher = array.size > 0 and array.ndim > 0
    dataset = file.create_dataset(name, data=array, fletcher32=fletcher)
    dataset.attrs["unit"] = unit


def read_attributes(group: h5py.Group) -> dict[str, Attribute]:
    """Read string and number attributes of a group."""
    return {
        str(name): value.item() if isinstance(value, np.generic) else value
        for name, value in group.attrs.items()
    }
