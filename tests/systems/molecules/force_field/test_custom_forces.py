"""Each kind of force and each of its options, against OpenMM's Reference platform."""

import copy

import numpy as np
import openmm
import pytest
import torch

from systems.molecules.force_field import compile_system
from systems.molecules.force_field.compiler import inside_out, outside_in
from tests.systems.molecules.force_field.openmm_values import (
    assert_same_as_openmm,
    particles,
    reference,
    shaken,
)

RNG = np.random.default_rng(11)
N = 8


def check(*forces, n=N):
    """Compare at configurations from ordered to crowded, and check the second derivative."""
    system, positions = particles(n)
    for force in forces:
        system.addForce(copy.copy(force))
    field = compile_system(system)
    x = shaken(positions, scales=(0.01, 0.1), each=4)
    assert_same_as_openmm(system, field, x)
    few = x[4:5].requires_grad_()
    assert torch.autograd.gradgradcheck(lambda y: field(y) / 1000, few, atol=1e-4, rtol=1e-3)


def lennard_jones(n=N, method=openmm.NonbondedForce.NoCutoff):
    force = openmm.NonbondedForce()
    for _ in range(n):
        force.addParticle(RNG.normal(0, 0.5), RNG.uniform(0.2, 0.3), RNG.uniform(0.1, 1.0))
    force.setNonbondedMethod(method)
    force.setCutoffDistance(0.45)
    return force


def test_pairs_with_exceptions():
    force = lennard_jones()
    force.addException(0, 1, 0.0, 1.0, 0.0)
    force.addException(3, 2, 0.1, 0.25, 0.3)
    force.addException(4, 7, 0.0, 0.25, 0.3)
    check(force)


@pytest.mark.parametrize("switch", [None, 0.35])
def test_reaction_field(switch):
    """The exceptions know no cutoff."""
    force = lennard_jones(method=openmm.NonbondedForce.CutoffNonPeriodic)
    force.setReactionFieldDielectric(60.0)
    force.addException(0, 7, 0.2, 0.25, 0.3)
    if switch is not None:
        force.setUseSwitchingFunction(True)
        force.setSwitchingDistance(switch)
    check(force)


def test_offsets_at_the_values_of_the_globals():
    force = lennard_jones()
    force.addGlobalParameter("charging", 0.3)
    force.addGlobalParameter("growing", 0.5)
    exception = force.addException(0, 1, 0.1, 0.25, 0.3)
    force.addParticleParameterOffset("charging", 2, 0.4, 0.01, 0.2)
    force.addParticleParameterOffset("growing", 2, 0.1, 0.02, 0.1)
    force.addExceptionParameterOffset("growing", exception, 0.3, 0.01, 0.5)
    check(force)
    system, positions = particles(N)
    system.addForce(copy.copy(force))
    x = shaken(positions)
    other = compile_system(system, parameters={"growing": 0.9})
    assert not torch.allclose(other(x), compile_system(system)(x), rtol=1e-3)
    force.setGlobalParameterDefaultValue(1, 0.9)
    changed, _ = particles(N)
    changed.addForce(copy.copy(force))
    torch.testing.assert_close(other(x), compile_system(changed)(x), rtol=1e-12, atol=1e-9)


def test_custom_bonded_forces():
    bond = openmm.CustomBondForce("k*(r-r0)^2*(1+scale*(r-r0)); scale=1.5*g")
    angle = openmm.CustomAngleForce("k*(theta-t0)^4")
    torsion = openmm.CustomTorsionForce("k*min(d,2*pi-d)^2; d=abs(theta-t0); pi=3.14159265358979")
    bond.addGlobalParameter("g", 2.0)
    for force in (bond, angle, torsion):
        add = {"Bond": force is bond, "Angle": force is angle, "Torsion": force is torsion}
        kind = next(name for name, chosen in add.items() if chosen)
        for name in ("k", "r0") if force is bond else ("k", "t0"):
            getattr(force, f"addPer{kind}Parameter")(name)
    for k in range(N - 3):
        bond.addBond(k, k + 1, [100.0 + k, 0.2])
        angle.addAngle(k, k + 1, k + 2, [10.0 + k, 1.9])
        torsion.addTorsion(k, k + 1, k + 2, k + 3, [2.0 + k, 0.4 * k])
    check(bond, angle, torsion)


