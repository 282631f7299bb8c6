import numpy as np
import openmm
import pytest

from systems.molecules import DEFAULT_SYSTEM, named, system_names
from systems.molecules.build import capped_alanine
from systems.molecules.mixing import torsion_angles


def chirality(x):
    """(N - CA) x (C - CA) . (CB - CA): positive for L."""
    return np.dot(np.cross(x[6] - x[8], x[14] - x[8]), x[10] - x[8])


def force_of(molecule, kind):
    """One force of a molecule, which the caller keeps alive."""
    return next(f for f in molecule.system.getForces() if isinstance(f, kind))


@pytest.mark.parametrize("name", system_names())
def test_every_named_system_is_the_same_molecule(name):
    molecule = named(name)
    assert molecule.name == name
    assert molecule.n_atoms == 22
    assert molecule.n_constraints == (12 if name == "ala2/tsf" else 0)
    assert chirality(molecule.positions) > 0
    assert not molecule.system.usesPeriodicBoundaryConditions()


def test_force_fields_are_what_their_names_say():
    def kinds(name):
        molecule = named(name)
        return {type(f).__name__ for f in molecule.system.getForces()}

    solvents = {"GBSAOBCForce", "CustomGBForce"}
    assert kinds("ala2/vacuum") & solvents == set()
    assert kinds("ala2/ff96-obc1") & solvents == {"CustomGBForce"}
    assert kinds("ala2/tsf") & solvents == {"GBSAOBCForce"}
    assert kinds("ala2/ff99sbildn-obc2") & solvents == {"GBSAOBCForce"}


def test_dielectric_constants_are_those_documented():
    molecule = named("ala2/tsf")
    born = force_of(molecule, openmm.GBSAOBCForce)
    assert born.getSoluteDielectric() == 1.0
    assert born.getSolventDielectric() == pytest.approx(78.3)
    assert born.getSurfaceAreaEnergy()._value == pytest.approx(2.25936)
    molecule = named("ala2/ff96-obc1")
    custom = force_of(molecule, openmm.CustomGBForce)
    globals_ = {
        custom.getGlobalParameterName(i): custom.getGlobalParameterDefaultValue(i)
        for i in range(custom.getNumGlobalParameters())
    }
    terms = " ".join(str(custom.getEnergyTermParameters(i)) for i in range(3)) + str(globals_)
    assert "78.5" in terms


def test_obc1_uses_mbondi2_radii():
    molecule = named("ala2/ff96-obc1")
    custom = force_of(molecule, openmm.CustomGBForce)
    offset_radii = [custom.getParticleParameters(i)[1] for i in range(22)]
    # mbondi2: H on N 1.3, other H 1.2, C 1.7, N 1.55, O 1.5 angstrom; less the offset of 0.09.
    expected = {7: 0.13, 0: 0.12, 8: 0.17, 6: 0.155, 5: 0.15}
    for atom, radius in expected.items():
        assert offset_radii[atom] == pytest.approx(radius - 0.009, abs=1e-6)


def test_an_unknown_name_suggests_the_nearest_and_lists_all():
    with pytest.raises(ValueError, match="did you mean 'ala2/vacuum'") as caught:
        named("ala2/vacum")
    assert all(name in str(caught.value) for name in system_names())
    with pytest.raises(ValueError, match="did you mean"):
        named("")


def test_the_default_is_known():
    assert DEFAULT_SYSTEM in system_names()


@pytest.mark.parametrize("n_residues", [1, 3, 5])
def test_built_peptides_have_the_torsions_asked_for(n_residues):
    topology, x = capped_alanine(n_residues, phi=-65.0, psi=-42.0)
    assert topology.getNumAtoms() == len(x) == 12 + 10 * n_residues
    for first in range(4, 4 + 10 * n_residues, 10):
        n, ca, c = first + 2, first + 4, first + 10
        phi = torsion_angles(x, (4 if first == 4 else first, n, ca, c))
        psi = torsion_angles(x, (n, ca, c, first + 12))
        assert np.degrees([phi, psi]) == pytest.approx([-65.0, -42.0])
        omega = torsion_angles(x, (ca, c, first + 12, first + 14))
        assert abs(np.degrees(omega)) == pytest.approx(180.0)
    distances = np.linalg.norm(x[:, None] - x, axis=-1)
    assert distances[np.triu_indices(len(x), 1)].min() > 0.08


def test_the_shipped_structure_is_the_built_one_minimised(alanine):
    topology, _ = capped_alanine(1)
    built = sorted(tuple(sorted(a.index for a in bond)) for bond in topology.bonds())
    assert built == list(alanine.bonds)
    assert tuple(a.element.symbol for a in topology.atoms()) == alanine.elements
    context = openmm.Context(
        alanine.system,
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("Reference"),
    )
    context.setPositions(alanine.positions)
    before = context.getState(energy=True).getPotentialEnergy()._value
    openmm.LocalEnergyMinimizer.minimize(context)
    after = context.getState(energy=True).getPotentialEnergy()._value
    assert 0 <= before - after < 0.2


def test_a_peptide_needs_a_residue():
    with pytest.raises(ValueError, match="n_residues: expected at least 1, got 0"):
        capped_alanine(0)
