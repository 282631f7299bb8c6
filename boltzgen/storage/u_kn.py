"""Matrices of reduced energies in HDF5, and as the table that alchemlyb reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from boltzgen.storage.hdf5 import Attribute, open_hdf5, read_attributes, write_array, write_hdf5

if TYPE_CHECKING:
    import pandas

_KIND = "boltzgen u_kn"


@dataclass(frozen=True, kw_only=True)
class ReducedEnergies:
    """Reduced energies of N samples in K states.

    Args:
        u_kn: Reduced energies in kT, samples sorted by the state they come from, float64 (K, N).
        n_k: Number of samples from each state, zero allowed, integers (K,).
        temperatures: Temperature of each state in K, float64 (K,).
        state_names: A name for each state, all different: "model 300 K", "target 300 K".
        attributes: Anything worth knowing: system, seed, version.
    """

    u_kn: np.ndarray
    n_k: np.ndarray
    temperatures: np.ndarray
    state_names: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.u_kn.ndim != 2 or self.u_kn.dtype != np.float64:
            raise ValueError(
                f"u_kn: expected float64 (K, N), got {self.u_kn.dtype} {self.u_kn.shape}"
            )
        n_states, n_samples = self.u_kn.shape
        for name, array in (("n_k", self.n_k), ("temperatures", self.temperatures)):
            if array.shape != (n_states,):
                raise ValueError(f"{name}: expected shape ({n_states},), got {array.shape}")
        if (self.n_k < 0).any() or int(self.n_k.sum()) != n_samples:
            raise ValueError(f"n_k: expected a sum of {n_samples}, got {self.n_k.tolist()}")
        if len(set(self.state_names)) != n_states or len(self.state_names) != n_states:
            raise ValueError(f"state_names: expected {n_states} different, got {self.state_names}")


def write_u_kn(path: Path | str, energies: ReducedEnergies) -> None:
    """Write reduced energies atomically.

    Args:
        path: The file to create or replace.
        energies: The matrix and its labels.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """

    def fill(file: h5py.File) -> None:
        write_array(file, "u_kn", energies.u_kn, "kT")
        write_array(file, "n_k", np.asarray(energies.n_k, dtype=np.int64), "1")
        write_array(file, "temperatures", np.asarray(energies.temperatures, dtype=float), "K")
        file.attrs.create("state_names", list(energies.state_names), dtype=h5py.string_dtype())
        file.create_group("attributes").attrs.update(dict(energies.attributes))

    write_hdf5(path, _KIND, fill)


def read_u_kn(path: Path | str) -> ReducedEnergies:
    """Read what `write_u_kn` wrote.

    Args:
        path: The file.

    Returns:
        The matrix and its labels.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptFileError: The file is truncated, damaged or of another kind.
    """
    with open_hdf5(path, _KIND) as file:
        return ReducedEnergies(
            u_kn=file["u_kn"][()],
            n_k=file["n_k"][()],
            temperatures=file["temperatures"][()],
            state_names=tuple(str(name) for name in file.attrs["state_names"]),
            attributes=read_attributes(file["attributes"]),
        )


def to_alchemlyb(path: Path | str) -> "pandas.DataFrame":
    """Read a u_kn file as the table that alchemlyb's estimators take.

    A state's key is its number k. Every row is a sample, labelled with the state it comes from;
    `attrs` holds the unit kT, the state names and the temperature of state 0.

    Args:
        path: A file of `write_u_kn`.

    Returns:
        Columns 0 ... K - 1; index levels "time" (number of the sample in its state) and "state".

    Raises:
        ImportError: pandas is not installed.
        CorruptFileError: The file is truncated, damaged or of another kind.

    Example:
        alchemlyb.estimators.MBAR(initial_f_k=None).fit(to_alchemlyb("run/u_kn.h5")).delta_f_
        (its default start, BAR between neighbours, wants samples of every state).
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_alchemlyb needs pandas: pip install pandas") from error
    energies = read_u_kn(path)
    counts = energies.n_k
    time = np.concatenate([np.arange(n, dtype=float) for n in counts])
    state = np.repeat(np.arange(counts.size), counts)
    index = pandas.MultiIndex.from_arrays([time, state], names=["time", "state"])
    table = pandas.DataFrame(energies.u_kn.T, index=index, columns=list(range(counts.size)))
    table.attrs = {
        "temperature": float(energies.temperatures[0]),
        "energy_unit": "kT",
        "state_names": list(energies.state_names),
    }
    return table
