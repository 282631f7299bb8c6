"""What the data stage refuses."""

import copy
from types import SimpleNamespace

import numpy as np
import openmm
import pytest

from pipeline.model import build_chart
from pipeline.stages import check_relabelling
from systems.molecules import MolecularSystem, named


def test_a_force_field_that_tells_methyl_hydrogens_apart_is_refused():
    """A spring on one hydrogen of the first methyl group."""
    plain = named("ala2/vacuum")
    noise = np.random.default_rng(0).normal(0, 0.004, (1000, plain.n_atoms, 3))
    x = (plain.positions + noise).astype(np.float32)
    # Half of the frames with two hydrogens of that group exchanged, as dynamics would do.
    methyl = [k for k, name in enumerate(plain.atom_names) if name.startswith("ACE1:H")][:2]
    x[::2, methyl] = x[::2, methyl[::-1]]
    frames = SimpleNamespace(frames=lambda: x)
    chart = build_chart(plain, x)
    check_relabelling(plain, chart, frames)
    system = copy.deepcopy(plain.system)
    spring = openmm.CustomBondForce("100*r^2")
    spring.addBond(methyl[0], plain.n_atoms - 1, [])
    system.addForce(spring)
    marked = MolecularSystem("marked", system, plain.topology, plain.positions)
    with pytest.raises(ValueError, match="energy changes by up to .* hydrogens of methyl groups"):
        check_relabelling(marked, chart, frames)
