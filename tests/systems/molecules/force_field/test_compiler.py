"""What is refused, what follows the argument, and what distorted geometries do."""

import copy
import pickle

import numpy as np
import openmm
import pytest
import torch

from systems.molecules.force_field import compile_system
from tests.systems.molecules.force_field.openmm_values import DOUBLE, particles, shaken


def bonded_pair():
    system, positions = particles(2)
    bond = openmm.HarmonicBondForce()
    bond.addBond(0, 1, 0.2, 100.0)
    system.addForce(bond)
    return system, positions


def centroid():
    force = openmm.CustomCentroidBondForce(1, "x1")
    force.addGroup([0])
    force.addBond([0], [])
    return force


def wrapped(force):
    force.setUsesPeriodicBoundaryConditions(True)
    return force


def periodic(kind):
    force = kind() if kind is not openmm.CustomNonbondedForce else kind("r")
    for _ in range(3):
        force.addParticle(*{openmm.NonbondedForce: (0.1, 0.2, 0.3)}.get(kind, ([],)))
    force.setNonbondedMethod(kind.CutoffPeriodic)
    return force


@pytest.mark.parametrize(
    ("force", "message"),
    [
        (centroid, "no translation of CustomCentroidBondForce.*OpenMMTarget evaluates any System"),
        (openmm.GayBerneForce, "no translation of GayBerneForce"),
        (openmm.DrudeForce, "no translation of DrudeForce"),
        (openmm.AmoebaVdwForce, "no translation of AmoebaVdwForce"),
        (openmm.MonteCarloBarostat, "no translation of MonteCarloBarostat"),
        (lambda: periodic(openmm.NonbondedForce), "got a periodic NonbondedForce"),
        (lambda: periodic(openmm.CustomNonbondedForce), "got a periodic CustomNonbondedForce"),
        (lambda: wrapped(openmm.HarmonicBondForce()), "got a periodic HarmonicBondForce"),
        (lambda: wrapped(openmm.HarmonicAngleForce()), "got a periodic HarmonicAngleForce"),
        (lambda: wrapped(openmm.PeriodicTorsionForce()), "got a periodic PeriodicTorsionForce"),
        (lambda: wrapped(openmm.CustomCompoundBondForce(1, "x1")), "got a periodic CustomComp"),
        (
            lambda: openmm.CustomExternalForce("periodicdistance(x,y,z,0,0,0)"),
            "got a periodic CustomExternalForce",
        ),
        (openmm.NonbondedForce, "NonbondedForce with 3 particles as in the system, got 0"),
        (openmm.GBSAOBCForce, "GBSAOBCForce with 3 particles"),
        (openmm.CustomGBForce, "CustomGBForce with 3 particles"),
        (lambda: openmm.CustomNonbondedForce("r"), "CustomNonbondedForce with 3 particles"),
    ],
)
def test_refused_forces(force, message):
    system, _ = particles(3)
    made = openmm.MonteCarloBarostat(1, 300) if force is openmm.MonteCarloBarostat else force()
    system.addForce(made)
    with pytest.raises(ValueError, match=message):
        compile_system(system)


def test_particle_mesh_ewald_is_refused():
    system, _ = particles(3)
    force = openmm.NonbondedForce()
    for _ in range(3):
        force.addParticle(0.0, 0.2, 0.1)
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    system.addForce(force)
    with pytest.raises(ValueError, match="there is no box here"):
        compile_system(system)


def test_virtual_sites_are_refused():
    system, _ = particles(3)
    system.setVirtualSite(2, openmm.TwoParticleAverageSite(0, 1, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"no virtual sites, got particles \[2\]"):
        compile_system(system)


def test_global_parameters():
    system, _ = particles(2)
    for value in (1.0, 1.0, 2.0):
        force = openmm.CustomBondForce("g*r")
        force.addGlobalParameter("g", value)
        force.addBond(0, 1, [])
        system.addForce(force)
    with pytest.raises(ValueError, match="global parameter 'g' has the values 1.0 and 2.0"):
        compile_system(system)
    system.removeForce(2)
    with pytest.raises(ValueError, match=r"expected names among \['g'\], got \['h'\]"):
        compile_system(system, parameters={"h": 1.0})
    x = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0]]], dtype=DOUBLE)
    assert compile_system(system)(x).item() == 1.0
    assert compile_system(system, parameters={"g": 3.0})(x).item() == 3.0


def test_an_expression_with_an_unknown_name_says_so():
    system, positions = particles(2)
    force = openmm.CustomBondForce("k*r")
    force.addBond(0, 1, [])
    system.addForce(force)
    with pytest.raises(ValueError, match=r"expected \['k'\] too"):
        compile_system(system)(shaken(positions))


def test_arguments_are_checked():
    system, positions = bonded_pair()
    field = compile_system(system)
    with pytest.raises(ValueError, match=r"x: expected shape \(B, 2, 3\)"):
        field(torch.zeros(4, 3, 3))
    with pytest.raises(ValueError, match="floating-point"):
        field(torch.zeros(4, 2, 3, dtype=torch.long))
    assert field(torch.zeros(0, 2, 3)).shape == (0,)
    assert field(torch.tensor(np.array(positions))[None].float()).dtype == torch.float32


def test_copies_and_pickles_give_the_same_energy():
    system, positions = bonded_pair()
    compound = openmm.CustomCompoundBondForce(2, "f(distance(p1,p2))+pointdistance(x1,0,0,x2,0,0)")
    values = np.linspace(0, 1, 5) ** 2
    compound.addTabulatedFunction("f", openmm.Continuous1DFunction(values, 0, 1))
    compound.addBond([0, 1], [])
    system.addForce(compound)
    field, x = compile_system(system), shaken(positions)
    for other in (copy.deepcopy(field), pickle.loads(pickle.dumps(field))):
        assert torch.equal(other(x), field(x))


def test_the_order_of_the_batch_does_not_matter():
    system, positions = bonded_pair()
    field, x = compile_system(system), shaken(positions)
    assert torch.equal(field(x).flip(0), field(x.flip(0)))
    assert torch.equal(field(x[:1]), field(x)[:1])


def test_mixed_precision_around_it_makes_no_difference():
    system, positions = bonded_pair()
    field, x = compile_system(system), shaken(positions).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(field(x), compile_system(system)(x))
        inside = field(x)
    assert torch.equal(inside, field(x))
