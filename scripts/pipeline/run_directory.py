"""A run directory: what lies where, and the rule that nothing of another run is overwritten."""

from collections.abc import Mapping
from pathlib import Path

import openmm
from openmm import app, unit

from boltzgen.config import load, to_mapping, to_toml
from boltzgen.storage import write_atomically
from pipeline.arguments import make_folder
from pipeline.settings import RunConfig
from systems.molecules import MolecularSystem, from_xml

_N_SHOWN = 4


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
        make_folder("--out", self.path)
        write_system(system, self)
        write_atomically(self.config, lambda p: _write(p, to_toml(config)))

    def _require_same(self, config: RunConfig) -> None:
        there = load(self.config, RunConfig)
        if there == config:
            return
        old, new = _flatten(to_mapping(there)), _flatten(to_mapping(config))
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        changes = [f"{n} is {old.get(n)} there and {new.get(n)} here" for n in names[:_N_SHOWN]]
        more = f"; and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else ""
        raise ValueError(
            f"--resume: {self.path} holds a run with other settings: {'; '.join(changes)}{more}"
        )

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


def _flatten(mapping: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings under dotted names."""
    flat: dict[str, object] = {}
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def write_system(system: MolecularSystem, run: RunDirectory) -> None:
    """Keep the molecule in the run, so that it stays complete when the user's files move."""
    text = openmm.XmlSerializer.serialize(system.system)
    write_atomically(run.system_xml, lambda p: _write(p, text))

    write_pdb(system, run.topology)


def write_pdb(system: MolecularSystem, target: Path) -> None:
    """Write the reference configuration and topology."""

    def fill(path: Path) -> None:
        with path.open("w") as file:
            positions = system.positions * unit.nanometer
            app.PDBFile.writeFile(system.topology, positions, file, keepIds=True)

    write_atomically(target, fill)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
