"""The directory of a reference: what lies where, and the rule that nothing else is overwritten."""

from functools import partial
from pathlib import Path

import mdtraj
import numpy as np

from boltzgen.errors import CorruptFileError
from boltzgen.plots import style, to_png
from boltzgen.report import write_report
from boltzgen.storage import (
    ReducedEnergies,
    read_json,
    write_atomically,
    write_json,
    write_u_kn,
)
from pipeline.command_line import make_folder
from pipeline.reference_page import ReferenceStory, compose, ramachandran
from pipeline.run_directory import write_pdb
from pipeline.summary import versions
from systems.molecules import MolecularSystem, ReferenceSet
from systems.units import GAS_CONSTANT

_KIND = "reference"


class ReferenceDirectory:
    """The files of one reference; all of them can be made again from the cache.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary = path / "summary.json"
        self.report = path / "report.html"
        self.picture = path / "ramachandran.png"
        self.topology = path / "topology.pdb"
        self.u_kn = path / "u_kn.h5"

    def start(self, system: MolecularSystem) -> None:
        """Make the directory, or check that it holds a reference of this molecule.

        Raises:
            ValueError: It holds something else.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            there = self._what_is_there()
            if there != (_KIND, system.content_hash):
                raise ValueError(
                    f"--out: {self.path} already holds something other than a reference of "
                    f"{system.name}; give another directory"
                )
        make_folder("--out", self.path)

    def _what_is_there(self) -> tuple[object, object]:
        try:
            found = read_json(self.summary)
        except (OSError, CorruptFileError):
            return None, None
        if not isinstance(found, dict):
            return None, None
        return found.get("kind"), found.get("system_hash")

    def write(self, system: MolecularSystem, story: ReferenceStory, seed: int | None) -> None:
        """Write everything; the summary last, so that its presence means that all is there."""
        data = story.sampled.frames
        write_pdb(system, self.topology)
        for temperature, frames in story.frames.items():
            target = self.path / f"trajectory_{temperature:.0f}K.dcd"
            write_atomically(target, partial(_write_dcd, x=frames.x))
        write_u_kn(self.u_kn, reduced_energies(system, data))
        with style():
            if story.angles is not None:
                picture = to_png(ramachandran(story, story.angles))
                write_atomically(self.picture, partial(_write_bytes, content=picture))
            write_report(self.report, compose(story))
        write_json(self.summary, _summarise(system, story, seed))


def reduced_energies(system: MolecularSystem, data: ReferenceSet) -> ReducedEnergies:
    """u_kn of all frames at all temperatures, frames of the first temperature first."""
    order = np.argsort(data.state, kind="stable")
    beta = 1 / (GAS_CONSTANT * data.temperatures)
    return ReducedEnergies(
        u_kn=beta[:, None] * data.potential[order].astype(np.float64),
        n_k=np.bincount(data.state, minlength=data.temperatures.size),
        temperatures=data.temperatures,
        state_names=tuple(f"{t:g} K" for t in data.temperatures),
        attributes={"system": system.name, "sampler": data.sampler},
    )


def _write_dcd(path: Path, *, x: np.ndarray) -> None:
    with mdtraj.formats.DCDTrajectoryFile(str(path), "w", force_overwrite=True) as file:
        file.write(10.0 * x)  # DCD is in angstrom


def _write_bytes(path: Path, *, content: bytes) -> None:
    path.write_bytes(content)


def _summarise(
    system: MolecularSystem, story: ReferenceStory, seed: int | None
) -> dict[str, object]:
    data, free, found = story.sampled.frames, story.free, story.convergence
    moves = (story.sampled.acceptance, story.sampled.step_fs)
    return {
        "kind": _KIND,
        "system": system.name,
        "system_hash": system.content_hash,
        "sampler": data.sampler,
        "seed": seed,
        "T": free.temperatures.tolist(),
        "free_energy": free.free_energy.tolist(),
        "free_energy_error": free.error.tolist(),
        "free_energy_error_mbar": free.asymptotic_error.tolist(),
        "free_energy_error_ladders": [_finite(e) for e in free.spread_error],
        "U": free.potential.tolist(),
        "U_error": free.potential_error.tolist(),
        "overlap": free.overlap,
        "n_ladders": data.n_repeats,
        "n_frames": found.n_frames.tolist(),
        "n_independent": found.n_independent.tolist(),
        "inefficiency": {name: g.tolist() for name, g in found.inefficiency.items()},
        "swap_acceptance": found.swap_acceptance.tolist(),
        "round_trips": found.n_round_trips,
        "rhat": [_finite(r) for r in found.rhat],
        "acceptance": None if moves[0] is None else moves[0].tolist(),
        "step_fs": None if moves[1] is None else moves[1].tolist(),
        "energy_calls": data.n_energy_calls,
        "complete": data.complete,
        "warnings": story.warnings,
        "units": {"T": "K", "free_energy": "kT, relative to the first T", "U": "kJ/mol"},
        "versions": versions(),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
