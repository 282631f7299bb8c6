import pickle

import numpy as np
import openmm
import pytest
from openmm import app

from systems.molecules import MolecularSystem, named
from systems.molecules.build import capped_alanine


def copy_of(molecule):
    return openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(molecule.system))


def with_force(molecule, force):
    system = copy_of(molecule)
    system.addForce(force)
    return MolecularSystem("changed", system, molecule.topology, molecule.positions)


def nonperiodic_to_periodic(molecule):
    system = copy_of(molecule)
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    return MolecularSystem("changed", system, molecule.topology, molecule.positions)


def test_what_it_holds(alanine):
    assert alanine.n_atoms == 22
    assert len(alanine.bonds) == 21
    assert alanine.elements.count("H") == 12
    assert alanine.atom_names[8] == "ALA2:CA"
    assert alanine.constraints == ()
    assert alanine.n_degrees_of_freedom == 63
    assert alanine.masses.sum() == pytest.approx(144.17, abs=0.01)


def test_reference_positions_cannot_be_changed(alanine):
    with pytest.raises(ValueError, match="read-only"):
        alanine.positions[0, 0] = 1.0


def test_the_hash_is_of_the_content(alanine):
    assert alanine.content_hash == named("ala2/ff99sbildn-obc2").content_hash
    assert alanine.content_hash != named("ala2/vacuum").content_hash
    renamed = MolecularSystem("other", alanine.system, alanine.topology, alanine.positions)
    assert renamed.content_hash == alanine.content_hash
    heavier = copy_of(alanine)
    heavier.setParticleMass(0, 2.0)
    changed = MolecularSystem("other", heavier, alanine.topology, alanine.positions)
    assert changed.content_hash != alanine.content_hash


def test_it_pickles(constrained_alanine):
    copied = pickle.loads(pickle.dumps(constrained_alanine))
    assert copied.content_hash == constrained_alanine.content_hash
    assert copied.constraints == constrained_alanine.constraints
    assert np.array_equal(copied.positions, constrained_alanine.positions)


@pytest.mark.parametrize(
    ("force", "words"),
    [
        (lambda: openmm.MonteCarloBarostat(1.0, 300.0), "MonteCarloBarostat.*remove it"),
        (lambda: openmm.AndersenThermostat(300.0, 1.0), "AndersenThermostat.*remove it"),
        (openmm.DrudeForce, "DrudeForce.*non-polarisable"),
    ],
)
def test_forces_that_have_no_place_are_refused(alanine, force, words):
    with pytest.raises(ValueError, match=words):
        with_force(alanine, force())


def test_periodic_boxes_are_refused(alanine):
    with pytest.raises(ValueError, match="no periodic box, got periodic NonbondedForce.*NoCutoff"):
        nonperiodic_to_periodic(alanine)


def test_virtual_sites_and_massless_atoms_are_refused(alanine):
    system = copy_of(alanine)
    system.setParticleMass(3, 0.0)
    with pytest.raises(ValueError, match=r"positive masses, got 0 for ACE:H3 \(atom 3\)"):
        MolecularSystem("changed", system, alanine.topology, alanine.positions)
    system.setVirtualSite(3, openmm.TwoParticleAverageSite(0, 1, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"no virtual sites, got ACE:H3 \(atom 3\)"):
        MolecularSystem("changed", system, alanine.topology, alanine.positions)


def test_constraints_off_the_bonds_are_refused_and_how_to_rebuild_is_said(alanine):
    system = copy_of(alanine)
    system.addConstraint(0, 2, 0.18)
    with pytest.raises(ValueError, match=r"H1-H2 \(0, 2\); rebuild it with constraints=None"):
        MolecularSystem("changed", system, alanine.topology, alanine.positions)


def test_rigid_water_is_refused():
    field = app.ForceField("tip3p.xml")
    topology = app.Topology()
    residue = topology.addResidue("HOH", topology.addChain())
    oxygen, *hydrogens = [
        topology.addAtom(name, app.Element.getBySymbol(name[0]), residue)
        for name in ("O", "H1", "H2")
    ]
    for hydrogen in hydrogens:
        topology.addBond(oxygen, hydrogen)
    rigid = field.createSystem(topology, rigidWater=True)
    x = np.array([[0.0, 0, 0], [0.0957, 0, 0], [-0.024, 0.0927, 0]])
    with pytest.raises(ValueError, match="rigid water"):
        MolecularSystem("water", rigid, topology, x)
    free = field.createSystem(topology, rigidWater=False)
    assert MolecularSystem("water", free, topology, x).constraints == ()


def test_parts_that_do_not_fit_are_refused(alanine):
    def make(topology, x):
        MolecularSystem("odd", alanine.system, topology, x)

    other, longer = capped_alanine(2)
    with pytest.raises(ValueError, match="topology: expected 22 atoms as in the system, got 32"):
        make(other, longer)
    with pytest.raises(ValueError, match=r"positions: expected shape \(22, 3\), got \(32, 3\)"):
        make(alanine.topology, longer)
    x = alanine.positions.copy()
    x[5, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in atoms \[5\]"):
        make(alanine.topology, x)
    with pytest.raises(ValueError, match="at least one particle"):
        MolecularSystem("empty", openmm.System(), app.Topology(), np.zeros((0, 3)))


def test_the_twelve_constraints_are_the_bonds_to_hydrogen(constrained_alanine):
    assert constrained_alanine.n_constraints == 12
    assert constrained_alanine.n_degrees_of_freedom == 51
    bonds, elements = set(constrained_alanine.bonds), constrained_alanine.elements
    for i, j, length in constrained_alanine.constraints:
        assert (i, j) in bonds
        assert "H" in (elements[i], elements[j])
        assert 0.09 < length < 0.12
