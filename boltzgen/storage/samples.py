"""Weighted samples in HDF5, with units and control names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from boltzgen.storage.hdf5 import Attribute, open_hdf5, read_attributes, write_array, write_hdf5

_KIND = "boltzgen samples"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """N weighted samples.

    Args:
        x: Configurations, shape (N, ...).
        c: Controls, shape (N, C).
        energy: Energies, shape (N,).
        log_w: Log-weights, log p~ - log q, shape (N,).
        units: Unit of "x", "c" and "energy".
        control_names: Names of the C controls.
        attributes: Anything worth knowing: system, seed, version.
    """

    x: np.ndarray
    c: np.ndarray
    energy: np.ndarray
    log_w: np.ndarray
    units: Mapping[str, str]
    control_names: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.x.shape[0] if self.x.ndim else 0
        if self.c.shape != (n, len(self.control_names)):
            raise ValueError(f"c: expected ({n}, {len(self.control_names)}), got {self.c.shape}")
        for name, array in (("energy", self.energy), ("log_w", self.log_w)):
            if array.shape != (n,):
                raise ValueError(f"{name}: expected shape ({n},), got {array.shape}")
        if set(self.units) != {"x", "c", "energy"}:
            raise ValueError(
                f"units: expected the keys c, energy and x, got {', '.join(sorted(self.units))}"
            )


def write_samples(path: Path | str, samples: Samples) -> None:
    """Write samples atomically.

    Args:
        path: The file to create or replace.
        samples: The samples.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """

    def fill(file: h5py.File) -> None:
        write_array(file, "x", samples.x, samples.units["x"])
        write_array(file, "c", samples.c, samples.units["c"])
        write_array(file, "energy", samples.energy, samples.units["energy"])
        write_array(file, "log_w", samples.log_w, "1")
        file.attrs.create("control_names", list(samples.control_names), dtype=h5py.string_dtype())
        file.create_group("attributes").attrs.update(dict(samples.attributes))

    write_hdf5(path, _KIND, fill)


def read_samples(path: Path | str) -> Samples:
    """Read what `write_samples` wrote.

    Args:
        path: The file.

    Returns:
        The samples.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: The file is truncated, damaged or of another kind.
    """
    with open_hdf5(path, _KIND) as file:
        return Samples(
            x=file["x"][()],
            c=file["c"][()],
            energy=file["energy"][()],
            log_w=file["log_w"][()],
            units={name: str(file[name].attrs["unit"]) for name in ("x", "c", "energy")},
            control_names=tuple(str(name) for name in file.attrs["control_names"]),
            attributes=read_attributes(file["attributes"]),
        )
