"""A run directory: what lies where, and the rule that nothing of another run is overwritten."""

from dataclasses import fields
from pathlib import Path

import openmm
from openmm import app, unit

from boltzgen.config import load, to_mapping, to_toml
from boltzgen.storage import write_atomically
from pipeline.settings import RunConfig
from systems.molecules import MolecularSystem, from_xml


class RunDirectory:
    """The files of one run.

    Args:
        path: The directory; made by `start`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.system_xml = path / "system.xml"
        self.topology = path / "topology.pdb"
        self.checkpoint = path / "checkpoint.safetensors"
        self.model = path / "model.safetensors"
        self.metrics = path / "metrics.jsonl"
        self.samples = path / "samples.h5"
        self.u_kn = path / "u_kn.h5"
        self.ledger = path / "ledger.json"
        self.summary = path / "summary.json"
        self.report = path / "report.html"

    def start(self, config: RunConfig, system: MolecularSystem, *, resume: bool) -> None:
        """Make the directory for a new run, or check that it holds this one.

        Raises:
            ValueError: It holds another run or other files, or there is no run to resume.
        """
        if resume:
            if not self.config.exists():
                raise ValueError(f"--resume: no run in {self.path} (it has no config.toml)")
            self._require_same(config)
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            what = "a run" if self.config.exists() else "files that are no run"
            raise ValueError(
                f"--out: {self.path} already holds {what}; give another directory, or --resume to "
                "go on with the run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_system(system, self)
        write_atomically(self.config, lambda p: _write(p, to_toml(config)))

    def _require_same(self, config: RunConfig) -> None:
        there = load(self.config, RunConfig)
        if there != config:
            old, new = to_mapping(there), to_mapping(config)
            names = [f.name for f in fields(config) if old.get(f.name) != new.get(f.name)]
            changes = "; ".join(f"{n}: {old.get(n)} there, {new.get(n)} asked" for n in names)
            raise ValueError(f"--resume: {self.path} holds a run with other settings: {changes}")

    def load_config(self) -> RunConfig:
        """Read the settings of the run.

        Raises:
            ValueError: There is no run here.
        """
        if not self.config.exists():
            raise ValueError(f"{self.path}: expected the directory of a run (with config.toml)")
        return load(self.config, RunConfig)

    def load_system(self) -> MolecularSystem:
        """Read the molecule of the run."""
        return from_xml(self.system_xml, self.topology, name=self.load_config().system)


def write_system(system: MolecularSystem, run: RunDirectory) -> None:
    """Keep the molecule in the run, so that it stays complete when the user's files move."""
    text = openmm.XmlSerializer.serialize(system.system)
    write_atomically(run.system_xml, lambda p: _write(p, text))

    def write_pdb(path: Path) -> None:
        with path.open("w") as file:
            positions = system.positions * unit.nanometer
            app.PDBFile.writeFile(system.topology, positions, file, keepIds=True)

    write_atomically(run.topology, write_pdb)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
