"""Published force fields, translated, against OpenMM's Reference platform."""

import openmm
import pytest
import torch
from openmm import app

from systems.molecules.force_field import compile_system
from tests.systems.molecules.force_field.openmm_values import (
    DOUBLE,
    as_one_residue,
    assert_same_as_openmm,
    drug_like,
    shaken,
    structure,
)

KT_300 = 300 * 0.00831446261815324
IMPLICIT = ("hct", "obc1", "obc2", "gbn", "gbn2")
AMBER14 = ("amber14-all.xml",)
CHARMM = ("charmm36.xml",)
OLD = {
    "amber96": ("amber96.xml",),
    "amber96-obc": ("amber96.xml", "amber96_obc.xml"),
    "amber99sbildn": ("amber99sbildn.xml",),
    "amber99sbildn-obc": ("amber99sbildn.xml", "amber99_obc.xml"),
    "amber14": AMBER14,
}


def with_solvent(fields, solvent):
    return (*fields, f"implicit/{solvent}.xml")


def build(name, fields):
    topology, positions = structure(name)
    made = app.ForceField(*fields).createSystem(
        topology, nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False
    )
    return made, positions


def assert_translated(name, fields, *, each=2):
    system, positions = build(name, fields)
    assert_same_as_openmm(system, compile_system(system), shaken(positions, each=each))


@pytest.mark.parametrize("fields", OLD.values(), ids=OLD)
@pytest.mark.parametrize("name", ["ala1", "lys", "phe"])
def test_amber(name, fields):
    """Neutral, charged, aromatic."""
    assert_translated(name, fields)


@pytest.mark.parametrize("solvent", IMPLICIT)
@pytest.mark.parametrize("name", ["ala1", "lys", "trp"])
def test_implicit_solvents(name, solvent):
    assert_translated(name, with_solvent(AMBER14, solvent))


@pytest.mark.parametrize("n_residues", range(2, 7))
def test_capped_alanines(n_residues):
    assert_translated(f"ala{n_residues}", with_solvent(AMBER14, "obc1"))


@pytest.mark.parametrize("solvent", IMPLICIT)
def test_a_small_protein(solvent):
    """Chignolin, ten residues, 138 atoms."""
    assert_translated("chignolin", with_solvent(AMBER14, solvent), each=1)


@pytest.mark.parametrize("fields", [CHARMM, with_solvent(CHARMM, "gbn2")], ids=["vacuum", "gbn2"])
def test_charmm36(fields):
    """With CMAP, Urey-Bradley terms, NBFIX tables and its own 1-4 interactions."""
    assert_translated("chignolin", fields, each=1)


@pytest.mark.parametrize("name", ["lys", "phe", "ala1", "ala2", "ala4", "ala6"])
def test_charmm36_of_capped_peptides(name):
    topology, positions = structure(name)
    topology = as_one_residue(topology)
    field = app.ForceField(*CHARMM)
    # Blocked alanine stands there twice, as a residue and as alanine with two patches.
    templates = dict.fromkeys(topology.residues(), "ALAD") if name == "ala1" else {}
    system = field.createSystem(topology, constraints=None, residueTemplates=templates)
    assert_same_as_openmm(system, compile_system(system), shaken(positions))


@pytest.mark.parametrize("name", ["retinoate", "chenodiol"])
def test_drugs(name):
    """Tretinoin and chenodiol in CGenFF, which OpenMM has among its CHARMM parameters."""
    assert_translated(name, CHARMM)


def test_a_molecule_with_every_kind_of_term():
    system, positions = drug_like()
    field = compile_system(system)
    assert {"RBTorsionForce", "PeriodicTorsionForce"} <= set(field.names)
    assert_same_as_openmm(system, field, shaken(positions))


@pytest.mark.parametrize("name", ["ala1", "lys"])
@pytest.mark.parametrize("solvent", ["obc1", "gbn2"])
def test_single_precision(name, solvent):
    """Differences of energies at thermal geometries, to 1e-3 kT at 300 K."""
    system, positions = build(name, with_solvent(AMBER14, solvent))
    field = compile_system(system)
    x = shaken(positions, scales=(0.002,), each=50).float()
    error = field(x).double() - field(x.double())
    assert field(x).dtype == torch.float32
    assert (error - error.mean()).abs().max() < 1e-3 * KT_300


def test_second_derivatives_of_a_whole_force_field():
    """The Hessian is the slope of the forces and symmetric."""
    system, positions = build("ala1", with_solvent(AMBER14, "gbn2"))
    field = compile_system(system)
    x = shaken(positions, scales=(0.005,), each=1)
    hessian = torch.autograd.functional.hessian(lambda y: field(y).sum(), x).reshape(66, 66)
    scale = hessian.abs().max()
    assert (hessian - hessian.T).abs().max() < 1e-9 * scale
    step = 1e-5
    for k in (0, 13, 25, 44, 65):
        shift = torch.zeros(66, dtype=DOUBLE)
        shift[k] = step
        slopes = []
        for sign in (1, -1):
            y = (x + sign * shift.reshape(1, 22, 3)).requires_grad_()
            slopes.append(torch.autograd.grad(field(y).sum(), y)[0].flatten())
        slope = (slopes[0] - slopes[1]) / (2 * step)
        assert (hessian[k] - slope).abs().max() < 1e-6 * scale


def test_force_groups_add_up():
    system, positions = build("ala1", with_solvent(AMBER14, "obc2"))
    for k, force in enumerate(system.getForces()):
        force.setForceGroup(k % 3)
    field, x = compile_system(system), shaken(positions)
    groups = field.by_group(x)
    assert sorted(groups) == [0, 1, 2]
    torch.testing.assert_close(sum(groups.values()), field(x))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(x[0].numpy())
    for group, energy in groups.items():
        state = context.getState(energy=True, groups={group})
        assert energy[0].item() == pytest.approx(state.getPotentialEnergy()._value, rel=1e-9)