def test_several_terms_on_the_same_atoms():
    force = openmm.PeriodicTorsionForce()
    for n in (1, 2, 3):
        force.addTorsion(0, 1, 3, 2, n, 0.3 * n, 2.0)
    force.addTorsion(4, 1, 3, 2, 2, 1.0, 3.0)
    check(force)


def test_torsion_maps():
    force = openmm.CMAPTorsionForce()
    for size in (5, 6):
        force.addMap(size, RNG.normal(0, 5, size * size))
    force.addTorsion(0, 0, 1, 3, 2, 1, 3, 2, 6)
    force.addTorsion(1, 0, 1, 3, 2, 4, 0, 1, 5)
    force.addTorsion(0, 7, 5, 4, 6, 5, 4, 6, 2)
    check(force)


def test_compound_forces():
    text = (
        "k*(distance(p1,p3)-0.3)^2+angle(p1,p2,p3)*dihedral(p3,p1,p2,p4)+s*x1*y2"
        "+1000*pointdistance(x1,y1,z1,0.1,0.2,0.3)^2+pointdistance(x1,y1,z1,x2,y2,s)+pointangle(x1,y1,z1,x2,y2,z2,x4,y4,z4)"
        "+pointdihedral(x1,y1,z1,x2,y2,z2,x3,y3,z3,x4,y4,z4)+f(x3)"
    )
    compound = openmm.CustomCompoundBondForce(4, text)
    compound.addPerBondParameter("k")
    compound.addGlobalParameter("s", 3.0)
    compound.addTabulatedFunction("f", openmm.Continuous1DFunction(RNG.normal(size=9), -2.0, 2.0))
    compound.addBond([0, 1, 3, 2], [20.0])
    compound.addBond([4, 5, 7, 6], [30.0])
    check(compound)


def test_external_forces():
    external = openmm.CustomExternalForce("k*((x-x0)^2+y^2)+s*sin(z)")
    external.addPerParticleParameter("k")
    external.addPerParticleParameter("x0")
    external.addGlobalParameter("s", 3.0)
    external.addParticle(2, [5.0, 0.1])
    external.addParticle(6, [7.0, -0.1])
    check(external)


def custom_pairs(text="4*e*((s/r)^12-(s/r)^6)+q1*q2*exp(-g*r)/r; e=sqrt(e1*e2); s=(s1+s2)/2"):
    force = openmm.CustomNonbondedForce(text)
    for name in ("q", "s", "e"):
        force.addPerParticleParameter(name)
    force.addGlobalParameter("g", 2.0)
    for _ in range(N):
        force.addParticle([RNG.normal(), RNG.uniform(0.2, 0.3), RNG.uniform(0.1, 1.0)])
    return force


