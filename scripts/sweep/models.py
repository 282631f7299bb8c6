"""The models by name."""

from sweep.ising import IsingLattice
from sweep.lattice import Lattice, LatticeConfig
from sweep.phi4 import Phi4Lattice


def open_lattice(config: LatticeConfig) -> Lattice:
    """The model that a configuration describes."""
    return Phi4Lattice(config) if config.kind == "phi4" else IsingLattice(config)
