"""A run directory: what lies where, and the rule that nothing of another run is overwritten."""

from pathlib import Path

import openmm
from openmm import app, unit

from boltzgen.storage import write_atomically
from pipeline.run_folder import RunFolder, write_text
from pipeline.settings import RunConfig
from systems.molecules import MolecularSystem, from_xml


class RunDirectory(RunFolder[RunConfig]):
    """The files of one run of a molecule.

    Args:
        path: The directory; made by `start`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, RunConfig)
        self.system_xml = path / "system.xml"
        self.topology = path / "topology.pdb"
        self.samples = path / "samples.h5"
        self.u_kn = path / "u_kn.h5"

    def start(self, config: RunConfig, system: MolecularSystem, *, resume: bool) -> None:
        """Make the directory for a new run, or check that it holds this one.

        Raises:
            ValueError: It holds another run or other files, or there is no run to resume.
        """
        self.open(config, resume=resume, fill=lambda: write_system(system, self))

    def load_system(self) -> MolecularSystem:
        """Read the molecule of the run."""
        return from_xml(self.system_xml, self.topology, name=self.load_config().system)


def write_system(system: MolecularSystem, run: RunDirectory) -> None:
    """Keep the molecule in the run, so that it stays complete when the user's files move."""
    text = openmm.XmlSerializer.serialize(system.system)
    write_atomically(run.system_xml, lambda p: write_text(p, text))

    write_pdb(system, run.topology)


def write_pdb(system: MolecularSystem, target: Path) -> None:
    """Write the reference configuration and topology."""

    def fill(path: Path) -> None:
        with path.open("w") as file:
            positions = system.positions * unit.nanometer
            app.PDBFile.writeFile(system.topology, positions, file, keepIds=True)

    write_atomically(target, fill)