@pytest.mark.parametrize("cutoff", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_custom_pairs(cutoff, grouped):
    force = custom_pairs()
    force.addExclusion(0, 1)
    force.addExclusion(5, 2)
    if grouped:
        force.addInteractionGroup({0, 1, 2, 3}, {2, 3, 4, 5})
        force.addInteractionGroup({6}, {7, 0, 6})
        force.addInteractionGroup({6}, {7})
    if cutoff:
        force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
        force.setCutoffDistance(0.45)
        force.setUseSwitchingFunction(True)
        force.setSwitchingDistance(0.3)
    check(force)


def test_custom_pairs_with_computed_values_and_tables():
    force = custom_pairs("w1*w2*table(q1,r)*lookup(k1,k2)/r; k1=step(q1); k2=step(q2)")
    force.addComputedValue("w", "q^2+s*g")
    values = RNG.normal(size=30)
    force.addTabulatedFunction("table", openmm.Continuous2DFunction(5, 6, values, -4, 4, 0, 2))
    force.addTabulatedFunction("lookup", openmm.Discrete2DFunction(2, 2, [1.0, 2.0, 2.0, 5.0]))
    check(force)


@pytest.mark.parametrize("cutoff", [False, True])
def test_custom_generalised_born(cutoff):
    """Every kind of stage: single values, pairs with and without exclusions."""
    force = openmm.CustomGBForce()
    for name in ("q", "s"):
        force.addPerParticleParameter(name)
    force.addGlobalParameter("g", 0.7)
    kinds = openmm.CustomGBForce
    force.addTabulatedFunction("f", openmm.Continuous1DFunction(RNG.normal(size=9), 0.0, 2.0))
    force.addComputedValue("I", "s1*exp(-g*r)*(1+s2)+f(r)*s2", kinds.ParticlePairNoExclusions)
    force.addComputedValue("B", "tanh(I)+s+0.3*x*y", kinds.SingleParticle)
    force.addEnergyTerm("q^2/(1+B^2)+z*I", kinds.SingleParticle)
    force.addEnergyTerm("q1*q2/(r+B1*B2)", kinds.ParticlePair)
    force.addEnergyTerm("g*I1*I2*exp(-r)", kinds.ParticlePairNoExclusions)
    for _ in range(N):
        force.addParticle([RNG.normal(), RNG.uniform(0.1, 0.5)])
    force.addExclusion(0, 1)
    force.addExclusion(4, 2)
    if cutoff:
        force.setNonbondedMethod(kinds.CutoffNonPeriodic)
        force.setCutoffDistance(0.45)
    check(force)


@pytest.mark.parametrize("name", ["r", "x", "y1", "p"])
def test_computed_values_of_any_name(name):
    """Also of one that means a distance or a coordinate elsewhere: it is the value that counts.

    (OpenMM mistakes a value called x for the coordinate in its forces, so autograd decides.)
    """
    system, positions = particles(4)
    force = openmm.CustomGBForce()
    force.addComputedValue(name, "exp(-2*r)", openmm.CustomGBForce.ParticlePairNoExclusions)
    force.addEnergyTerm(f"3*{name}^2", openmm.CustomGBForce.SingleParticle)
    if name != "r":
        text = f"{name}1*{name}2/r"
        force.addEnergyTerm(text, openmm.CustomGBForce.ParticlePairNoExclusions)
    for _ in range(4):
        force.addParticle([])
    system.addForce(force)
    field, x = compile_system(system), shaken(positions).requires_grad_()
    energy = field(x)
    torch.testing.assert_close(energy, reference(system, x)[0], rtol=1e-9, atol=1e-9)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    again, rows = field.energy_and_gradient(inside_out(x.detach()))
    torch.testing.assert_close(again, energy.detach())
    torch.testing.assert_close(outside_in(rows), gradient)


def test_an_infinite_slope_of_what_is_cut_off():
    """One atom alone, beyond the cutoff: sqrt(0) has an infinite slope that meets nothing."""
    system, positions = particles(3)
    force = openmm.CustomGBForce()
    force.addComputedValue("I", "(1-r)^2", openmm.CustomGBForce.ParticlePairNoExclusions)
    force.addEnergyTerm("sqrt(I)", openmm.CustomGBForce.SingleParticle)
    force.setNonbondedMethod(openmm.CustomGBForce.CutoffNonPeriodic)
    force.setCutoffDistance(1.0)
    for _ in range(3):
        force.addParticle([])
    system.addForce(force)
    x = shaken(positions, scales=(0.02,))
    x[:, 2] += 3.0
    energy, rows = compile_system(system).energy_and_gradient(inside_out(x))
    expected, gradient = reference(system, x)
    torch.testing.assert_close(energy, expected)
    torch.testing.assert_close(outside_in(rows), gradient)


def test_computed_values_without_parameters():
    force = openmm.CustomGBForce()
    force.addComputedValue("I", "exp(-r)", openmm.CustomGBForce.ParticlePair)
    force.addComputedValue("J", "2", openmm.CustomGBForce.SingleParticle)
    force.addEnergyTerm("I^2*J", openmm.CustomGBForce.SingleParticle)
    force.addEnergyTerm("J1*r", openmm.CustomGBForce.ParticlePair)
    for _ in range(N):
        force.addParticle([])
    check(force)


def test_computed_values_that_respect_exclusions():
    force = openmm.CustomGBForce()
    force.addPerParticleParameter("s")
    force.addComputedValue("I", "s2*exp(-r)/s1", openmm.CustomGBForce.ParticlePair)
    force.addEnergyTerm("s*I^2", openmm.CustomGBForce.SingleParticle)
    for _ in range(N):
        force.addParticle([RNG.uniform(0.1, 0.5)])
    force.addExclusion(0, 1)
    force.addExclusion(4, 2)
    check(force)


@pytest.mark.parametrize("cutoff", [False, True])
def test_obc_with_overlapping_and_swallowed_atoms(cutoff):
    """Scaled radii so different that one atom lies inside another."""
    force = openmm.GBSAOBCForce()
    for k in range(N):
        force.addParticle(RNG.normal(0, 0.5), 0.12 + 0.05 * k, 0.7 + 0.1 * k)
    force.setSolventDielectric(60.0)
    force.setSoluteDielectric(2.0)
    force.setSurfaceAreaEnergy(3.0)
    if cutoff:
        force.setNonbondedMethod(openmm.GBSAOBCForce.CutoffNonPeriodic)
        force.setCutoffDistance(0.45)
    check(force)


def test_empty_forces_and_drift_removal_have_no_energy():
    system, positions = particles(3)
    for force in (openmm.HarmonicBondForce(), openmm.CMMotionRemover(), openmm.RBTorsionForce()):
        system.addForce(force)
    field = compile_system(system)
    assert field.names == ()
    assert field(shaken(positions)).tolist() == [0.0] * 8


def test_parameters_may_have_the_names_of_coordinates():
    """A pair knows no x; a parameter or a global may be called so.

    With a global z OpenMM 8.6's CustomGBForce has forces that are not the slope of its energy, so
    that the energies alone are compared there.
    """
    force = openmm.CustomNonbondedForce("x1*x2*r+z*w1*w2")
    force.addPerParticleParameter("x")
    force.addGlobalParameter("z", 3.0)
    force.addComputedValue("w", "x+z")
    born = openmm.CustomGBForce()
    born.addGlobalParameter("z", 3.0)
    born.addPerParticleParameter("g")
    born.addComputedValue("I", "z*r*g1", openmm.CustomGBForce.ParticlePair)
    born.addEnergyTerm("I", openmm.CustomGBForce.SingleParticle)
    for k in range(N):
        force.addParticle([0.1 * k])
        born.addParticle([0.2 * k])
    check(force)
    system, positions = particles(N)
    system.addForce(born)
    x = shaken(positions)
    torch.testing.assert_close(compile_system(system)(x), reference(system, x)[0])
    unknown = openmm.CustomNonbondedForce("x1*r")
    for _ in range(N):
        unknown.addParticle([])
    system, positions = particles(N)
    system.addForce(unknown)
    with pytest.raises(ValueError, match=r"expected \['x1'\] too"):
        compile_system(system)(shaken(positions))


def finite_forces(system, x):
    """Both energies and gradients, which must agree and be finite."""
    x = x.clone().requires_grad_()
    energy = compile_system(system)(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    expected, slope = reference(system, x)
    torch.testing.assert_close(energy, expected, rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-9)


def test_pairs_that_do_not_count_leave_no_trace():
    """Coincident excluded atoms; an expression without a value beyond the cutoff."""
    system, positions = particles(4)
    pairs, custom = lennard_jones(4), openmm.CustomNonbondedForce("(1-r/0.5)^1.5")
    for _ in range(4):
        custom.addParticle([])
    custom.addExclusion(0, 1)
    pairs.addException(0, 1, 0.0, 1.0, 0.0)
    custom.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    custom.setCutoffDistance(0.5)
    for force in (pairs, custom):
        system.addForce(force)
    x = shaken(1.3 * positions, scales=(0.01,), each=3)
    x[:, 1] = x[:, 0]
    finite_forces(system, x)


def test_a_straight_angle_has_a_force():
    """At its equilibrium of pi the force is zero; the other terms stay."""
    system, _ = particles(3)
    angle, bond = openmm.HarmonicAngleForce(), openmm.HarmonicBondForce()
    angle.addAngle(0, 1, 2, np.pi, 100.0)
    bond.addBond(0, 1, 0.1, 1000.0)
    for force in (angle, bond):
        system.addForce(force)
    x = torch.tensor([[[0.0, 0, 0], [0.25, 0, 0], [0.5, 0, 0]]], dtype=torch.float64)
    finite_forces(system, x)
