"""The tensor target against the OpenMM target, and at geometries without an energy."""

import numpy as np
import openmm
import pytest
import torch
from openmm import app

from systems.ledger import EnergyLedger
from systems.molecules import MolecularSystem, OpenMMTarget, TensorTarget, named
from systems.molecules.force_field import compiled as graphs
from systems.units import GAS_CONSTANT

DOUBLE = torch.float64


def around(molecule, n=6, scale=0.004):
    noise = torch.randn(
        (n, molecule.n_atoms, 3), generator=torch.Generator().manual_seed(1), dtype=DOUBLE
    )
    return torch.tensor(molecule.positions.copy()) + scale * noise


@pytest.mark.parametrize("name", ["ala2/vacuum", "ala2/tsf", "ala2/ff96-obc1"])
def test_same_target_as_openmm(name):
    molecule = named(name)
    ours, theirs = TensorTarget(molecule), OpenMMTarget(molecule)
    assert ours.event_shape == theirs.event_shape
    assert ours.control_names == theirs.control_names
    x = around(molecule)
    found = []
    for target in (ours, theirs):
        y = x.clone().requires_grad_()
        energy = target.energy(y, 450.0)
        found.append((energy, *torch.autograd.grad(energy.sum(), y)))
    for mine, reference in zip(*found, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-9)
    slope, expected = (target.denergy_dT(x, 450.0) for target in (ours, theirs))
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)
    with OpenMMTarget(molecule):
        theirs.close()


def test_chunks_make_no_difference_and_calls_are_booked(alanine):
    ledger = EnergyLedger()
    target, whole = TensorTarget(alanine, chunk=4, ledger=ledger), TensorTarget(alanine)
    x = around(alanine, n=10)
    with ledger.phase("training"):
        torch.testing.assert_close(target.potential(x), whole.potential(x), rtol=1e-13, atol=0)
    assert target.n_energy_calls == 10
    assert ledger["training"] == 10
    assert whole.potential(x[:0]).shape == (0,)
    with pytest.raises(ValueError, match="chunk: expected at least 1, got 0"):
        TensorTarget(alanine, chunk=0)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("compiled", [False, True])
def test_no_energy_is_infinite_without_force_and_never_nan(alanine, dtype, compiled, monkeypatch):
    """Two atoms on top of each other, all atoms at one point, infinity, NaN; and a sound one."""
    x = around(alanine, n=6).to(dtype)
    x[0, 3] = x[0, 17]
    x[1] = 0.1
    x[2, 4, 1] = torch.inf
    x[3, 4, 1] = torch.nan
    x[4, 3] = x[4, 17] + 1e-9
    x.requires_grad_()
    monkeypatch.setattr(graphs, "_can_compile", lambda _: False)  # what would be compiled, as such
    energy = TensorTarget(alanine, compiled=compiled).potential(x)
    assert not energy.isnan().any()
    assert energy[:4].tolist() == [torch.inf] * 4
    assert energy[4] > 1e10
    (gradient,) = torch.autograd.grad(energy[5], x, retain_graph=True)
    (together,) = torch.autograd.grad(energy.sum(), x, retain_graph=True)
    assert together.isfinite().all()
    assert bool((together[:4] == 0).all())
    torch.testing.assert_close(together[5], gradient[5])
    assert gradient[5].abs().max() > 100
    (squared,) = torch.autograd.grad(energy[:4].square().sum(), x)
    assert bool((squared == 0).all())


@pytest.mark.parametrize("compiled", [False, True])
def test_positions_that_are_not_finite_show_beyond_a_cutoff(compiled, monkeypatch):
    """No bond notices them; and a wall is infinite with a finite slope."""
    monkeypatch.setattr(graphs, "_can_compile", lambda _: False)
    system, pairs = openmm.System(), openmm.NonbondedForce()
    wall = openmm.CustomExternalForce("x+select(step(x-5),1e308*10,0)")
    for k in range(3):
        system.addParticle(12.0)
        pairs.addParticle(0.1, 0.3, 0.5)
        wall.addParticle(k, [])
    pairs.setNonbondedMethod(openmm.NonbondedForce.CutoffNonPeriodic)
    pairs.setCutoffDistance(0.9)
    system.addForce(pairs)
    system.addForce(wall)
    positions = np.array([[0.0, 0, 0], [0.4, 0, 0], [0, 0.4, 0]])
    topology = app.Topology()
    residue = topology.addResidue("X", topology.addChain())
    for k in range(3):
        topology.addAtom(f"C{k}", app.element.carbon, residue)
    molecule = MolecularSystem("three", system, topology, positions)
    x = torch.tensor(positions).repeat(4, 1, 1)
    x[0, 1, 2], x[1, 1, 2], x[2, 1, 0] = torch.nan, torch.inf, 6.0
    x.requires_grad_()
    energy = TensorTarget(molecule, compiled=compiled).potential(x)
    assert energy.isfinite().tolist() == [False, False, False, True]
    assert energy[:3].tolist() == [torch.inf] * 3
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    assert gradient.flatten(1).abs().sum(1).gt(0).tolist() == [False, False, False, True]


def test_forces_can_be_differentiated(alanine):
    """A loss on the force has a gradient: that of |dU/dx|^2 is 2 H dU/dx."""
    target = TensorTarget(alanine)
    x = around(alanine, n=1).requires_grad_()
    (force,) = torch.autograd.grad(target.potential(x).sum(), x, create_graph=True)
    (gradient,) = torch.autograd.grad(force.square().sum(), x)
    hessian = torch.autograd.functional.hessian(lambda y: target.potential(y).sum(), x.detach())
    expected = 2 * torch.einsum("abcdef,def->abc", hessian, force.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-6)


def test_energy_is_in_units_of_kt(alanine):
    target, x = TensorTarget(alanine), around(alanine, n=2)
    torch.testing.assert_close(target.energy(x, 300.0), target.potential(x) / (GAS_CONSTANT * 300))
